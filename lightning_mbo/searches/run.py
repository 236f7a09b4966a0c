"""A whole design run without a trainer."""

from __future__ import annotations

from collections.abc import Iterator

from lightning_mbo.data.fits import Fits
from lightning_mbo.importance.autofocus import Autofocus
from lightning_mbo.oracles import Convergence, Oracle
from lightning_mbo.problem import DesignProblem
from lightning_mbo.samples import DesignIteration
from lightning_mbo.searches.base import Search


def design(
    problem: DesignProblem,
    oracle: Oracle,
    search: Search,
    num_iterations: int = 20,
    autofocus: Autofocus | None = None,
    convergence: Convergence | None = None,
    batch_size: int = 100,
    validation_fraction: float = 0.2,
) -> Iterator[DesignIteration]:
    """Fit the oracle, search, refit it where the search is, and so on.

    In one process, on the oracle's device, with the bits that a trainer of one process gives.
    Nothing is logged or written. The oracle and the search are changed in place; the same search
    model is in all iterations, which show it as it is when they are yielded.

    Args:
        problem: What is to be designed; no row that is held out is fitted to.
        oracle: A fresh one, or one that was prepared for this problem.
        search: One that has not been started.
        num_iterations: Design iterations.
        autofocus: How the oracle follows the search; None fits it once.
        convergence: When a gradient oracle's fit ends; default: by the rule's own defaults.
        batch_size: Points in a training batch of one ensemble member.
        validation_fraction: Share of the points that a member validates on.

    Yields:
        Each design iteration, with its weights' effective sample size where it is autofocused.

    Raises:
        ConfigurationError: If the parts do not go together.
        DataError: If no design is feasible.
    """
    convergence = Convergence() if convergence is None else convergence
    oracle.prepare(problem.training)
    if autofocus is not None:
        search.ratio_kind = autofocus.ratio
    search.start(problem, oracle.device)
    fits = Fits(problem.training, batch_size, validation_fraction)
    fits.begin()
    while search.num_done < num_iterations and not search.exhausted:
        oracle.fit(fits, convergence)
        iteration = search.iterate(oracle)
        if iteration is None:
            return
        if autofocus is not None:
            weights = autofocus.weigh(iteration, problem.training.base_weights)
            if weights is not None and search.num_done < num_iterations:
                fits.begin(weights)
        yield iteration
