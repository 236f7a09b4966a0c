"""Rows that measure the same design."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from torch.distributions import Normal

from lightning_mbo.tabular.replicates import merged

DESIGNS = pd.DataFrame({"a": [1, 2, 1, 3, 1], "b": list("xyxyx")})
VALUES = np.array([1.0, 5.0, 2.0, 7.0, 6.0])
WEIGHTS = np.array([1.0, 2.0, 3.0, 1.0, 1.0])


def test_without_errors_their_scatter_is_kept() -> None:
    found = merged(DESIGNS, VALUES, WEIGHTS)
    assert found.rows.tolist() == [0, 1, 3]
    assert found.properties.tolist() == pytest.approx([13 / 5, 5, 7])
    assert found.weights.tolist() == [5, 2, 1]
    assert found.errors.tolist() == [0, 0, 0]
    values = np.array([1, 2, 2, 2, 6])
    assert found.scatters.tolist() == pytest.approx([values.std(), 0, 0])


def test_with_errors_the_mean_has_its_own() -> None:
    errors = np.array([0.5, 3.0, 1.0, 0.1, 2.0])
    found = merged(DESIGNS, VALUES, WEIGHTS, errors)
    # The posterior of a flat prior: the product of the measurements' normals.
    precision = 4 + 1 + 0.25
    assert found.properties.tolist() == pytest.approx([(4 * 1 + 2 + 0.25 * 6) / precision, 5, 7])
    assert found.errors.tolist() == pytest.approx([precision**-0.5, 3.0, 0.1])
    assert found.weights.tolist() == pytest.approx([5 / 3, 2, 1])
    assert found.scatters.tolist() == [0, 0, 0]
    grid = torch.linspace(-5, 10, 3001, dtype=torch.float64)
    same = np.array([0, 2, 4])
    one_by_one = Normal(torch.tensor(VALUES[same]), torch.tensor(errors[same]))
    likelihood = one_by_one.log_prob(grid[:, None]).sum(1)
    together = Normal(*map(torch.tensor, (found.properties[0], found.errors[0]))).log_prob(grid)
    assert (likelihood - together).std() < 1e-9


def test_tiny_and_huge_errors() -> None:
    errors = np.array([1e-180, 1.0, 1e180, 1e-200, 1e-180])
    found = merged(DESIGNS, VALUES, WEIGHTS, errors)
    assert found.properties.tolist() == [3.5, 5, 7]
    np.testing.assert_allclose(found.errors, [1e-180 / np.sqrt(2), 1.0, 1e-200])


def test_a_design_measured_once_stays_as_it_is() -> None:
    errors = np.array([0.1, 0.2, 0.3])
    for given in (None, errors):
        found = merged(DESIGNS[1:4], VALUES[1:4], WEIGHTS[1:4], given)
        assert found.properties.tolist() == VALUES[1:4].tolist()
        assert found.weights.tolist() == WEIGHTS[1:4].tolist()
        assert found.errors.tolist() == ([0, 0, 0] if given is None else errors.tolist())
        assert found.scatters.tolist() == [0, 0, 0]
