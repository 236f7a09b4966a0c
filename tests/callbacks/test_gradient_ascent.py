"""Search by gradient: where it goes, what it records of the way, and what it hands on."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import pytorch_lightning as pl
import torch
from scipy import stats
from torch import Tensor
from torch.distributions import Normal
from torch.nn import functional

from lightning_mbo.data import DesignDataModule
from lightning_mbo.errors import ConfigurationError
from lightning_mbo.oracles import (
    DifferentiableOracle,
    GradientOracle,
    LowerConfidenceBound,
    SmoothedLogits,
)
from lightning_mbo.space import DesignSpace
from tests.callbacks.quadratic import (
    NUM_DESIGNS,
    Quadratic,
    ScriptedOracle,
    callbacks,
    equal_states,
    height,
    read_table,
    run,
    trainer_with,
)

CENTRES = torch.tensor([[1.0, 4.0], [3.0, 1.0], [-1.0, 1.0]])
pytestmark = [
    pytest.mark.filterwarnings("ignore:Metric `SpearmanCorrcoef` will save all targets"),
    pytest.mark.filterwarnings("ignore:Be aware that when using `ckpt_path`, callbacks used to"),
    pytest.mark.usefixtures("_blank_pictures"),
]

RATE = 0.05 * math.sqrt(2)


class Bowls(DifferentiableOracle, GradientOracle):
    """Members that see one bowl each, on the standardised property; training changes nothing."""

    learning_rate = 0.0

    def __init__(self) -> None:
        super().__init__(num_members=3)

    def build(self, space: DesignSpace) -> None:
        super().build(space)
        self.offsets = torch.nn.Parameter(torch.zeros(3, 1))

    def input_outputs(self, inputs: Tensor) -> Normal:
        values = -(inputs - CENTRES[:, None]).square().sum(-1) + self.offsets
        return Normal(values, torch.ones_like(values), validate_args=False)


def ascend(
    folder: Path,
    search: Any,
    *used: pl.Callback,
    oracle: Any = None,
    data: DesignDataModule | None = None,
) -> pl.Trainer:
    trainer = trainer_with(folder, search, callbacks.OracleConvergence(max_epochs=1), *used)
    trainer.fit(oracle or Bowls(), datamodule=data or Quadratic())
    return trainer


def starts(number: int) -> Tensor:
    data = Quadratic()
    designs, properties = data.load()
    return designs[properties.argsort(descending=True)[:number]]


def climbed(start: Tensor, num_steps: int) -> Tensor:
    """On the members' mean: x - c shrinks by 1 - 2 rate in each step, c their mean centre."""
    centre = CENTRES.mean(0).double()
    return centre + (1 - 2 * RATE) ** num_steps * (start - centre)


@pytest.mark.parametrize("num_iterations", [1, 3])
def test_goes_where_the_closed_form_says(num_iterations: int, tmp_path: Path) -> None:
    search = callbacks.GradientAscent(4, 0.05, num_starts=7, num_iterations=num_iterations)
    record, writer = callbacks.AscentTrajectory(), callbacks.CandidateWriter()
    trainer = ascend(tmp_path, search, record, callbacks.Trajectory(), writer)
    assert search.finished
    assert search.search.num_done == num_iterations
    num_steps = 4 * num_iterations
    expected = climbed(starts(7), num_steps)
    torch.testing.assert_close(
        search.search.last_samples(trainer.lightning_module), expected, rtol=1e-5, atol=1e-5
    )
    # As long an ascent from as many designs leads to the same place.
    torch.testing.assert_close(
        search.search.more_samples(trainer.lightning_module, 7).designs,
        search.search.last_samples(trainer.lightning_module),
    )
    assert len(search.search.more_samples(trainer.lightning_module, 11).designs) == 11
    assert len(search.search.more_samples(trainer.lightning_module, 1000).designs) == NUM_DESIGNS
    mean, std = (getattr(trainer.lightning_module, f"property_{f}").item() for f in ("mean", "std"))
    rows = read_table(tmp_path / "ascent.csv")
    assert rows["step"].tolist() == list(range(num_steps + 1))
    for step, row in rows.iterrows():
        place = climbed(starts(7), step)
        values = -(place - CENTRES.double()[:, None]).square().sum(-1) * std + mean
        assert row["oracle_mean"] == pytest.approx(values.mean().item(), rel=1e-4)
        spread = values.std(0, correction=0).mean().item()
        assert row["ensemble_disagreement"] == pytest.approx(spread, rel=1e-4)
        assert row["ground_truth_mean"] == pytest.approx(height(place).mean().item(), rel=1e-4)
        assert row["ground_truth_max"] == pytest.approx(height(place).max().item(), rel=1e-4)
    assert (tmp_path / "ascent.png").exists()
    trajectory = pd.read_csv(tmp_path / "trajectory.csv")
    assert trajectory["design_iteration"].tolist() == list(range(num_iterations))
    candidates = pd.read_csv(tmp_path / "candidates.csv")
    assert len(candidates) == 7
    assert candidates["oracle_mean"].is_monotonic_decreasing
    assert not any(column.startswith("log_prob") for column in candidates)


def test_climbs_what_it_is_told(tmp_path: Path) -> None:
    ends = []
    for objective in (None, LowerConfidenceBound(0.0), LowerConfidenceBound(0.1)):
        search = callbacks.GradientAscent(200, 0.02, num_starts=5, objective=objective)
        trainer = ascend(tmp_path, search)
        ends.append(search.search.last_samples(trainer.lightning_module))
    torch.testing.assert_close(ends[0], ends[1], rtol=1e-4, atol=1e-4)
    # Each has climbed higher on its own objective.
    views = [-(end - CENTRES.double()[:, None]).square().sum(-1) for end in ends]
    bounds = [(view.mean(0) - 0.1 * view.std(0, correction=0)).mean() for view in views]
    assert views[1].mean() > views[2].mean()
    assert bounds[2] > bounds[1]


def forbidden(designs: Tensor) -> Tensor:
    raise AssertionError("the search asked for the ground truth")


def test_the_search_never_reads_the_ground_truth(tmp_path: Path) -> None:
    search = callbacks.GradientAscent(3, num_starts=5)
    ascend(tmp_path, search, callbacks.CandidateWriter(), data=Quadratic(forbidden))
    assert search.finished


def test_without_a_ground_truth(tmp_path: Path) -> None:
    search = callbacks.GradientAscent(3, num_starts=5)
    ascend(tmp_path, search, callbacks.AscentTrajectory(), data=Quadratic(None))
    columns = ["step", "oracle_mean", "ensemble_disagreement"]
    assert list(read_table(tmp_path / "ascent.csv")) == columns
    assert (tmp_path / "ascent.png").exists()


def test_a_ground_truth_that_takes_long_is_not_read_on_the_way(tmp_path: Path) -> None:
    data = Quadratic(forbidden)
    data.most_scored = 19
    search = callbacks.GradientAscent(3, num_starts=5)
    ascend(tmp_path, search, callbacks.AscentTrajectory(), data=data)
    columns = ["step", "oracle_mean", "ensemble_disagreement"]
    assert list(read_table(tmp_path / "ascent.csv")) == columns
    data = Quadratic()
    data.most_scored = 20  # all of them
    search = callbacks.GradientAscent(3, num_starts=5)
    ascend(tmp_path, search, callbacks.AscentTrajectory(), data=data)
    assert "ground_truth_max" in read_table(tmp_path / "ascent.csv")


def test_goes_on_from_the_saved_state(tmp_path: Path) -> None:
    whole, first, second = (
        callbacks.GradientAscent(3, num_starts=5, num_iterations=n) for n in (2, 1, 2)
    )
    records = [callbacks.AscentTrajectory() for _ in range(3)]
    ascend(tmp_path, whole, records[0])
    trainer = ascend(tmp_path, first, records[1], callbacks.DesignCheckpoint())
    last = Path(trainer.checkpoint_callback.dirpath) / "last.ckpt"
    again = trainer_with(tmp_path, second, callbacks.OracleConvergence(max_epochs=1), records[2])
    again.fit(Bowls(), datamodule=Quadratic(), ckpt_path=last)
    assert torch.equal(second.search.particles, whole.search.particles)
    assert records[2].rows == records[0].rows
    assert records[1].rows == records[0].rows[:4]


def test_other_searches_leave_no_ascent(tmp_path: Path) -> None:
    record = callbacks.AscentTrajectory()
    run(tmp_path, record, num_iterations=1)
    assert record.rows == []
    assert not (tmp_path / "ascent.csv").exists()


class Words(DesignDataModule):
    """All words of three letters, worth the number of their Bs."""

    def load(self) -> tuple[Tensor, Tensor]:
        letters = torch.cartesian_prod(*[torch.arange(3)] * 3)
        return functional.one_hot(letters, 3).double(), (letters == 1).sum(1).double()

    def to_user_units(self, designs: Tensor) -> pd.DataFrame:
        letters = designs.argmax(-1)
        return pd.DataFrame({"word": ["".join("ABC"[i] for i in word) for word in letters]})


class CountOfBs(DifferentiableOracle, GradientOracle):
    """Adds the logits of B."""

    learning_rate = 0.0

    def __init__(self) -> None:
        super().__init__(representation=SmoothedLogits())

    def build(self, space: DesignSpace) -> None:
        super().build(space)
        self.offset = torch.nn.Parameter(torch.zeros(1, 1))

    def input_outputs(self, inputs: Tensor) -> Normal:
        values = inputs.unflatten(-1, (3, 2))[..., 0].sum(-1) + self.offset
        return Normal(values, torch.ones_like(values), validate_args=False)


def test_sequences_are_read_back_and_each_is_written_once(tmp_path: Path) -> None:
    search = callbacks.GradientAscent(10, 1.0, num_starts=9)
    writer = callbacks.CandidateWriter(keep_known=True)
    with pytest.warns(UserWarning, match="leads to 1 different designs .* where 9 are wanted"):
        trainer = ascend(tmp_path, search, writer, oracle=CountOfBs(), data=Words())
    samples = search.search.last_samples(trainer.lightning_module)
    assert samples.shape == (9, 3, 3)
    assert (samples[..., 1] == 1).all()
    candidates = pd.read_csv(tmp_path / "candidates.csv")
    assert candidates["word"].tolist() == ["BBB"]


class FirstIsB(CountOfBs):
    """Is the logit of B in the first place."""

    def input_outputs(self, inputs: Tensor) -> Normal:
        values = inputs.unflatten(-1, (3, 2))[..., 0, 0] + self.offset
        return Normal(values, torch.ones_like(values), validate_args=False)


class SomeWords(Words):
    """Every second word: of the nine that begin with B four, among them the best."""

    def load(self) -> tuple[Tensor, Tensor]:
        designs, properties = super().load()
        kept = torch.arange(len(designs)) % 2 == 0
        return designs[kept], properties[kept]


@pytest.mark.parametrize("number", [None, 3, 5])
def test_as_many_new_designs_as_are_wanted(number: int | None, tmp_path: Path) -> None:
    """Of the ends of the first ascents several are known, or are the same."""
    search = callbacks.GradientAscent(1, 1.0, num_starts=4)
    writer = callbacks.CandidateWriter(number)
    trainer = ascend(tmp_path, search, writer, oracle=FirstIsB(), data=SomeWords())
    known = set(trainer.datamodule.to_user_units(trainer.datamodule.designs)["word"])
    ends = trainer.datamodule.to_user_units(search.search.last_samples(trainer.lightning_module))[
        "word"
    ]
    assert len(set(ends) - known) < (number or 4)
    candidates = pd.read_csv(tmp_path / "candidates.csv")
    assert len(candidates) == (number or 4)
    assert candidates["word"].is_unique
    assert not set(candidates["word"]) & known
    assert candidates["oracle_mean"].is_monotonic_decreasing
    # What is recorded and scored is the search's own particles.
    assert len(search.search.last_samples(trainer.lightning_module)) == 4


def test_of_sequences_the_oracle_is_asked_on_the_way_and_of_the_nearest(tmp_path: Path) -> None:
    ascend(
        tmp_path,
        callbacks.GradientAscent(3, 0.1, num_starts=9),
        callbacks.AscentTrajectory(),
        oracle=CountOfBs(),
        data=Words(),
    )
    ascent = pd.read_csv(tmp_path / "ascent.csv")
    # The particles move at once, and so little that every word stays what it is.
    assert ascent["oracle_mean"].is_monotonic_increasing
    assert ascent["oracle_mean_of_designs"].nunique() == 1
    assert ascent["oracle_mean_of_designs"][0] == pytest.approx(ascent["oracle_mean"][0])


def test_predict(tmp_path: Path) -> None:
    search = callbacks.GradientAscent(4, num_starts=7)
    trainer = ascend(tmp_path, search, callbacks.CandidateWriter(), callbacks.DesignCheckpoint())
    trainer.predict(ckpt_path="best", datamodule=trainer.datamodule)
    predicted = pd.read_csv(tmp_path / "predicted_candidates.csv")
    candidates = pd.read_csv(tmp_path / "candidates.csv")
    assert list(predicted) == list(candidates)
    # From all training designs, as there are fewer than are asked for.
    assert len(predicted) == NUM_DESIGNS
    rows = predicted.merge(candidates, on=["width", "length"], how="inner")
    assert len(rows) >= 6


def test_scores(tmp_path: Path) -> None:
    search = callbacks.GradientAscent(4, num_starts=7)
    trainer = ascend(tmp_path, search, callbacks.Scoring(), callbacks.DesignCheckpoint())
    expected = height(search.search.last_samples(trainer.lightning_module))
    trainer.test(ckpt_path="best", datamodule=trainer.datamodule, verbose=False)
    scores = pd.read_csv(tmp_path / "scores.csv", index_col=0)
    assert scores.index.tolist() == ["search", "starting designs"]
    # All particles are candidates.
    assert scores.loc["search", "median"] == pytest.approx(np.median(expected.numpy()))
    assert scores.loc["starting designs", "max"] == pytest.approx(height(starts(7)).max().item())


def test_needs_a_gradient(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="ScriptedOracle has none"):
        ascend(tmp_path, callbacks.GradientAscent(), oracle=ScriptedOracle([[[1.0]]]))


class Refits(callbacks.DesignCallback):
    """Keeps each segment's path, its density and the weights that follow from it."""

    def __init__(self) -> None:
        self.paths: list[Tensor] = []
        self.models: list[Any] = []
        self.weights: list[Tensor] = []

    def on_search_model_update(self, trainer: pl.Trainer, oracle: Any, iteration: Any) -> None:
        self.paths.append(iteration.path)
        self.models.append((iteration.search_model, iteration.training_distribution))
        self.weights.append(trainer.datamodule.weights.clone())


def test_autofocused_by_a_density_around_the_particles(tmp_path: Path) -> None:
    search = callbacks.GradientAscent(4, num_starts=7, num_iterations=3)
    weighting, refits = callbacks.ImportanceWeighting(0.3), Refits()
    trainer = ascend(tmp_path, search, weighting, refits)
    data = trainer.datamodule
    assert data.fits.num_fits == 1 + 3
    designs = data.designs.numpy()
    for path, weights in zip(refits.paths, refits.weights, strict=True):
        particles = path[-1].double().numpy()
        covariance = (7 * np.cov(particles.T, bias=True) + 2 * np.cov(designs.T, bias=True)) / 9
        log_ratios = stats.multivariate_normal(particles.mean(0), covariance).logpdf(
            designs
        ) - stats.multivariate_normal(designs.mean(0), np.cov(designs.T, bias=True)).logpdf(designs)
        expected = np.exp(0.3 * log_ratios)
        np.testing.assert_allclose(weights.numpy(), expected / expected.mean(), rtol=1e-5)
    for path, following in itertools.pairwise(refits.paths):
        assert torch.equal(following[0], path[-1])


def test_the_density_is_a_function_of_the_particles(tmp_path: Path) -> None:
    """So that it need not be saved: an earlier segment leaves nothing behind in it."""
    densities = []
    for num_iterations in (2, 3):
        refits = Refits()
        search = callbacks.GradientAscent(4, num_starts=7, num_iterations=num_iterations)
        ascend(tmp_path, search, callbacks.ImportanceWeighting(), refits)
        densities.append(refits.models)
    assert equal_states(densities[0][1][0].state_dict(), densities[1][1][0].state_dict())
    assert not equal_states(densities[1][1][0].state_dict(), densities[1][2][0].state_dict())
    assert equal_states(densities[1][0][1].state_dict(), densities[1][2][1].state_dict())


def test_without_autofocusing_there_is_no_density(tmp_path: Path) -> None:
    refits = Refits()
    search = callbacks.GradientAscent(2, num_iterations=2)
    ascend(tmp_path, search, callbacks.ImportanceWeighting(enabled=False), refits)
    assert refits.models == [(None, None)] * 2


def test_words_are_autofocused(tmp_path: Path) -> None:
    search = callbacks.GradientAscent(1, 0.5, num_starts=9, num_iterations=2)
    trainer = ascend(
        tmp_path, search, callbacks.ImportanceWeighting(), oracle=CountOfBs(), data=Words()
    )
    weights, num_bs = trainer.datamodule.weights, trainer.datamodule.properties
    assert weights[num_bs == 3].min() > weights[num_bs == 0].max()


@pytest.mark.parametrize("words", [False, True])
def test_autofocused_by_a_classifier_of_the_particles(words: bool, tmp_path: Path) -> None:
    search = callbacks.GradientAscent(3, 0.5, num_starts=20, num_iterations=2)
    weighting, refits = callbacks.ImportanceWeighting(ratio="classifier"), Refits()
    parts = {"oracle": CountOfBs(), "data": Words()} if words else {}
    trainer = ascend(tmp_path, search, weighting, refits, **parts)
    weights, properties = trainer.datamodule.weights, trainer.datamodule.properties
    assert trainer.datamodule.fits.num_fits == 1 + 2
    assert refits.models == [(None, None)] * 2
    rank = stats.spearmanr(weights, properties)[0]
    assert rank > 0.3


def test_too_few_particles_for_a_classifier(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"10 particles, .* 9: .*num_starts, .* exact"):
        ascend(
            tmp_path,
            callbacks.GradientAscent(2, num_starts=9, num_iterations=2),
            callbacks.ImportanceWeighting(ratio="classifier"),
        )


def test_one_segment_cannot_be_autofocused(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigurationError, match=r"search\.num_iterations 1 makes one segment only"
    ):
        ascend(tmp_path, callbacks.GradientAscent(2), callbacks.ImportanceWeighting())


class Undirected(callbacks.GradientAscent):
    """An ascent that knows no densities."""

    def setup(self, trainer: pl.Trainer, oracle: pl.LightningModule, stage: str) -> None:
        callbacks.search.SearchCallback.setup(self, trainer, oracle, stage)


def test_a_search_without_densities_cannot_be_autofocused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="and this search has none"):
        ascend(tmp_path, Undirected(2, num_iterations=2), callbacks.ImportanceWeighting())


@pytest.mark.parametrize(
    "options",
    [{"num_steps": 0}, {"num_starts": 0}, {"num_iterations": 0}, {"step_size": 0.0}],
)
def test_refused_options(options: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError, match=f"search.*{next(iter(options))}"):
        callbacks.GradientAscent(**options)
