"""Pictures of gradient ascents over designs that are two numbers."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from lightning_mbo.data import DesignDataModule
from lightning_mbo.oracles import DifferentiableOracle, Oracle
from lightning_mbo.report.plane import Plane, draw_plane
from lightning_mbo.samples import DesignIteration
from lightning_mbo.space import DesignSpace

from .base import DesignCallback, design_data
from .figures import record_figure
from .scoring import evaluate_once

_NUM_PATHS = 32
_NUM_NODES = 101
"""Of the contours' grid, in each direction."""

_MARGIN = 0.1
"""Around all that is drawn, as a share of its extent."""

_FARTHEST = 1.0
"""Beyond the training designs, as a multiple of their extent: an ascent may run away."""


class AscentPlane(DesignCallback):
    """Draws a `GradientAscent` over designs that are two numbers; of others nothing.

    Acts on `on_search_model_update`, where it keeps the paths of some particles and the
    candidates, and at the end of the run, when it draws them as `ascent_plane.png`, over the
    contours of the ground truth, where there is one, and of the oracle. Saves what it keeps.
    """

    def __init__(self) -> None:
        """Start without a path."""
        self.paths: Tensor | None = None
        self.candidates: Tensor | None = None

    def on_search_model_update(
        self, trainer: pl.Trainer, oracle: Oracle, iteration: DesignIteration
    ) -> None:
        """Keep a segment of the paths, and the candidates of the best iteration."""
        path = iteration.path
        if path is None or design_data(trainer).space != DesignSpace(torch.Size([2])):
            return
        assert isinstance(oracle, DifferentiableOracle)
        drawn = torch.linspace(0, path.shape[1] - 1, _NUM_PATHS).round().long().unique()
        segment = oracle.representation.decode(path[:, drawn]).double().cpu()
        # A later segment starts where the one before ended.
        self.paths = segment if self.paths is None else torch.cat([self.paths, segment[1:]])
        if iteration.is_best:
            self.candidates = iteration.samples.designs.cpu()

    def on_train_end(self, trainer: pl.Trainer, oracle: pl.LightningModule) -> None:
        """Draw `ascent_plane.png`."""
        if self.paths is None or self.candidates is None:
            return
        assert isinstance(oracle, Oracle)
        plane = _plane(design_data(trainer), oracle, self.paths, self.candidates)
        record_figure(trainer, "ascent_plane", partial(draw_plane, plane))

    def state_dict(self) -> dict[str, Any]:
        """The paths and the candidates."""
        return {"paths": self.paths, "candidates": self.candidates}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with both."""
        self.paths, self.candidates = state_dict["paths"], state_dict["candidates"]


def _plane(data: DesignDataModule, oracle: Oracle, paths: Tensor, candidates: Tensor) -> Plane:
    grid = _grid(data.designs, torch.cat([paths.flatten(0, 1), candidates]))
    nodes = grid.flatten(0, 1)
    views = {"oracle": oracle.predict(nodes.to(oracle.device)).mean.cpu()}
    optimum = None
    if data.ground_truth is not None:
        views = {"ground truth": evaluate_once(data, nodes), **views}
        optimum = _inner_maximum(grid, views["ground truth"])

    def as_known(designs: Tensor) -> Tensor:
        points = torch.tensor(data.to_user_units(designs.flatten(0, -2)).to_numpy(), device="cpu")
        return points.reshape(designs.shape)

    names = data.to_user_units(data.designs[:1]).columns
    return Plane(
        as_known(grid),
        {name: values.unflatten(0, grid.shape[:2]) for name, values in views.items()},
        as_known(data.designs),
        data.properties,
        as_known(paths),
        as_known(candidates),
        None if optimum is None else as_known(optimum[None])[0],
        (names[0], names[1]),
        data.property_name,
    )


def _grid(designs: Tensor, others: Tensor) -> Tensor:
    """Around designs ``(n, 2)`` and others ``(m, 2)``: ``(nodes, nodes, 2)``."""
    lower, upper = designs.amin(0), designs.amax(0)
    reach = _FARTHEST * (upper - lower)
    lower = torch.maximum(torch.minimum(lower, others.amin(0)), lower - reach)
    upper = torch.minimum(torch.maximum(upper, others.amax(0)), upper + reach)
    margin = _MARGIN * (upper - lower)
    shares = torch.linspace(0, 1, _NUM_NODES, dtype=designs.dtype, device=designs.device)[:, None]
    coordinates = (lower - margin) + shares * (upper - lower + 2 * margin)
    return torch.stack(torch.meshgrid(*coordinates.mT, indexing="xy"), dim=-1)


def _inner_maximum(grid: Tensor, values: Tensor) -> Tensor | None:
    """The node ``(2,)`` of the greatest value, unless that may be greater beyond the edge."""
    row, column = divmod(int(values.argmax()), grid.shape[1])
    on_edge = {row, column} & {0, _NUM_NODES - 1}
    return None if on_edge else grid[row, column]
