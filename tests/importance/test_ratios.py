"""Density ratios of rows, against the probabilities of all that becomes them."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats
from torch import Tensor

from lightning_mbo.importance import Preimages, log_density_ratios, preimages_of
from lightning_mbo.importance.ratios import truncated_normal
from lightning_mbo.search_models import MultivariateNormal, Product
from lightning_mbo.space import Cells, DesignSpace
from lightning_mbo.tabular.columns import CategoryColumn
from lightning_mbo.tabular.layout import TableLayout
from lightning_mbo.tabular.number_column import NumberColumn


def normal(mean: list[float], covariance: list[list[float]]) -> MultivariateNormal:
    model = MultivariateNormal()
    model.build(DesignSpace.of_shape(torch.Size([len(mean)])))
    model.mean.copy_(torch.tensor(mean))
    model.covariance.copy_(torch.tensor(covariance))
    model.cholesky.copy_(torch.linalg.cholesky(model.covariance))
    return model


def fitted(designs: Tensor) -> MultivariateNormal:
    model = normal([0.0] * designs.shape[1], np.eye(designs.shape[1]).tolist())
    model.fit(designs, torch.ones(len(designs)))
    return model


def drawn(designs: Tensor, layout: TableLayout, training: Tensor) -> Preimages:
    generator = torch.Generator().manual_seed(0)
    return preimages_of(designs, layout.cells(designs), layout.space, training, generator)


COLUMNS = {
    "bounded": NumberColumn("x", 0.0, 1.0, lower=-1.0, upper=1.0),
    "whole": NumberColumn("x", 0.0, 1.0, whole=True),
    "flag": NumberColumn("x", 0.1, 0.3, whole=True, lower=0.0, upper=1.0),
    "stepped": NumberColumn("x", 0.0, 1.0, step=0.4, lower=-1.0, upper=1.1),
    "wide step": NumberColumn("x", 0.0, 1.0, step=9.0),
    "log": NumberColumn("x", 0.2, 0.8, lower=0.5, upper=4.0, log=True),
    "whole log": NumberColumn("x", 0.6, 1.1, whole=True, lower=1.0, log=True),
    "stepped log": NumberColumn("x", 0.6, 1.1, step=0.5, lower=0.5, log=True),
    "values": NumberColumn("x", 0.0, 1.0, values=(-1.0, 0.1, 0.4, 3.0)),
    "log values": NumberColumn("x", 0.1, 0.9, values=(0.5, 1.0, 2.0), log=True),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_one_column(name: str) -> None:
    """The share of p_θ's draws that become a value, over the share of p_0's."""
    column = COLUMNS[name]
    layout = TableLayout([column])
    data = torch.randn(4000, 1, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    p_0 = fitted(data)
    p_theta = normal([0.4], [[0.5]])
    rows = layout.nearest(torch.linspace(-1.4, 1.4, 21, dtype=torch.float64)[:, None])
    found = log_density_ratios(p_theta, p_0, drawn(rows, layout, data))
    models = [
        stats.norm(model.mean.item(), model.covariance.item() ** 0.5) for model in (p_theta, p_0)
    ]
    lower, upper = layout.cells(rows).lower[:, 0].numpy(), layout.cells(rows).upper[:, 0].numpy()
    with np.errstate(invalid="ignore"):
        above, below = (model.cdf(upper) - model.cdf(lower) for model in models)
        at_point = models[0].logpdf(rows[:, 0]) - models[1].logpdf(rows[:, 0])
        expected = np.where(lower < upper, np.log(above / below), at_point)
    assert (lower < upper).any()
    np.testing.assert_allclose(found.numpy(), expected, atol=0.25)
    # The mean of 64 draws each: far closer together.
    assert np.abs(found.numpy() - expected).mean() < 0.12
    np.testing.assert_allclose(found[lower == upper], at_point[lower == upper], atol=1e-12)


def test_the_cell_of_a_design_is_what_becomes_it() -> None:
    columns = [replace(column, name=name) for name, column in COLUMNS.items()]
    layout = TableLayout(columns)
    drawn = 2 * torch.randn(2000, len(columns), generator=torch.Generator().manual_seed(0)).double()
    made = layout.nearest(drawn)
    cells = layout.cells(made)
    assert ((cells.lower <= drawn + 1e-9) & (drawn <= cells.upper + 1e-9)).all()
    lower, upper = cells.lower.clamp(min=-30), cells.upper.clamp(max=30)
    inside = lower + 0.999 * (upper - lower)
    torch.testing.assert_close(layout.nearest(inside), made)


def test_correlated_columns() -> None:
    """Two numbers at their bounds and one in between, by a bivariate normal's probability."""
    layout = TableLayout([NumberColumn(name, 0.0, 1.0, lower=0.0) for name in "abc"])
    covariance = np.array([[1.0, 0.6, 0.3], [0.6, 1.0, 0.5], [0.3, 0.5, 1.0]])
    generator = np.random.default_rng(0)
    data = torch.from_numpy(generator.multivariate_normal([0.2, 0, 0.1], covariance, 4000))
    p_0, p_theta = fitted(data), normal([0.4, 0.3, 0.5], (0.7 * covariance).tolist())
    row = torch.tensor([[0.0, 0.0, 1.3]], dtype=torch.float64).repeat(200, 1)
    found = log_density_ratios(p_theta, p_0, drawn(row, layout, data))

    def log_probability(model: MultivariateNormal) -> float:
        mean, cov = model.mean.numpy(), model.covariance.numpy()
        pull = cov[:2, 2] / cov[2, 2]
        rest = cov[:2, :2] - np.outer(pull, cov[2, :2])
        both = stats.multivariate_normal(mean[:2] + pull * (1.3 - mean[2]), rest)
        alone = stats.norm(mean[2], cov[2, 2] ** 0.5)
        return math.log(both.cdf(np.zeros(2))) + alone.logpdf(1.3)

    expected = log_probability(p_theta) - log_probability(p_0)
    assert found.exp().mean().item() == pytest.approx(math.exp(expected), rel=0.03)
    # What the density at the row itself would say is something else.
    at_point = p_theta.log_prob(row[:1]) - p_0.log_prob(row[:1])
    assert abs(at_point.item() - expected) > 0.3


def test_a_fixed_column_has_no_say() -> None:
    """Neither a number that is fixed nor a category: only the other columns count."""
    number = NumberColumn("x", 0.0, 1.0)
    columns = [number, NumberColumn("f", 0.0, 1.0, fixed=0.7), CategoryColumn("c", (*"ab",), 0)]
    layout = TableLayout(columns)
    generator = np.random.default_rng(0)
    table = pd.DataFrame(generator.normal(size=(1000, 2)), columns=["x", "f"])
    table["c"] = generator.choice([*"ab"], 1000, p=[0.3, 0.7])
    data = layout.encode(table)
    p_0, p_theta = Product(), Product()
    for model, mean in ((p_0, 0.0), (p_theta, 1.0)):
        model.build(layout.space)
        moved = data.clone()
        moved[:, :2] += torch.tensor([mean, mean / 2])
        model.fit(moved, 1 + mean * moved[:, 2])
    found = log_density_ratios(p_theta, p_0, drawn(data, layout, data))
    models = [model.numbers for model in (p_theta, p_0)]
    alone = [stats.norm(m.mean[0].item(), m.covariance[0, 0].item() ** 0.5) for m in models]
    expected = alone[0].logpdf(data[:, 0]) - alone[1].logpdf(data[:, 0])
    assert np.abs(found.numpy() - expected).mean() < 0.1
    # At the rows themselves, of which the levels and the fixed number differ, it is far off.
    at_rows = p_theta.log_prob(data) - p_0.log_prob(data)
    assert np.abs(at_rows.numpy() - expected).mean() > 0.4


def test_designs_without_cells_have_the_densities_own_ratio() -> None:
    data = torch.randn(50, 3, dtype=torch.float64)
    space = DesignSpace.of_shape(torch.Size([3]))
    p_0, p_theta = fitted(data), normal([1.0, 0.0, 0.0], np.eye(3).tolist())
    rows = preimages_of(data, Cells.of_points(data, space), space, data, torch.Generator())
    assert len(rows.rows) == 0
    expected = p_theta.log_prob(data) - p_0.log_prob(data)
    assert torch.equal(log_density_ratios(p_theta, p_0, rows), expected)


@pytest.mark.parametrize("bounds", [(-1.0, 0.5), (3.0, 4.0), (-math.inf, -6.0), (9.0, math.inf)])
def test_truncated_normal(bounds: tuple[float, float]) -> None:
    uniform = torch.rand(5000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    lower, upper = (torch.full_like(uniform, bound) for bound in bounds)
    found = truncated_normal(lower, upper, uniform)
    assert stats.kstest(found.numpy(), stats.truncnorm(*bounds).cdf).pvalue > 1e-3


@pytest.mark.parametrize(("bounds", "nearer"), [((50.0, 51.0), 50.0), ((-math.inf, -45.0), -45.0)])
def test_where_float64_knows_no_probability(bounds: tuple[float, float], nearer: float) -> None:
    uniform = torch.tensor([0.0, 0.5, 1 - 1e-16], dtype=torch.float64)
    lower, upper = (torch.full_like(uniform, bound) for bound in bounds)
    assert (truncated_normal(lower, upper, uniform) == nearer).all()
    everything = torch.full_like(uniform, math.inf)
    assert truncated_normal(-everything, everything, uniform).isfinite().all()
