"""What a run has to show in its report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from torch import Tensor

from lightning_mbo.data import DesignDataModule
from lightning_mbo.designs import nearest, nearest_others, spread
from lightning_mbo.evidence.outlook import Outlook
from lightning_mbo.evidence.suitability import Suitability
from lightning_mbo.report.dependence import Dependence
from lightning_mbo.robots.motion import Motion

_MOST_COMPARED = 1000


@dataclass(frozen=True)
class Evidence:
    """What a run has to show.

    Attributes:
        data: The design problem.
        candidates: Best first, shape ``(c, *design_shape)``.
        figures: Of the candidates, as `CandidateWriter` has them, ``(c,)`` each.
        iterations: One row a design iteration: its metrics and, where there are densities,
            `overlap`, the effective sample size of p_θ/p_0 on the training designs.
        chosen: The design iteration that the candidates are of.
        select: The rule that chose it.
        disagreement: Of the ensemble, means: on the `candidates`, and on `others`.
        held_out: Of the chosen iteration's oracle on the designs that it is judged by, all of them
            unseen: `mean` and `std`, ``(h,)`` each, and of several results `results_mean` and
            `results_std`, ``(h, q)``; empty where there are none.
        outlook: What the candidates are expected to come to; None where nobody has said.
        dependences: How the chosen iteration's oracle depends on each column, the most important
            first, by what it predicts; empty where designs are not made of columns.
        suitabilities: How well the user's table suits a search, by what is wanted; empty of other
            data.
        motions: What is seen of the best designs, by what is to be said of them; of designs that do
            not move nothing.
        configs: The run's options, by the name of their file.
    """

    data: DesignDataModule
    candidates: Tensor
    figures: dict[str, Tensor]
    iterations: list[dict[str, float]]
    chosen: int
    select: str
    disagreement: dict[str, float]
    held_out: dict[str, Tensor] = field(default_factory=dict)
    outlook: Outlook | None = None
    dependences: Mapping[str, Sequence[Dependence]] = field(default_factory=dict)
    suitabilities: Mapping[str, Suitability] = field(default_factory=dict)
    motions: Mapping[str, Motion] = field(default_factory=dict)
    configs: dict[str, str] = field(default_factory=dict)

    @property
    def of_chosen(self) -> dict[str, float]:
        """The row of the chosen iteration."""
        rows = {int(row["design_iteration"]): row for row in self.iterations}
        return rows[self.chosen]

    @cached_property
    def distances(self) -> tuple[Tensor, float]:
        """Of the first candidates from the data, and which 95 % of the designs do not exceed."""
        data = self.data
        rows = spread(len(data.designs), _MOST_COMPARED)
        own = nearest_others(data.designs, rows, data.distances)
        found, _ = nearest(self.candidates[:_MOST_COMPARED], data.designs, data.distances)
        return found, own.quantile(0.95).item()

    @property
    def unseen(self) -> str:
        """What the designs are called that the oracle is judged by."""
        return "held-out" if self.data.problem.held_out.any() else "left-out"

    @property
    def residuals(self) -> Tensor:
        """|y - μ| / σ of these designs, ``(h,)``."""
        errors = self.data.problem.judged.properties - self.held_out["mean"]
        return errors.abs() / self.held_out["std"]
