"""Losses of lists against sums over copies of designs, and the scores' way to the labels' scale."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from lightning_mbo.data import DesignBatch, LabelNoise
from lightning_mbo.data.fits import Fits
from lightning_mbo.oracles import Convergence, ListLoss, ListNet, RankCosine, RankingEnsemble
from lightning_mbo.oracles.ranking_ensemble import slope_of
from lightning_mbo.problem import DesignProblem
from lightning_mbo.space import DesignSpace

LOSSES = [ListNet(), RankCosine()]
named = pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: type(loss).__name__)


def published(loss: ListLoss, scores: NDArray[np.float64], labels: NDArray[np.float64]) -> float:
    """Of a list without weights."""
    if isinstance(loss, RankCosine):
        return 1 - np.corrcoef(scores, labels)[0, 1]
    first, said = (np.exp(part) / np.exp(part).sum() for part in (labels, scores))
    return -(first * np.log(said)).sum()


def built(loss: ListLoss | None = None, num_members: int = 2) -> RankingEnsemble:
    oracle = RankingEnsemble(num_members, (6,), loss=loss)
    oracle.build(DesignSpace.of_shape(torch.Size([4])))
    oracle.property_mean.fill_(3.0)
    oracle.property_std.fill_(2.0)
    return oracle


def batch_of(b: int = 30, seed: int = 0) -> DesignBatch:
    generator = torch.Generator().manual_seed(seed)
    designs = torch.randn(2, b, 4, generator=generator)
    labels = 3 + 2 * torch.randn(2, b, generator=generator)
    return DesignBatch(designs, labels, torch.rand(2, b, generator=generator) + 0.1, b)


@named
def test_a_design_counts_as_so_many(loss: ListLoss) -> None:
    rng = np.random.default_rng(0)
    scores, labels = rng.normal(size=(2, 3, 12)) * [[[2]], [[1]]]
    copies = rng.integers(0, 4, size=(3, 12))
    found = loss(*map(torch.from_numpy, (scores, labels, copies.astype(float))))
    expected = []
    for s, y, number in zip(scores, labels, copies, strict=True):
        expected.append(published(loss, np.repeat(s, number), np.repeat(y, number)))
    np.testing.assert_allclose(found.numpy(), expected)


@named
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_lists_that_say_nothing_have_a_finite_loss_and_gradient(
    loss: ListLoss, dtype: torch.dtype
) -> None:
    labels = torch.randn(4, 7, dtype=dtype)
    labels[2] = 0.5
    weights = torch.ones(4, 7, dtype=dtype)
    weights[0] = 0.0
    weights[1, 1:] = 0.0
    scores = torch.zeros(4, 7, dtype=dtype, requires_grad=True)
    loss(scores, labels, weights).sum().backward()
    assert scores.grad.isfinite().all()


@named
def test_the_order_is_what_is_learnt(loss: ListLoss) -> None:
    """Scores of the labels' order, whatever their level, lose least."""
    labels, weights = torch.randn(1, 50), torch.rand(1, 50)
    right = loss(labels + 7, labels, weights)
    for _ in range(20):
        wrong = labels[:, torch.randperm(50)]
        assert (loss(wrong, labels, weights) > right).all()


@named
def test_a_member_s_loss_is_its_list_s(loss: ListLoss) -> None:
    oracle, batch = built(loss), batch_of()
    oracle.slope.copy_(torch.tensor([3.0, 0.1]))  # the scores' own scale is what is trained
    with torch.no_grad():
        scores = oracle.network(batch.designs)[..., 0]
        labels = (batch.properties - 3) / 2
        expected = batch.weights.mean(1) * loss(scores, labels, batch.weights)
        torch.testing.assert_close(oracle.member_losses(batch), expected)
        errors = torch.rand(2, 30)
        noisy = batch._replace(noise=LabelNoise(errors, torch.zeros(2, 30)))
        weights = batch.weights / (1 + (errors / 2).square())  # of a variance of one
        expected = weights.mean(1) * loss(scores, labels, weights)
        torch.testing.assert_close(oracle.member_losses(noisy), expected)


def test_the_slope_is_that_of_least_squares_with_two_more_points() -> None:
    rng = np.random.default_rng(1)
    s = 5 * rng.normal(size=40) + 2
    y = 0.3 * s + rng.normal(size=40)
    s, y = s - s.mean(), y - y.mean()
    # Two points a standard deviation from the mean, on either side, that agree.
    more_s, more_y = (np.append(part, [part.std(), -part.std()]) for part in (s, y))
    figures = (torch.tensor([value]) for value in (s.var(), y.var(), (s * y).mean(), 40.0))
    assert slope_of(*figures).item() == pytest.approx(np.polyfit(more_s, more_y, 1)[0])


def test_the_slope_never_falls() -> None:
    ones = torch.ones(2, dtype=torch.float64)
    slopes = slope_of(4 * ones, ones, torch.tensor([-2.0, 2.0]), torch.tensor([1e4, 1e4]))
    assert 0 < slopes[0] < 1e-3
    assert slopes[1] == pytest.approx(0.5)


def judged(oracle: RankingEnsemble, *batches: DesignBatch) -> dict[str, Tensor]:
    with torch.no_grad():
        for number, batch in enumerate(batches):
            oracle.validation_step(batch, number)
        return oracle.end_validation()


def test_scores_are_put_on_the_labels_scale() -> None:
    oracle, batch = built(), batch_of(4000)
    with torch.no_grad():
        scores = oracle.network(batch.designs)[..., 0]
        # The labels follow from the scores by a line, with noise of half their deviation.
        noise = 0.5 * torch.randn(2, 4000)
        labels = (scores - scores.mean()) / scores.std() + noise
    batch = batch._replace(properties=3 + 2 * labels)
    halves = [
        DesignBatch(batch.designs[:, part], batch.properties[:, part], batch.weights[:, part], 1)
        for part in (slice(1500), slice(1500, None))
    ]
    figures = judged(oracle, *halves)
    for j in range(2):
        w = batch.weights[j].numpy()
        slope, level = np.polyfit(scores[j].numpy(), labels[j].numpy(), 1, w=np.sqrt(w))
        assert oracle.slope[j].item() == pytest.approx(slope, rel=2e-3)
        assert oracle.level[j].item() == pytest.approx(level, abs=2e-3)
    assert oracle.residual_variance.tolist() == pytest.approx([0.25, 0.25], rel=0.1)
    assert figures["validation_loss"].tolist() == pytest.approx([0.25, 0.25], rel=0.1)
    said = oracle.member_predictions(batch.designs)
    torch.testing.assert_close(
        said.loc, 3 + 2 * (oracle.level[:, None] + oracle.slope[:, None] * scores)
    )
    assert oracle._held_out_scores == []


@pytest.mark.parametrize("b", [1, 2, 3])
def test_few_held_out_points_leave_the_property_s_own_deviation(b: int) -> None:
    oracle = built()
    judged(oracle, batch_of(b))
    assert (oracle.residual_variance > 0.3).all()
    assert (oracle.slope > 0).all()


def test_what_weighs_nothing_changes_nothing() -> None:
    oracle = built()
    judged(oracle, batch_of())
    before = {name: value.clone() for name, value in oracle.state_dict().items()}
    batch = batch_of(seed=1)
    judged(oracle, batch._replace(weights=torch.zeros_like(batch.weights)))
    assert all(torch.equal(before[name], value) for name, value in oracle.state_dict().items())


@named
def test_a_fit_predicts_the_labels(loss: ListLoss) -> None:
    rng = np.random.default_rng(0)
    designs = rng.normal(size=(600, 3))
    labels = 100 + 5 * np.sin(designs[:, 0]) - designs[:, 1] ** 2 + 0.1 * rng.normal(size=600)
    problem = DesignProblem.of_table(
        torch.from_numpy(designs[:400]), torch.from_numpy(labels[:400])
    )
    oracle = RankingEnsemble(2, (64,), learning_rate=0.01, loss=loss)
    oracle.prepare(problem)
    fits = Fits(problem, batch_size=100)
    fits.begin()
    oracle.fit(fits, Convergence(patience=60, max_epochs=60))
    said = oracle.predict(torch.from_numpy(designs[400:]))
    errors = labels[400:] - said.mean.numpy()
    assert errors.std() < 0.35 * labels.std()
    assert abs(errors.mean()) < 0.1 * labels.std()
    assert np.mean(np.abs(errors) < 2 * said.std.numpy()) > 0.85
