"""Searches among numbers and categories of which not all can be made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor

from lightning_mbo.algorithms import CMAES, CbAS, DbAS
from lightning_mbo.data import DesignDataModule, Toy
from lightning_mbo.errors import ConfigurationError, DataError
from lightning_mbo.oracles import KernelRidge
from lightning_mbo.search_models import (
    Categorical,
    CMANormal,
    MultivariateNormal,
    Product,
    Quadrature,
    SearchModel,
)
from tests.callbacks.quadratic import Recorder, callbacks, ensemble, find, trainer_with
from tests.callbacks.recipes import Recipes

pytestmark = [
    pytest.mark.usefixtures("_blank_pictures"),
    pytest.mark.filterwarnings("ignore:Be aware that when using `ckpt_path`, callbacks used to"),
    pytest.mark.filterwarnings("ignore:Checkpoint directory"),
]

NUM_SAMPLES = 200


def search(num_iterations: int = 3, num_samples: int = NUM_SAMPLES, **options: Any) -> Any:
    return callbacks.SearchModelUpdate(
        DbAS(), num_samples=num_samples, num_iterations=num_iterations, **options
    )


def fit(
    folder: Path,
    used: Any,
    *more: pl.Callback,
    data: DesignDataModule | None = None,
    autofocused: bool = True,
    checkpoint: Path | None = None,
) -> pl.Trainer:
    trainer = trainer_with(
        folder,
        used,
        callbacks.ImportanceWeighting(enabled=autofocused),
        callbacks.OracleConvergence(max_epochs=2),
        callbacks.Trajectory(),
        callbacks.CandidateWriter(),
        callbacks.DesignCheckpoint(),
        *more,
    )
    trainer.fit(ensemble(), datamodule=data or Recipes(), ckpt_path=checkpoint)
    return trainer


def can_be_made(designs: Tensor, data: Recipes) -> bool:
    hours, _, *one_hots = designs.mT
    whole = (hours == hours.round()).all() and (hours.abs() <= 5).all()
    groups = torch.stack(one_hots[:3], 1), torch.stack(one_hots[3:], 1)
    single = all(((g == 0) | (g == 1)).all() and (g.sum(1) == 1).all() for g in groups)
    return bool(whole and single and data.feasible(designs).all())


@pytest.mark.parametrize("autofocused", [True, False])
def test_samples_can_be_made(autofocused: bool, tmp_path: Path) -> None:
    recorder = Recorder()
    trainer = fit(tmp_path, search(), recorder, autofocused=autofocused)
    data, used = trainer.datamodule, find(trainer, callbacks.SearchModelUpdate)
    assert isinstance(used.search.search_model, Product)
    for t, iteration in enumerate(recorder.iterations):
        samples = iteration.samples
        assert len(samples.designs) == NUM_SAMPLES
        assert can_be_made(samples.designs, data)
        model = recorder.sampled_models[t]
        torch.testing.assert_close(samples.log_prob, model.log_prob(samples.drawn))
        # The share of draws of its own.
        drawn = data.nearest_allowed(model.sample(20_000, torch.Generator().manual_seed(1)))
        expected = data.feasible(drawn).double().mean().item()
        rate = iteration.metrics["acceptance_rate"]
        assert rate == pytest.approx(expected, abs=0.13)
        assert 0 < rate < 1
    assert torch.equal(recorder.last_samples[-1], recorder.iterations[-1].samples.designs)
    assert torch.equal(
        used.search.last_samples(trainer.lightning_module), recorder.iterations[-1].samples.designs
    )
    candidates = pd.read_csv(tmp_path / "candidates.csv")
    assert (candidates["degrees"] <= 1).all()
    assert not ((candidates["solvent"] == "A") & (candidates["vessel"] == "X")).any()
    assert not candidates[["hours", "degrees", "solvent", "vessel"]].duplicated().any()
    trajectory = pd.read_csv(tmp_path / "trajectory.csv")
    assert np.isfinite(trajectory).all(axis=None)
    assert (trajectory["oracle_refitted"] == autofocused).all()
    assert "acceptance_rate" in trajectory


@pytest.mark.parametrize("autofocused", [True, False])
def test_a_resumed_run_is_the_straight_run(autofocused: bool, tmp_path: Path) -> None:
    straight, resumed = tmp_path / "straight", tmp_path / "resumed"
    fit(straight, search(), autofocused=autofocused)
    fit(resumed, search(num_iterations=1), autofocused=autofocused)
    last = resumed / "checkpoints" / "last.ckpt"
    fit(resumed, search(), autofocused=autofocused, checkpoint=last)
    for name in ("candidates.csv", "trajectory.csv"):
        assert (resumed / name).read_bytes() == (straight / name).read_bytes()


def test_predicted_candidates_can_be_made(tmp_path: Path) -> None:
    trainer = fit(tmp_path, search(num_iterations=1))
    trainer.predict(ckpt_path="last", datamodule=trainer.datamodule)
    predicted = pd.read_csv(tmp_path / "predicted_candidates.csv")
    assert len(predicted) == 100
    assert (predicted["hours"] == predicted["hours"].round()).all()
    assert (predicted["degrees"] <= 1).all()


def test_without_constraints_nothing_is_recorded_of_them(tmp_path: Path) -> None:
    class Free(Recipes):
        has_constraints = False

        def feasible(self, designs: Tensor) -> Tensor:
            return DesignDataModule.feasible(self, designs)

    recorder = Recorder()
    fit(tmp_path, search(num_iterations=1), recorder, data=Free())
    assert "acceptance_rate" not in recorder.iterations[0].metrics
    assert Recipes().has_constraints
    assert not Toy().has_constraints


def test_goes_on_with_what_meets_the_constraints(tmp_path: Path) -> None:
    recorder = Recorder()
    # The greatest of 80 draws is as a rule below that, of 100 × 20 draws not.
    with pytest.warns(UserWarning, match=r"of 2,000 designs .* only \d+ meet data.cons") as caught:
        fit(tmp_path, search(1, num_samples=20), recorder, data=HotOnly(2.6))
    assert sum("meet data.constraints" in str(w.message) for w in caught) == 1
    assert 2 <= len(recorder.iterations[0].samples.designs) < 20
    assert can_be_made_hot(recorder.iterations[0].samples.designs, 2.6)


class HotOnly(Recipes):
    """Where only what is hotter than a limit can be made."""

    def __init__(self, coldest: float) -> None:
        super().__init__()
        self.coldest = coldest

    def feasible(self, designs: Tensor) -> Tensor:
        return designs[:, 1] > self.coldest


def can_be_made_hot(designs: Tensor, coldest: float) -> bool:
    return bool((designs[:, 1] > coldest).all())


def test_where_nothing_can_be_made_the_search_does_not_begin(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"next to none .* meets data\.constraints: check"):
        fit(tmp_path, search(num_samples=20), data=HotOnly(1e6))


class Narrow(callbacks.DesignCallback):
    """Allows nothing any more after the first design iteration."""

    def on_search_model_update(self, trainer: Any, oracle: Any, iteration: Any) -> None:
        trainer.datamodule.hottest = -1e6


def test_where_nothing_can_be_made_any_more_the_search_ends(tmp_path: Path) -> None:
    recorder = Recorder()
    with pytest.warns(UserWarning, match="the search ends after design iteration 0: next to none"):
        trainer = fit(tmp_path, search(num_samples=20), recorder, Narrow())
    assert len(recorder.iterations) == 1
    assert find(trainer, callbacks.SearchModelUpdate).finished
    assert len(pd.read_csv(tmp_path / "candidates.csv")) == 4
    with pytest.raises(DataError, match=r"none meets data\.constraints: relax"):
        find(trainer, callbacks.SearchModelUpdate).search.last_samples(trainer.lightning_module)


@pytest.mark.parametrize(
    ("given", "part"),
    [(None, "numbers"), (MultivariateNormal(), "numbers"), (Categorical(7.0), "categories")],
)
def test_the_search_model_is_chosen(given: SearchModel | None, part: str, tmp_path: Path) -> None:
    trainer = fit(tmp_path, search(num_iterations=1, search_model=given))
    model = find(trainer, callbacks.SearchModelUpdate).search.search_model
    assert isinstance(model, Product)
    assert given is None or getattr(model, part) is given


def test_cma_es_takes_its_own_model_and_numbers_alone(tmp_path: Path) -> None:
    used = callbacks.SearchModelUpdate(CMAES(), num_samples=20, num_iterations=1)
    assert isinstance(used.search._given[0], CMANormal)
    with pytest.raises(ConfigurationError, match="CMANormal needs designs of numbers alone"):
        fit(tmp_path, used)


class Low(Toy):
    """The one-dimensional example where nothing above 4 can be made."""

    def feasible(self, designs: Tensor) -> Tensor:
        return designs[:, 0] <= 4


def test_a_density_on_a_grid_keeps_to_the_constraints(tmp_path: Path) -> None:
    recorder = Recorder()
    used = callbacks.SearchModelUpdate(CbAS(0.8), Quadrature(0.0, 10.0, 41), 30, 2)
    trainer = trainer_with(tmp_path, used, recorder, callbacks.OracleConvergence(max_epochs=1))
    trainer.fit(KernelRidge(), datamodule=Low())
    assert all((i.samples.designs <= 4).all() for i in recorder.iterations)
    beyond = used.search.search_model.nodes[:, 0] > 4
    assert used.search.search_model.log_density[beyond].exp().max() < 1e-200
    assert used.search.search_model.log_density[~beyond].exp().max() > 0.1


def ascent(**options: Any) -> Any:
    return callbacks.GradientAscent(num_starts=30, **{"num_steps": 5, "step_size": 0.2} | options)


def test_an_ascent_keeps_to_what_can_be_made(tmp_path: Path) -> None:
    used = ascent()
    trainer = fit(tmp_path, used, autofocused=False)
    data, samples = trainer.datamodule, used.search.last_samples(trainer.lightning_module)
    assert can_be_made(samples, data)
    assert can_be_made(used.search.more_samples(trainer.lightning_module, 50).designs, data)
    # What has climbed out of the feasible is put back to where it last was.
    assert len(used.search.particles) == len(samples) == 30
    means = trainer.lightning_module.predict(samples).mean.numpy()
    trajectory = pd.read_csv(tmp_path / "trajectory.csv")
    assert trajectory["oracle_p80"][0] == pytest.approx(np.quantile(means, 0.8), rel=1e-5)
    assert 0 < trajectory["acceptance_rate"][0] < 1
    candidates = pd.read_csv(tmp_path / "candidates.csv")
    assert (candidates["degrees"] <= 1).all()
    # It starts from the best feasible designs.
    feasible = data.feasible(data.designs)
    best = data.properties[feasible].sort(descending=True).values[:30]
    labels = {tuple(d): y for d, y in zip(data.designs.tolist(), data.properties, strict=True)}
    starts = trainer.datamodule.test_designs["starting designs"]()
    assert torch.equal(torch.stack([labels[tuple(s)] for s in starts.tolist()]), best)


def test_an_ascent_needs_a_start_and_an_end_that_can_be_made(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no training design meets data\.constraints"):
        fit(tmp_path, ascent(), data=Recipes(hottest=-1e6), autofocused=False)
    with pytest.raises(DataError, match=r"next to none .* meets data\.constraints: check"):
        fit(tmp_path, ascent(), Freeze(), autofocused=False)


class Freeze(pl.Callback):
    """Allows nothing any more when the ascent has its starts."""

    def on_train_start(self, trainer: Any, oracle: Any) -> None:
        trainer.datamodule.hottest = -1e6
