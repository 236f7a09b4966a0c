"""The mixture of oracles: what it compares, what it says, and what it keeps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from lightning_mbo.data import LabelNoise
from lightning_mbo.data.fits import Fits
from lightning_mbo.errors import ConfigurationError
from lightning_mbo.oracles import AdditiveRegression, GaussianProcess, KernelRidge, Stack
from lightning_mbo.oracles.closed_form import ClosedFormOracle
from lightning_mbo.problem import DesignProblem


def smooth(designs: Tensor) -> Tensor:
    return (2 * designs[:, 0] * designs[:, 1]).sin() + designs[:, 2]


def additive(designs: Tensor) -> Tensor:
    return designs @ torch.tensor([2.0, -1.0, 0.5]).double()


def problem_of(truth: object, n: int = 80, noise: float = 0.1) -> DesignProblem:
    generator = torch.Generator().manual_seed(0)
    designs = torch.randn(n, 3, generator=generator, dtype=torch.float64)
    labels = truth(designs)  # type: ignore[operator]
    return DesignProblem.of_table(
        designs, labels + noise * torch.randn(n, generator=generator, dtype=torch.float64)
    )


def fitted(
    problem: DesignProblem, oracles: Sequence[ClosedFormOracle], weights: Tensor | None = None
) -> Stack:
    stack = Stack(oracles)
    stack.prepare(problem.training)
    fits = Fits(problem.training)
    fits.begin(weights)
    stack.fit(fits)
    return stack


def kernels(*gammas: float) -> list[ClosedFormOracle]:
    return [KernelRidge(gamma, ridge=0.1) for gamma in gammas]


@pytest.mark.parametrize(
    ("truth", "best"), [(smooth, "GaussianProcess"), (additive, "AdditiveRegression")]
)
def test_what_suits_the_table_speaks(truth: object, best: str) -> None:
    problem = problem_of(truth)
    stack = fitted(problem, [GaussianProcess(), AdditiveRegression(), KernelRidge(100.0)])
    figures = stack.figures()
    assert figures[f"share_{best}"] > 0.3
    assert figures["share_KernelRidge"] == 0
    assert figures["score_KernelRidge"] < figures[f"score_{best}"] - 0.2
    assert stack.shares.sum().item() == pytest.approx(1)


def test_all_rows_are_predicted_without_themselves() -> None:
    problem = problem_of(smooth, noise=1.0)
    # A label that nothing else explains: a fit with it knows better than one without.
    problem.properties[7] += 20
    stack = fitted(problem, [GaussianProcess()])
    unseen, seen = stack.predict_unseen(problem), stack.predict(problem.designs)
    assert unseen is not None
    assert len(unseen) == len(problem.designs)
    errors = [(p.mean - problem.properties).abs()[7].item() for p in (unseen, seen)]
    assert errors[0] > errors[1]
    assert (unseen.epistemic_std <= unseen.std).all()


def test_held_out_rows_are_predicted_by_the_fit_to_the_others() -> None:
    problem = problem_of(smooth)
    held_out = torch.arange(80) % 4 == 0
    problem = problem.holding_out(held_out)
    stack = fitted(problem, kernels(0.1, 1.0))
    unseen = stack.predict_unseen(problem)
    assert unseen is not None
    assert torch.equal(unseen.mean, stack.predict(problem.designs[held_out]).mean)


def test_an_ordinary_oracle_has_no_prediction_of_rows_that_it_was_fitted_to() -> None:
    problem = problem_of(smooth)
    oracle = KernelRidge()
    oracle.prepare(problem)
    assert oracle.predict_unseen(problem) is None


def test_the_mixture_is_that_of_its_oracles() -> None:
    problem = problem_of(smooth, noise=1.0)
    stack = fitted(problem, kernels(0.3, 0.6))
    assert (stack.shares > 0).all(), "of two that are alike both should speak"
    designs = torch.randn(5, 3, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    parts = [oracle.predict(designs) for oracle in stack._members()]
    means = torch.stack([part.mean for part in parts])
    seconds = torch.stack([part.std.square() + part.mean.square() for part in parts])
    mean = stack.shares @ means
    prediction = stack.predict(designs)
    torch.testing.assert_close(prediction.mean, mean)
    torch.testing.assert_close(prediction.std.square(), stack.shares @ seconds - mean.square())
    torch.testing.assert_close(stack(designs).loc, mean)
    torch.testing.assert_close(stack(designs).scale, prediction.std)


def test_shares_follow_the_weights() -> None:
    """Where the weights are, another oracle is right."""
    generator = torch.Generator().manual_seed(0)
    designs = torch.rand(200, 1, generator=generator, dtype=torch.float64) * 2 - 1
    waves = (40 * designs[:, 0]).sin()
    labels = torch.where(designs[:, 0] > 0, waves, designs[:, 0])
    problem = DesignProblem.of_table(designs, labels)
    shares = []
    for side in (designs[:, 0] > 0, designs[:, 0] <= 0):
        stack = Stack(kernels(0.5, 300.0))
        stack.prepare(problem)
        fits = Fits(problem)
        fits.begin()
        stack.fit(fits)
        fits.begin(torch.where(side, 1.0, 1e-6).double())
        stack.fit(fits)
        shares.append(stack.shares[1].item())
    assert shares[0] >= shares[1]
    assert shares[0] > 0.5


def test_one_that_cannot_learn_from_so_many_is_left_out() -> None:
    problem = problem_of(smooth)
    stack = fitted(problem, [GaussianProcess(max_designs=20), KernelRidge()])
    assert stack.shares.tolist() == [0, 1]
    assert stack.figures()["score_GaussianProcess"] == -np.inf
    assert stack.predict(problem.designs).mean.isfinite().all()
    with pytest.raises(ConfigurationError, match="max_designs"):
        fitted(problem, [GaussianProcess(max_designs=20)])


def test_labels_with_errors() -> None:
    problem = problem_of(smooth)
    errors = torch.full((80,), 0.3, dtype=torch.float64)
    problem = replace(problem, noise=LabelNoise(errors, torch.zeros_like(errors)))
    stack = fitted(problem, kernels(0.3, 1.0))
    assert stack.scores.isfinite().all()


def test_the_same_thing_is_left_out_together() -> None:
    problem = problem_of(smooth, n=60)
    twice = problem.of_rows(torch.arange(60).repeat(2))
    noise = torch.randn(120, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    twice = replace(twice, properties=noise, groups=torch.arange(60).repeat(2))
    twice.properties[60:] = twice.properties[:60]
    twice.designs[60:] += 1e-6
    near = [GaussianProcess()]
    together = fitted(twice, near).scores
    apart = fitted(replace(twice, groups=None), near).scores
    # Noise that is there twice is known where one of the two may stay.
    assert apart.item() > together.item()


def test_what_it_is_made_of_is_checked() -> None:
    with pytest.raises(ConfigurationError, match=r"model\.oracles is empty"):
        Stack([])
    with pytest.raises(ConfigurationError, match=r"model\.num_folds must be at least 2"):
        Stack(num_folds=1)


def test_several_of_one_class_have_names_of_their_own() -> None:
    assert Stack(kernels(1.0, 2.0)).names == ["KernelRidge_1", "KernelRidge_2"]
    assert Stack([GaussianProcess(), KernelRidge()]).names == ["GaussianProcess", "KernelRidge"]


def test_a_second_stack_goes_on_with_the_state_of_the_first() -> None:
    problem = problem_of(smooth)
    stack = fitted(problem, kernels(0.3, 1.0))
    other = Stack(kernels(0.3, 1.0))
    other.prepare(problem)
    other.on_load_checkpoint({"state_dict": stack.state_dict()})
    other.load_state_dict(stack.state_dict())
    designs = problem.designs + 0.1
    assert torch.equal(other.predict(designs).mean, stack.predict(designs).mean)
    fits = [Fits(problem) for _ in range(2)]
    weights = torch.linspace(0.1, 2, 80, dtype=torch.float64)
    for each, one in zip(fits, (stack, other), strict=True):
        each.num_fits = 1
        each.begin(weights)
        one.fit(each)
    assert torch.equal(other.predict(designs).std, stack.predict(designs).std)
