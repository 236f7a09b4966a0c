"""What held-out designs say of a run, and what follows from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats
from torch import Tensor
from torch.distributions import Normal

from lightning_mbo.algorithms import CbAS
from lightning_mbo.data import CSV, DesignDataModule, LabelNoise
from lightning_mbo.errors import CheckpointError, ConfigurationError
from lightning_mbo.evidence.halves import bounds_of_held_out
from lightning_mbo.evidence.held_out import held_out_figures, weighted_log_likelihood
from lightning_mbo.samples import Prediction
from lightning_mbo.search_models import MultivariateNormal
from tests.callbacks.quadratic import (
    NUM_SAMPLES,
    OFFSET,
    SCALE,
    callbacks,
    ensemble,
    equal_states,
    find,
    height,
    read_table,
    run,
    trainer_with,
)

pytestmark = pytest.mark.usefixtures("_blank_pictures")


class Split(DesignDataModule):
    """The plane of `Quadratic` with more designs, a third of them held out."""

    property_name = "height (m)"

    def __init__(self, sign: float = 1.0, num_designs: int = 90, **kwargs: Any) -> None:
        super().__init__(**({"batch_size": 20, "held_out_fraction": 1 / 3} | kwargs))
        self.sign = sign
        self.num_designs = num_designs

    def load(self) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(3)
        designs = torch.randn(self.num_designs, 2, generator=generator, dtype=torch.float64)
        return designs, height(designs)

    def to_user_units(self, designs: Tensor) -> pd.DataFrame:
        return pd.DataFrame(designs.numpy() * SCALE + OFFSET, columns=["width", "length"])


class Witness(callbacks.DesignCallback):
    """Keeps what the oracle says of the held-out designs in each iteration, and the ratios."""

    def __init__(self) -> None:
        self.seen: list[Any] = []
        self.best: list[int] = []

    def on_search_model_update(self, trainer: Any, oracle: Any, iteration: Any) -> None:
        data = trainer.datamodule
        prediction = oracle.predict(data.held_out_designs)
        sampled = find(trainer, callbacks.SearchModelUpdate).search.sampled_model
        densities = [
            stats.multivariate_normal(model.mean.numpy(), model.covariance.numpy())
            for model in (sampled, iteration.training_distribution)
        ]
        points = data.held_out_designs.numpy()
        log_ratios = densities[0].logpdf(points) - densities[1].logpdf(points)
        self.seen.append((prediction.mean.numpy(), prediction.std.numpy(), log_ratios))
        if iteration.is_best:
            self.best.append(iteration.number)


def search(select: Any = "promise", num_iterations: int = 3) -> Any:
    return callbacks.SearchModelUpdate(
        CbAS(), MultivariateNormal(), NUM_SAMPLES, num_iterations, select=select
    )


def fitted(
    folder: Path,
    *used: Any,
    select: Any = "promise",
    num_iterations: int = 3,
    kind: type[Split] = Split,
    **data: Any,
) -> tuple[Any, Witness]:
    witness = Witness()
    trainer = trainer_with(
        folder,
        search(select, num_iterations),
        callbacks.ImportanceWeighting(0.2),
        callbacks.OracleConvergence(max_epochs=3),
        witness,
        callbacks.HeldOut(),
        callbacks.Trajectory(),
        *used,
    )
    trainer.fit(ensemble(), datamodule=kind(**data))
    return trainer, witness


def weighted(values: Any, log_ratios: Any) -> float:
    weights = np.exp(log_ratios - log_ratios.max())
    return float((weights * values).sum() / weights.sum())


def test_figures() -> None:
    mean, std = torch.tensor([1.0, 4.0, 2.0, 8.0]).double(), torch.tensor([1.0, 2, 1, 0.5]).double()
    properties = torch.tensor([2.0, 3.0, 5.0, 7.0]).double()
    figures = held_out_figures(Normal(mean, std), properties)
    assert figures["rank_correlation"] == pytest.approx(0.8)  # 1 - 6 Σd² / (n (n² - 1)), Σd² = 2
    assert figures["top_overlap"] == 1.0
    assert figures["rmse"] == pytest.approx(np.sqrt((1 + 1 + 9 + 1) / 4))
    z = np.array([1.0, 0.5, 3.0, 2.0])
    expected = np.mean(-(z**2) / 2 - np.log(std.numpy()) - np.log(2 * np.pi) / 2)
    assert figures["log_likelihood"] == pytest.approx(expected)


def test_the_weighted_likelihood_is_that_of_the_heavy_designs() -> None:
    prediction = Normal(torch.zeros(3).double(), torch.ones(3).double())
    properties = torch.tensor([0.0, 1.0, 2.0]).double()
    log_probs = prediction.log_prob(properties)
    ratios = torch.tensor([0.5, 0.25, 0.25]).double()
    found = weighted_log_likelihood(prediction, properties, ratios.log() + 900)
    assert found == pytest.approx((ratios @ log_probs).item())
    nothing = torch.full((3,), -torch.inf).double()
    assert np.isnan(weighted_log_likelihood(prediction, properties, nothing))


def test_metrics_of_a_run(tmp_path: Path) -> None:
    trainer, witness = fitted(tmp_path)
    rows = read_table(tmp_path / "trajectory.csv")
    labels = trainer.datamodule.held_out_properties.numpy()
    first = stats.norm(*witness.seen[0][:2]).logpdf(labels)
    assert len(rows) == 3
    for t, (mean, std, log_ratios) in enumerate(witness.seen):
        log_likelihoods = stats.norm(mean, std).logpdf(labels)
        weights = np.exp(log_ratios - log_ratios.max())
        expected = {
            "rank_correlation": stats.spearmanr(mean, labels).statistic,
            "rmse": np.sqrt(np.mean((mean - labels) ** 2)),
            "log_likelihood": log_likelihoods.mean(),
            "weighted_log_likelihood": weighted(log_likelihoods, log_ratios),
            "weighted_log_likelihood_original": weighted(first, log_ratios),
            "effective_sample_size": weights.sum() ** 2 / (weights**2).sum(),
        }
        for name, value in expected.items():
            assert rows[f"held_out_{name}"][t] == pytest.approx(value, rel=1e-5), name
    assert trainer.callback_metrics["design/held_out_rmse"] == pytest.approx(
        rows["held_out_rmse"].iloc[-1], rel=1e-5
    )
    # The samples of the first iteration come from p_0, and the oracle is the original one.
    assert rows["held_out_effective_sample_size"][0] == pytest.approx(30)
    assert rows["held_out_weighted_log_likelihood"][0] == pytest.approx(first.mean())


class Measured(Split):
    """The same, whose labels have errors."""

    def load(self) -> tuple[Tensor, Tensor]:
        designs, properties = super().load()
        errors = torch.linspace(0.1, 5, 90, dtype=torch.float64)
        self.noise = LabelNoise(errors, torch.zeros(90, dtype=torch.float64))
        return designs, properties


@pytest.mark.parametrize("select", ["promise", "held_out_likelihood"])
def test_labels_with_errors_are_judged_by_them(select: Any, tmp_path: Path) -> None:
    used = callbacks.CandidateWriter(), callbacks.Report()
    trainer, witness = fitted(tmp_path, *used, select=select, kind=Measured)
    data, rows = trainer.datamodule, read_table(tmp_path / "trajectory.csv")
    labels, errors = data.held_out_properties.numpy(), data.problem.evidence.noise.errors.numpy()
    stds = [np.sqrt(std**2 + errors**2) for _, std, _ in witness.seen]
    scores = []
    for t, (mean, _, log_ratios) in enumerate(witness.seen):
        log_likelihoods = stats.norm(mean, stds[t]).logpdf(labels)
        scores.append(weighted(log_likelihoods, log_ratios))
        assert rows["held_out_log_likelihood"][t] == pytest.approx(log_likelihoods.mean())
        assert rows["held_out_weighted_log_likelihood"][t] == pytest.approx(scores[-1])
    if select == "held_out_likelihood":
        found = find(trainer, callbacks.SearchModelUpdate)
        assert found.selector.best_score == pytest.approx(max(scores), rel=1e-5)
    chosen = find(trainer, callbacks.CandidateWriter).iteration
    report = find(trainer, callbacks.Report)
    np.testing.assert_allclose(report.held_out["std"], stds[chosen])
    # A held-out label is as far from its prediction as the oracle and its own error allow.
    some = Prediction(*torch.tensor([[-1e3], [2.0], [1.0]]).double())
    held_out = trainer.lightning_module.predict(data.held_out_designs)
    mean, std = held_out.mean.numpy(), held_out.std.numpy()
    promising = mean >= np.quantile(mean, 0.8)
    shortfalls = ((mean - labels) / np.hypot(std, errors))[promising]
    bound = bounds_of_held_out(some, held_out, data.problem).property
    assert bound.item() == pytest.approx(-1e3 - 2 * max(1.645, np.quantile(shortfalls, 0.95)))


def test_no_label_of_a_held_out_row_decides_anything(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.normal(size=90), "b": rng.integers(0, 5, 90), "y": 0.0})
    frame["y"], frame["sd"] = frame["a"] + frame["b"] + rng.normal(size=90), 0.3
    frame = pd.concat([frame, frame[:5].assign(y=1.0)], ignore_index=True)
    found = []
    for offset, error in ((0.0, 0.3), (1e6, 50.0)):
        if found:
            before = found[0][0]
            rows = before.nearest_known(before.held_out_designs)["nearest_row"] - 1
            changed = frame["a"].isin(frame["a"].iloc[rows])
            frame.loc[changed, "y"] += offset
            frame.loc[changed, "sd"] = error
        data = CSV(frame, "y", error_column="sd", held_out_fraction=1 / 3)
        used = callbacks.HeldOut(), callbacks.CandidateWriter()
        trainer, recorder = run(tmp_path, *used, data=data)
        found.append((data, recorder, trainer))
    (one, first, _), (other, second, _) = found
    assert one.batch_size == other.batch_size
    assert not torch.equal(one.held_out_properties, other.held_out_properties)
    for name in ("designs", "properties", "weights", "held_out_designs"):
        assert torch.equal(getattr(one, name), getattr(other, name)), name
    for t in range(3):
        assert equal_states(first.oracles[t], second.oracles[t])
        for mine, theirs in zip(first.numpy(t), second.numpy(t), strict=True):
            np.testing.assert_array_equal(mine, theirs)
        assert first.iterations[t].threshold == second.iterations[t].threshold
        assert first.iterations[t].is_best == second.iterations[t].is_best


def test_nothing_is_added_without_held_out_designs(tmp_path: Path) -> None:
    _, recorder = run(tmp_path, callbacks.HeldOut(), num_iterations=1)
    assert not [name for name in recorder.iterations[0].metrics if "held_out" in name]


def likes_no_shift(prediction: Normal, properties: Tensor, log_ratios: Tensor) -> float:
    """Greatest in the first iteration, whose promise is not."""
    return -log_ratios.abs().max().item()


@pytest.mark.parametrize(("select", "best"), [("promise", 2), ("held_out_likelihood", 0)])
def test_the_rule_chooses(
    select: str, best: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("evidence.selection", "callbacks.held_out"):
        monkeypatch.setattr(f"lightning_mbo.{module}.weighted_log_likelihood", likes_no_shift)
    used = callbacks.CandidateWriter(), callbacks.DesignCheckpoint()
    trainer, witness = fitted(tmp_path, *used, select=select)
    rows = read_table(tmp_path / "trajectory.csv")
    names = {"promise": "oracle_p80", "held_out_likelihood": "held_out_weighted_log_likelihood"}
    assert rows[names[select]].argmax() == best
    assert (
        find(trainer, callbacks.SearchModelUpdate).selector.best_iteration
        == best
        == witness.best[-1]
    )
    assert find(trainer, callbacks.CandidateWriter).iteration == best
    saved = torch.load(tmp_path / "checkpoints" / "best.ckpt", weights_only=True)
    state = saved["callbacks"]["SearchModelUpdate"]
    assert state["search"]["_extra_state"]["num_done"] - 1 == best
    assert state["selector"]["best_iteration"] == best


def test_a_rule_needs_what_it_goes_by(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"held_out_likelihood needs .*held_out_fraction"):
        fitted(tmp_path, select="held_out_likelihood", held_out_fraction=0.0)
    with pytest.raises(ConfigurationError, match=r"search\.select must be one of promise"):
        search(select="luck")
    other = search("held_out_likelihood")
    with pytest.raises(CheckpointError, match=r"chosen by promise: give --search.select promise"):
        other.load_state_dict({"selector": {"rule": "promise"}})


def check_bounds(table: pd.DataFrame, data: Split, seen: Any) -> None:
    """By the definition, on the held-out designs that are most promising."""
    mean, std, _ = seen
    shortfalls = (mean - data.held_out_properties.numpy()) / std
    margin = max(1.645, np.quantile(shortfalls[mean >= np.quantile(mean, 0.8)], 0.95))
    name = "lower_95" if data.sign > 0 else "upper_95"
    expected = table["oracle_mean"] - data.sign * margin * table["oracle_std"]
    np.testing.assert_allclose(table[name], expected)


@pytest.mark.parametrize("num_candidates", [None, 6])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_bounds_of_the_candidates(sign: float, num_candidates: int | None, tmp_path: Path) -> None:
    used = callbacks.CandidateWriter(num_candidates), callbacks.DesignCheckpoint()
    trainer, witness = fitted(tmp_path, *used, sign=sign, num_iterations=2)
    best = find(trainer, callbacks.CandidateWriter).iteration
    check_bounds(read_table(tmp_path / "candidates.csv"), trainer.datamodule, witness.seen[best])
    trainer.predict(ckpt_path="last", datamodule=trainer.datamodule)
    predicted = read_table(tmp_path / "predicted_candidates.csv")
    check_bounds(predicted, trainer.datamodule, witness.seen[-1])
    assert predicted.columns.tolist() == read_table(tmp_path / "candidates.csv").columns.tolist()
