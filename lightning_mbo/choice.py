"""What a search hands out of all that it has come to."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from pytorch_lightning.utilities import rank_zero_warn
from torch import Tensor

from lightning_mbo.batch import handed_out, has_front, with_climbed
from lightning_mbo.designs import are_among, first_occurrences
from lightning_mbo.errors import MBOWarning
from lightning_mbo.evidence.held_out import LEAST_CORRELATION, held_out_figures
from lightning_mbo.oracles import Oracle
from lightning_mbo.problem import DesignProblem
from lightning_mbo.samples import JudgedDesigns, Prediction
from lightning_mbo.searches import Search

_FEWEST_JUDGED = 30
"""Of fewer rows, a rank correlation says little."""

_DRAWN_FOR_EACH = 10
"""Designs of a batch that nothing has chosen: some are known, or the same."""

_DRAWN_FOR_FRONT = 2000
"""Of the training distribution, beside the samples of a search."""


@dataclass(frozen=True)
class Choice:
    """How candidates are chosen.

    Attributes:
        search: Whose samples they are.
        made: Whether designs are made, and not chosen from a list.
        problem: Which designs can be made, and the rows that are to be beaten.
        known: Designs of which none is chosen, shape ``(n, *design_shape)``; None for none.
        number: Of the batch; None takes all candidates.
        false_share: With which probability, at most, a candidate may fail to beat the best row;
            None does not ask.
    """

    search: Search
    made: bool
    problem: DesignProblem
    known: Tensor | None
    number: int | None
    false_share: float | None

    @property
    def climbs(self) -> bool:
        """Whether the best samples are to climb first: of a batch, where designs are made."""
        return self.made and self.search.num_wanted is None and self.number is not None

    def climbed(
        self, samples: JudgedDesigns, threshold: float, oracle: Oracle, index: int
    ) -> JudgedDesigns:
        """The samples, and what the best of them climb to.

        Args:
            samples: All that there is to choose from.
            threshold: The least mean of a candidate.
            oracle: Which has judged them, and tells what it does not know.
            index: Of what is drawn for it.
        """
        assert self.number is not None
        device = samples.designs.device
        if has_front(samples.prediction):
            samples = self._with_training(samples, oracle)
        generator = self.problem.stream.generator("climb", index, device=device)
        return with_climbed(
            samples, threshold, self.number, self.known, oracle, self.problem, generator
        )

    def ignorance(self, unseen: Prediction | None) -> str | None:
        """Why nothing is to be chosen by what the oracle says, in words; None where something is.

        That is where what it says of rows that it has not seen has next to no rank correlation with
        their labels. A search is then one for what chance has made of the labels, and its batch is
        worse than designs like those of the table, spread as these are.

        Args:
            unseen: What the oracle says of `problem.judged`; None where it has seen all rows.
        """
        if unseen is None or not self.climbs or len(unseen) < _FEWEST_JUDGED:
            return None
        figures = held_out_figures(unseen.normal, self.problem.judged.properties.to(unseen.mean))
        correlation = figures["rank_correlation"]
        if correlation >= LEAST_CORRELATION:
            return None
        return (
            f"what the oracle says of {len(unseen):,} rows that it has not seen has a rank "
            f"correlation of {correlation:.2f} with what was measured: the table does not tell "
            "where better designs are. The candidates are drawn from the likes of its designs"
        )

    def blind(self, oracle: Oracle) -> JudgedDesigns | None:
        """A batch that nothing has chosen, each design once; None where there is none to be had.

        Args:
            oracle: Which is asked about it.
        """
        assert self.number is not None
        draws = self.search.draws_of_training(_DRAWN_FOR_EACH * self.number)
        if draws is None:
            return None
        rows = first_occurrences(draws.designs)
        if self.known is not None:
            rows = rows[~are_among(draws.designs[rows], self.known)]
        rows = rows[: self.number]
        return _judged(draws.designs[rows], draws.drawn[rows], oracle)

    def _with_training(self, samples: JudgedDesigns, oracle: Oracle) -> JudgedDesigns:
        """With samples of the training distribution too: a search ends at one end of a front."""
        draws = self.search.draws_of_training(_DRAWN_FOR_FRONT)
        if draws is None:
            return samples
        return samples.with_further(_judged(draws.designs, draws.drawn, oracle))

    def of(self, samples: JudgedDesigns, threshold: float) -> Tensor:
        """Row numbers of the samples that are handed out, best first.

        Args:
            samples: All that there is to choose from.
            threshold: The least mean of a candidate.
        """
        rows = torch.arange(len(samples.designs), device=samples.designs.device)
        if self.false_share is not None:
            best = self.problem.beaten
            rows = rows[samples.prediction.better_than(best) >= 1 - self.false_share]
        chosen = handed_out(
            samples.of_rows(rows), threshold, self.number, self.known, self.problem.distances
        )
        return rows[chosen]

    def enough(self, samples: JudgedDesigns, oracle: Oracle) -> JudgedDesigns:
        """The samples, and further ones while fewer can be handed out than are wanted."""
        search = self.search
        if search.num_wanted is None:
            return samples
        wanted = self.number or search.num_wanted
        further = search.further_samples(oracle)
        while (found := self._count(samples)) < wanted:
            draws = next(further, None)
            if draws is None:
                rank_zero_warn(
                    f"from all training designs together the search leads to {found} different "
                    f"designs that can be handed out, where {wanted} are wanted",
                    category=MBOWarning,
                )
                break
            samples = samples.with_further(_judged(draws.designs, draws.drawn, oracle))
        return samples

    def _count(self, samples: JudgedDesigns) -> int:
        designs = samples.designs[~samples.prediction.mean.isnan()]
        designs = designs[first_occurrences(designs)]
        known = 0 if self.known is None else int(are_among(designs, self.known).sum())
        return len(designs) - known

    def warn_of_few(self, found: int) -> None:
        """Say why fewer are handed out than are wanted, and what to do."""
        reason = self._reason_of_few(found)
        if reason is not None:
            rank_zero_warn(reason, category=MBOWarning)

    def _reason_of_few(self, found: int) -> str | None:
        if self.false_share is not None and found < (self.number or 1):
            return (
                f"{found} candidates are handed out: of no more it is likely enough that they beat "
                f"the best row, with --false_share {self.false_share:g}: a greater one gives more"
            )
        if found == 0:
            return (
                "all that can be chosen from are designs of the table, which are left out: there "
                "is no candidate. To hand them out give --keep_known true"
            )
        if self.number is None or found >= self.number or self.search.num_wanted is not None:
            return None
        fix = ": give more --search.num_samples, or fewer iterations" if self.made else ""
        return (
            f"{found} candidates are handed out where {self.number} are wanted: there are no more "
            f"different designs to choose from that are not in the table{fix}"
        )


def _judged(designs: Tensor, drawn: Tensor, oracle: Oracle) -> JudgedDesigns:
    return JudgedDesigns(designs, oracle.predict(designs), drawn)
