"""Bounds of designs that were chosen for their predictions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import norm

from lightning_mbo.algorithms import CbAS
from lightning_mbo.data import CSV
from lightning_mbo.evidence.bounds import Seen, lower_bounds
from lightning_mbo.evidence.halves import HalfFit, bounds_of_halves, half_fits
from lightning_mbo.evidence.outlook import Outlook
from lightning_mbo.oracles import (
    AdditiveRegression,
    GaussianProcess,
    ResultOracles,
    Stack,
    TreeEnsemble,
)
from lightning_mbo.oracles.closed_form import ClosedFormOracle
from lightning_mbo.problem import DesignProblem, Property
from lightning_mbo.results import PredictionOfResults
from lightning_mbo.samples import Prediction
from lightning_mbo.searches import SamplingSearch
from lightning_mbo.searches.run import design

KINDS = [GaussianProcess, AdditiveRegression, TreeEnsemble, Stack]


def of(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def prediction(*means: float, std: float = 1.0) -> Prediction:
    spread = torch.full((len(means),), std, dtype=torch.float64)
    return Prediction(of(*means), spread, spread / 2)


def sphere(designs: torch.Tensor) -> torch.Tensor:
    return -designs.square().sum(1)


def measured(num: int, noise: float, seed: int) -> DesignProblem:
    generator = torch.Generator().manual_seed(seed)
    designs = torch.randn(num, 4, generator=generator, dtype=torch.float64) + 1
    labels = sphere(designs)
    errors = torch.randn(num, generator=generator, dtype=torch.float64)
    return DesignProblem.of_table(designs, labels + noise * labels.std() * errors, seed)


def test_the_margin_is_of_the_most_promising_rows() -> None:
    # The two of ten that most is promised of are 4 and 2 below; the others are far below.
    seen = Seen(prediction(*range(10)), of(*range(-50, -42), 4, 7))
    found = lower_bounds([prediction(20.0, std=3.0)], [seen])
    assert found.item() == pytest.approx(20 - 3 * (2 + 0.95 * 2))


def test_the_bound_is_the_median_over_the_fits() -> None:
    exact = Seen(prediction(1.0, 2.0), of(1.0, 2.0))
    fits = [prediction(m, std=s) for m, s in ((1.0, 1.0), (9.0, 1.0), (2.0, 1.0))]
    found = lower_bounds(fits, [exact] * 3)
    assert found.item() == pytest.approx(2 - 1.645)


def test_bounds_from_above_are_those_of_the_negative() -> None:
    seen = Seen(prediction(*range(10)), of(*range(-50, -42), 4, 7), promise=of(*range(10)))
    below = Seen(prediction(*range(0, -10, -1)), -seen.properties, seen.promise)
    chosen = prediction(20.0, 3.0, std=3.0)
    above = lower_bounds([prediction(-20.0, -3.0, std=3.0)], [below], -1)
    assert above.tolist() == (-lower_bounds([chosen], [seen])).tolist()


def test_each_result_has_a_margin_of_its_own_from_rows_that_promise_most_together() -> None:
    columns = [of(*range(10)), of(*range(0, 20, 2))]
    means = torch.stack(columns, 1)
    missed = torch.zeros(10, 2, dtype=torch.float64)
    missed[3], missed[4] = of(3, -5), of(9, -7)  # by the rows that promise most
    missed[8:] = 100.0
    said = Prediction(means, torch.ones_like(means), torch.ones_like(means))
    promise = of(0, 0, 0, 8, 9, 0, 0, 0, 0, 0)
    chosen = Prediction(of(1, 2)[None], torch.ones(1, 2).double(), torch.ones(1, 2).double())
    seen = Seen(said, means - missed, promise)
    lower, upper = (lower_bounds([chosen], [seen], sign) for sign in (1, -1))
    assert lower[0].tolist() == pytest.approx([1 - (3 + 0.95 * 6), 2 - 1.645])
    assert upper[0].tolist() == pytest.approx([1 + 1.645, 2 + (5 + 0.95 * 2)])


def halved_results() -> tuple[list[HalfFit], torch.Tensor, PredictionOfResults]:
    """Fits to halves of a table of two results, designs, and what a fit to all says of these."""
    data = of_results(60, 0)
    problem, oracle = data.problem, ResultOracles(AdditiveRegression())
    oracle.prepare(problem)
    oracle.fit(data.fits)
    designs = problem.designs[:5] + 0.3
    said = oracle.predict(designs)
    assert isinstance(said, PredictionOfResults)
    return half_fits(oracle, problem), designs, said


def test_halves_bound_every_result_of_several() -> None:
    fits, designs, said = halved_results()
    found = bounds_of_halves(fits, designs, said)
    assert found.property.shape == (5,)
    assert found.results is not None
    for number in (0, 1):
        margins, expected = [], []
        for side in (1, -1):
            shortfalls = []
            for fit in fits:
                said = fit.oracle.predict(fit.unseen.designs)
                best = said.mean >= said.mean.quantile(0.8)
                own = fit.oracle.fitted[number].predict(fit.unseen.designs)
                measured = fit.unseen.results.values[:, number]
                shortfalls += (side * (own.mean - measured) / own.std)[best].tolist()
            margins.append(max(1.645, np.quantile(shortfalls, 0.95)))
            own = [fit.oracle.fitted[number].predict(designs) for fit in fits]
            ends = [(one.mean - side * margins[-1] * one.std).numpy() for one in own]
            expected.append(np.median(ends, axis=0))
        np.testing.assert_allclose(found.results[..., number].numpy(), expected)
    assert bounds_of_halves(fits, designs[:0], said[:0]).results is None


def test_no_bound_is_beyond_what_is_predicted() -> None:
    fits, designs, said = halved_results()
    modest = replace(said, results=replace(said.results, mean=said.results.mean - 100))
    of_property, of_each = bounds_of_halves(fits, designs, replace(modest, mean=said.mean - 100))
    assert torch.equal(of_property, said.mean - 100)
    assert torch.equal(of_each[0], modest.results.mean)
    assert (of_each[1] > modest.results.mean).all()


def of_results(num: int, seed: int) -> CSV:
    """Two results that are at odds, one of which is to be small."""
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(rng.uniform(size=(num, 2)), columns=["heat", "load"])
    table["rate"] = table["heat"] + table["load"] ** 2 + rng.normal(0, 0.1, num)
    table["cost"] = table["load"] + rng.normal(0, 0.1, num)
    data = CSV(table, targets={"rate": "maximize", "cost": "minimize"})
    data.setup("fit")
    return data


@pytest.mark.parametrize("kind", KINDS)
def test_halves_have_seen_only_their_own_rows(kind: type[ClosedFormOracle]) -> None:
    problem = measured(60, 0.1, 0)
    oracle = kind()
    *_, last = design(problem, oracle, SamplingSearch(CbAS(), num_samples=200), 1)
    before = {name: value.clone() for name, value in oracle.state_dict().items()}
    fits = half_fits(oracle, problem)
    assert [len(fit.unseen.designs) for fit in fits] == [30] * 4
    for one, other in (fits[:2], fits[2:]):
        rows = torch.cat([one.unseen.designs, other.unseen.designs])
        assert {tuple(row) for row in rows.tolist()} == {
            tuple(row) for row in problem.designs.tolist()
        }
    # What was measured of the rows that a fit has not seen changes nothing that it says.
    changed = problem.properties.clone()
    unseen = (problem.designs[:, None] == fits[0].unseen.designs).all(2).any(1)
    changed[unseen] += 5
    other_problem = DesignProblem.of_table(problem.designs, changed)
    again = half_fits(oracle, other_problem)[0]
    designs = last.samples.designs[:50]
    assert torch.equal(again.unseen.designs, fits[0].unseen.designs)
    assert torch.equal(again.oracle.predict(designs).mean, fits[0].oracle.predict(designs).mean)
    # And the oracle itself is as it was.
    assert all(torch.equal(before[name], value) for name, value in oracle.state_dict().items())


def test_the_same_things_are_in_the_same_half() -> None:
    problem = measured(60, 0.1, 0)
    twins = torch.arange(60) // 2
    grouped = replace(problem, groups=twins)
    oracle = GaussianProcess()
    next(design(grouped, oracle, SamplingSearch(CbAS(), num_samples=200), 1))
    for fit in half_fits(oracle, grouped):
        assert fit.unseen.groups is not None
        _, counts = fit.unseen.groups.unique(return_counts=True)
        assert (counts == 2).all()


def test_few_rows_are_not_halved() -> None:
    problem = measured(19, 0.1, 0)
    oracle = GaussianProcess()
    next(design(problem, oracle, SamplingSearch(CbAS(), num_samples=200), 1))
    assert half_fits(oracle, problem) == []


def test_bounds_hold_for_what_was_chosen_where_the_oracles_own_do_not() -> None:
    holds, own = [], []
    for seed in range(12):
        problem = measured(50, 1.0, seed)
        oracle = GaussianProcess()
        *_, last = design(problem, oracle, SamplingSearch(CbAS(), num_samples=1000), 10)
        best = last.samples.prediction.mean.argsort(descending=True)[:24]
        designs, said = last.samples.designs[best], last.samples.prediction[best]
        noise = torch.randn(24, generator=torch.Generator().manual_seed(seed)).double()
        labels = sphere(designs) + problem.properties.std() / np.sqrt(2) * noise
        found = bounds_of_halves(half_fits(oracle, problem), designs, said).property
        assert found.isfinite().all()
        holds.append((labels >= found).double().mean().item())
        own.append((labels >= said.mean - 1.645 * said.std).double().mean().item())
    assert np.mean(holds) > 0.9
    assert np.mean(own) < np.mean(holds)


def test_the_outlook_counts_what_beats_the_best_label() -> None:
    problem = DesignProblem.of_table(torch.zeros(3, 1).double(), of(1.0, 5.0, 2.0))
    # By 1.28 standard deviations of half: 5.5 may be 4.9 and is no longer better, 5.9 stays so.
    said = prediction(5.9, 5.5, 4.5, 1.0)
    found = Outlook.of(problem, said, 4.9, of(1, 3, 0, 0))
    expected = norm.cdf([1.8, 1.0, -1.0, -8.0]).mean()
    assert found.share == pytest.approx(expected)
    assert found[2:5] == (0.25, 0.75, 3.0)
    assert found.share_of_expected == pytest.approx(norm.cdf([2.0, 1.2, -0.8, -7.8]).mean())
    assert found.sentence(problem, 4) == (
        "49 % of the 4 candidates should beat the best row, measured at 5 (25 to 75 %, as "
        "predictions that lie together err together); the best should come out at 3 or more."
    )
    assert Outlook.of(problem, said, 4.9, None).sentence(problem, 4).endswith("err together).")
    lucky = Outlook.of(problem, said, 3.5, None).sentence(problem, 4)
    assert lucky.endswith(
        "; 74 % should beat what the oracle makes of the best row without its luck, 3.5."
    )
    small = DesignProblem(
        problem.designs,
        problem.properties,
        problem.base_weights,
        problem.space,
        problem.held_out,
        property=Property("-cost", "cost", -1),
    )
    assert "the best should come out at -3 or less" in found.sentence(small, 4)
