"""What others predict, by the defaults of their libraries."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lightning_mbo.problem import DesignProblem
from lightning_mbo.space import DesignSpace

Array = NDArray[np.float64]


def forest(problem: DesignProblem, designs: Tensor) -> Array:
    """scikit-learn's, of numbers and one-hots."""
    from sklearn.ensemble import RandomForestRegressor

    fitted = RandomForestRegressor(random_state=0, n_jobs=1)
    fitted.fit(problem.designs.flatten(1).numpy(), problem.properties.numpy())
    means: Array = fitted.predict(designs.flatten(1).numpy())
    return means


def gaussian_process(problem: DesignProblem, designs: Tensor) -> Array:
    """BoTorch's."""
    model = fitted_process(problem)
    with torch.no_grad():
        means: Array = model.posterior(coded(designs, problem.space)[0]).mean[:, 0].numpy()
    return means


def fitted_process(problem: DesignProblem) -> Any:
    """BoTorch's for numbers, or for numbers and the codes of categories."""
    from botorch.models.transforms import Normalize

    torch.manual_seed(0)
    x, categories = coded(problem.designs, problem.space)
    numbers = [i for i in range(x.shape[1]) if i not in categories]
    scaled = Normalize(x.shape[1], indices=numbers) if numbers else None
    return process(x, problem.properties[:, None], categories, input_transform=scaled)


def process(x: Tensor, y: Tensor, categories: list[int], **transforms: Any) -> Any:
    """BoTorch's of labels ``(n, 1)``, fitted, for numbers or for numbers and codes."""
    from botorch.fit import fit_gpytorch_mll
    from botorch.models import MixedSingleTaskGP, SingleTaskGP
    from gpytorch.mlls import ExactMarginalLogLikelihood

    if categories:
        model = MixedSingleTaskGP(x, y, cat_dims=categories, **transforms)
    else:
        model = SingleTaskGP(x, y, **transforms)
    fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
    return model


def coded(designs: Tensor, space: DesignSpace) -> tuple[Tensor, list[int]]:
    """Numbers and codes of levels or letters, shape ``(m, columns)``; which columns are codes."""
    flat = designs.flatten(1)
    space = DesignSpace(flat.shape[1:], space.groups)
    numbers = space.numbers(flat)
    codes = [group.argmax(-1, keepdim=True).to(numbers) for group in space.one_hots(flat)]
    x = torch.cat([numbers, *codes], 1)
    return x, list(range(numbers.shape[1], x.shape[1]))
