"""Which design iteration the candidates are of."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from lightning_mbo.errors import CheckpointError, ConfigurationError
from lightning_mbo.evidence.held_out import weighted_log_likelihood
from lightning_mbo.problem import DesignProblem
from lightning_mbo.samples import DesignIteration

Rule = Literal["promise", "held_out_likelihood"]

_RULES = {
    "promise": ("oracle_p80", "the greatest promise of the oracle"),
    "held_out_likelihood": (
        "held_out_weighted_log_likelihood",
        "the greatest likelihood of the held-out designs",
    ),
}
"""The metric that each looks at, and what it is called."""


class Selector:
    """Chooses the best design iteration: the first of the greatest score.

    Attributes:
        rule: Its name.
        best_score: The greatest so far.
        best_iteration: The iteration that had it; -1 before the first.
    """

    def __init__(self, rule: Rule = "promise") -> None:
        """Choose by a rule.

        Args:
            rule: `promise`, the 80th percentile of the oracle's means, or `held_out_likelihood`,
                that of the held-out designs, weighted as often as the search finds them.

        Raises:
            ConfigurationError: If there is no such rule.
        """
        if rule not in _RULES:
            raise ConfigurationError(
                f"search.select must be one of {', '.join(_RULES)}, not {rule!r}"
            )
        self.rule = rule
        self.best_score = -float("inf")
        self.best_iteration = -1

    @property
    def metric(self) -> str:
        """The metric of a design iteration that the rule goes by."""
        return _RULES[self.rule][0]

    @property
    def label(self) -> str:
        """What the rule prefers, in words."""
        return _RULES[self.rule][1]

    def check(self, problem: DesignProblem) -> None:
        """Refuse a rule that lacks what it goes by.

        Raises:
            ConfigurationError: If no designs are held out for it.
        """
        if self.rule == "held_out_likelihood" and not problem.held_out.any():
            raise ConfigurationError(
                "search.select held_out_likelihood needs held-out designs: give "
                "--data.held_out_fraction 0.1"
            )

    def prefers(self, iteration: DesignIteration, problem: DesignProblem) -> bool:
        """Whether an iteration's score is the greatest so far; remembers it if so."""
        # Checkpoints compare float32 figures: so does this, lest they choose differently.
        rounded = float(np.float32(self._score(iteration, problem)))
        if not rounded > self.best_score:
            return False
        self.best_score, self.best_iteration = rounded, iteration.number
        return True

    def state_dict(self) -> dict[str, Any]:
        """The rule, and the best so far."""
        return {
            "rule": self.rule,
            "best_score": self.best_score,
            "best_iteration": self.best_iteration,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on comparing with the best so far.

        Raises:
            CheckpointError: If another rule chose it.
        """
        if state_dict["rule"] != self.rule:
            raise CheckpointError(
                f"the checkpoint's best iteration was chosen by {state_dict['rule']}: give "
                f"--search.select {state_dict['rule']}, or start afresh"
            )
        self.best_score = state_dict["best_score"]
        self.best_iteration = state_dict["best_iteration"]

    def _score(self, iteration: DesignIteration, problem: DesignProblem) -> float:
        if self.rule == "promise":
            return iteration.metrics[self.metric]
        assert iteration.held_out is not None
        assert iteration.held_out_log_ratios is not None
        judged = problem.judged
        return weighted_log_likelihood(
            judged.label_prediction(iteration.held_out).normal,
            judged.properties.to(iteration.held_out.mean),
            iteration.held_out_log_ratios,
        )
