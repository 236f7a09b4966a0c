"""What of the search model before stays in an update."""

from __future__ import annotations

import pytest
import torch

from lightning_mbo.algorithms import CMAES, FB, CbAS
from lightning_mbo.errors import ConfigurationError
from lightning_mbo.oracles import KernelRidge
from lightning_mbo.problem import DesignProblem
from lightning_mbo.search_models import Quadrature
from lightning_mbo.searches import SamplingSearch
from lightning_mbo.searches.run import design


def slope() -> DesignProblem:
    designs = torch.randn(80, 2, generator=torch.Generator().manual_seed(0)).double()
    return DesignProblem.of_table(designs, designs.sum(1))


def moments(smoothing: float) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Of the samples, and the mean of the model that was updated from them."""
    search = SamplingSearch(CbAS(), num_samples=4000, smoothing=smoothing)
    (iteration,) = design(slope(), KernelRidge(), search, 1)
    designs, model = iteration.samples.designs, search.search_model
    return designs.mean(0), designs.mT.cov(correction=0), model.mean


def test_an_update_is_a_mixture_with_the_model_before() -> None:
    before, spread, new = moments(0.0)
    same, _, smoothed = moments(0.25)
    torch.testing.assert_close(same, before)
    assert (new - before).norm() > 0.3 * spread.trace().sqrt()
    torch.testing.assert_close(smoothed, 0.75 * new + 0.25 * before)
    assert (moments(0.99)[2] - before).norm() < 0.02 * (new - before).norm()


@pytest.mark.parametrize("smoothing", [-0.1, 1.0, float("nan")])
def test_a_share_is_between_zero_and_one(smoothing: float) -> None:
    with pytest.raises(ConfigurationError, match="smoothing must lie in"):
        SamplingSearch(CbAS(), smoothing=smoothing)


def test_what_is_not_updated_by_weights_is_refused_by_name() -> None:
    for algorithm in (CMAES(), FB()):
        name = type(algorithm).__name__
        with pytest.raises(ConfigurationError, match=f"smoothing does not go with {name}, whose"):
            SamplingSearch(algorithm, smoothing=0.1)
    with pytest.raises(ConfigurationError, match="smoothing does not go with Quadrature, whose"):
        SamplingSearch(CbAS(), Quadrature(-1.0, 1.0), smoothing=0.1)
