"""Pictures of searches over designs that are one number."""

from __future__ import annotations

import copy
import math
from dataclasses import asdict, replace
from functools import partial
from typing import Any, NamedTuple

import pytorch_lightning as pl
import torch
from torch import Tensor

from lightning_mbo.algorithms import Algorithm
from lightning_mbo.data import DesignDataModule
from lightning_mbo.oracles import Oracle
from lightning_mbo.report.panels import Panel, Problem, draw_panels
from lightning_mbo.samples import DesignIteration, Prediction, Samples
from lightning_mbo.search_models import SearchModel
from lightning_mbo.searches.sampling import reweighed

from .base import DesignCallback, callback_of, design_data, problem_of
from .figures import record_figure
from .importance_weighting import ImportanceWeighting
from .scoring import evaluate_once
from .search_model_update import SearchModelUpdate

_FIXED, _RETRAINED, _AUTOFOCUSED = "without autofocusing", "retrained", "with autofocusing"


class SearchPanels(DesignCallback):
    """Draws a search whose model has nodes before, half-way and after; of others nothing.

    Acts on `on_search_model_update`, where it keeps what is to be drawn, and at the end of the
    run, when it draws `search.png`. Beside the run it searches with the run's first oracle
    throughout, so that an autofocused run is shown together with what it would have been
    otherwise. Saves the panels and that second search.

    Reference: Fannjiang and Listgarten, NeurIPS 2020, figure 1.
    """

    def __init__(self) -> None:
        """Start without panels."""
        self.panels: dict[str, dict[int, Panel]] = {}
        self._second: _SecondSearch | None = None
        self._original: Prediction | None = None
        self._half_way = 0
        self._weights = torch.empty(0)

    def setup(self, trainer: pl.Trainer, oracle: pl.LightningModule, stage: str) -> None:
        """Prepare the second search."""
        callback = callback_of(trainer, SearchModelUpdate)
        if callback and callback.search.search_model.has_nodes:
            search = self._search = callback.search
            self._half_way = callback.num_iterations // 2
            self._second = self._second or _SecondSearch(
                *copy.deepcopy((search.algorithm, search.search_model))
            )

    def on_train_epoch_start(self, trainer: pl.Trainer, oracle: pl.LightningModule) -> None:
        """Note what the oracle is fitted with; when it is drawn, the data may have new weights."""
        self._weights = design_data(trainer).weights.clone()

    def on_search_model_update(
        self, trainer: pl.Trainer, oracle: Oracle, iteration: DesignIteration
    ) -> None:
        """Go on with the second search, and keep what is to be drawn of both."""
        second = self._second
        if second is None:
            return
        assert iteration.search_model is not None
        assert iteration.training_distribution is not None
        nodes = second.search_model.nodes
        prediction = oracle.predict(nodes)
        self._original = self._original or prediction
        model = second.search_model
        judged = Samples(
            nodes,
            self._original,
            nodes,
            model.log_prob(nodes),
            iteration.training_distribution.log_prob(nodes),
        )
        feasible = problem_of(trainer).is_feasible(nodes)
        reweighed(model, second.algorithm, judged, feasible)
        threshold = second.algorithm.threshold.item()
        equal = torch.ones_like(self._weights)
        panels = {_FIXED: _panel(equal, self._original, model.log_prob(nodes), threshold)}
        weighting = callback_of(trainer, ImportanceWeighting)
        if weighting and weighting.rule.enabled:
            log_density = iteration.search_model.log_prob(nodes)
            name = _RETRAINED if weighting.rule.alpha == 0 else _AUTOFOCUSED
            panels[name] = _panel(self._weights, prediction, log_density, iteration.threshold)
        for name, panel in panels.items():
            kept = self.panels.setdefault(name, {})
            for stale in kept.keys() - {self._half_way}:
                del kept[stale]
            kept[iteration.number + 1] = panel

    def on_train_end(self, trainer: pl.Trainer, oracle: pl.LightningModule) -> None:
        """Draw `search.png`."""
        if not (self.panels and self._second and self._original):
            return
        data, search, nodes = design_data(trainer), self._search, self._second.search_model.nodes
        log_p_0 = search.training_distribution.log_prob(nodes)
        problem = _problem(data, nodes, log_p_0)
        start = _panel(torch.ones_like(data.weights), self._original, log_p_0, -math.inf)
        rows = {
            name: {
                num_done: replace(panel, density=_per_unit(panel.density, problem.positions))
                for num_done, panel in ({0: start} | kept).items()
            }
            for name, kept in self.panels.items()
        }
        draw = partial(draw_panels, problem, rows)
        record_figure(trainer, "search", draw, search.num_done - 1)

    def state_dict(self) -> dict[str, Any]:
        """The panels, and the second search."""
        if self._second is None:
            return {}
        panels = {
            name: {num_done: asdict(panel) for num_done, panel in kept.items()}
            for name, kept in self.panels.items()
        }
        original = self._original
        return {
            "panels": panels,
            "algorithm": self._second.algorithm.state_dict(),
            "search_model": self._second.search_model.state_dict(),
            "original": original and asdict(original),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with both."""
        if self._second is None:
            return
        self._second.algorithm.load_state_dict(state_dict["algorithm"])
        self._second.search_model.load_state_dict(state_dict["search_model"])
        if state_dict["original"]:
            # What a checkpoint holds is the CPU's.
            device = self._second.search_model.nodes.device
            self._original = Prediction(**state_dict["original"]).to(device)
        self.panels = {
            name: {num_done: Panel(**panel) for num_done, panel in kept.items()}
            for name, kept in state_dict["panels"].items()
        }


class _SecondSearch(NamedTuple):
    """What goes on beside the run's own search."""

    algorithm: Algorithm
    search_model: SearchModel


def _panel(weights: Tensor, oracle: Prediction, log_density: Tensor, threshold: float) -> Panel:
    mean, std, density = oracle.mean.cpu(), oracle.std.cpu(), log_density.exp().cpu()
    return Panel(weights, mean, std, density, threshold)


def _problem(data: DesignDataModule, nodes: Tensor, log_p_0: Tensor) -> Problem:
    table = data.to_user_units(torch.cat([nodes.cpu(), data.designs]))
    positions, designs = torch.tensor(table.iloc[:, 0].to_numpy(), device="cpu").tensor_split(
        [len(nodes)]
    )
    return Problem(
        designs,
        data.properties,
        positions,
        _per_unit(log_p_0.exp().cpu(), positions),
        None if data.ground_truth is None else evaluate_once(data, nodes).cpu(),
        f"design {table.columns[0]}",
        data.property_name,
    )


def _per_unit(density: Tensor, positions: Tensor) -> Tensor:
    """A density of the designs in the user's units."""
    return density / torch.trapezoid(density, positions)
