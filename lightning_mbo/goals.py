"""What is wanted of each of several results, in words."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from lightning_mbo.errors import ConfigurationError

_NUMBER = r"([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)"
_WORDS: dict[re.Pattern[str], Callable[..., tuple[float, float]]] = {
    re.compile(rf">=\s*{_NUMBER}"): lambda a: (a, math.inf),
    re.compile(rf"<=\s*{_NUMBER}"): lambda a: (-math.inf, a),
    re.compile(rf"{_NUMBER}\s+to\s+{_NUMBER}"): lambda a, b: (a, b),
    re.compile(rf"near\s+{_NUMBER}"): lambda a: (a, a),
    re.compile(rf"near\s+{_NUMBER}\s*\+-\s*{_NUMBER}"): lambda a, width: (a - width, a + width),
}
_HOW = 'maximize, minimize, ">= 90", "<= 3", "40 to 60", "near 5.5" or "near 5.5 +- 0.2"'

_NEAR = 0.1
"""Of a result's standard deviation: what counts as near where nothing else is said."""


@dataclass(frozen=True)
class Goal:
    """What is wanted of one result.

    Attributes:
        name: The result, a column of the table.
        kind: To have much of it, or little, or to keep it within limits.
        lower: The least value within the limits, in the user's units.
        upper: The greatest.
    """

    name: str
    kind: Literal["maximize", "minimize", "limits"]
    lower: float = -math.inf
    upper: float = math.inf

    @classmethod
    def of_words(cls, name: str, words: str) -> Self:
        """Read what the user says of a result.

        Raises:
            ConfigurationError: Naming the result, and how goals are said.
        """
        said = str(words).strip()
        if said == "maximize":
            return cls(name, "maximize")
        if said == "minimize":
            return cls(name, "minimize")
        for pattern, limits in _WORDS.items():
            found = pattern.fullmatch(said)
            if found is not None:
                lower, upper = limits(*map(float, found.groups()))
                if lower > upper:
                    raise ConfigurationError(f"data.targets.{name}: {said} has no value between")
                return cls(name, "limits", lower, upper)
        raise ConfigurationError(f"data.targets.{name}: give {_HOW}, not {words!r}")

    @property
    def is_limit(self) -> bool:
        """Whether it is met or not; otherwise more, or less, is always better."""
        return self.kind == "limits"

    @property
    def is_near(self) -> bool:
        """Whether one value is wanted, of which nothing says how nearly."""
        return self.lower == self.upper

    @property
    def sign(self) -> int:
        """-1 where little is wanted."""
        return -1 if self.kind == "minimize" else 1

    @property
    def sides(self) -> tuple[Literal["lower", "upper"], ...]:
        """On which sides a bound tells whether the goal is missed."""
        if not self.is_limit:
            return ("upper",) if self.kind == "minimize" else ("lower",)
        if self.upper == math.inf:
            return ("lower",)
        return ("upper",) if self.lower == -math.inf else ("lower", "upper")

    def settled(self, scale: float) -> Self:
        """With a tenth of the result's standard deviation, to two digits, for what is near."""
        if not self.is_near:
            return self
        width = float(f"{_NEAR * scale:.2g}")
        return replace(self, lower=self.lower - width, upper=self.upper + width)

    def is_met(self, values: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which values, of any shape, lie within the limits; of what has none, all that are."""
        met: NDArray[np.bool_] = (values >= self.lower) & (values <= self.upper)
        return met

    def probability(
        self, means: NDArray[np.float64], stds: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """How likely normal values lie within the limits, of the means' shape."""
        with np.errstate(divide="ignore", invalid="ignore"):  # of those that are certain
            below, above = (ndtr((end - means) / stds) for end in (self.lower, self.upper))
        within: NDArray[np.float64] = above - below
        return within

    def __str__(self) -> str:
        """In words; what is near as limits, once it is settled."""
        if not self.is_limit:
            return self.kind
        if self.upper == math.inf:
            return f"at least {self.lower:g}"
        return f"at most {self.upper:g}" if self.lower == -math.inf else self._between()

    def _between(self) -> str:
        if self.is_near:
            return f"near {self.lower:g}"
        return f"{self.lower:g} to {self.upper:g}"


def parse_goals(targets: Mapping[str, str]) -> tuple[Goal, ...]:
    """The goals of some results, by name.

    Raises:
        ConfigurationError: If one cannot be read, or there is none.
    """
    if not targets:
        raise ConfigurationError(f"data.targets is empty: give each result its goal, {_HOW}")
    return tuple(Goal.of_words(name, words) for name, words in targets.items())
