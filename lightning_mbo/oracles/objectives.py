"""What a gradient search climbs: one value of an ensemble's views."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor
from torch.distributions import Normal

from lightning_mbo.errors import ConfigurationError

_SMALLEST_VARIANCE = 1e-12
"""The square root has no gradient at zero, where all members agree."""


class EnsembleObjective(ABC):
    """A value of each design, from what the members of an ensemble say of it."""

    @abstractmethod
    def __call__(self, members: Normal) -> Tensor:
        """The values ``(b,)`` of the members' Normals of batch shape ``(k, b)``."""


class Mean(EnsembleObjective):
    """The members' mean."""

    def __call__(self, members: Normal) -> Tensor:
        """The mean of the means, ``(b,)``."""
        return members.loc.mean(0)


class Minimum(EnsembleObjective):
    """What the least enthusiastic member says."""

    def __call__(self, members: Normal) -> Tensor:
        """The least of the means, ``(b,)``."""
        return members.loc.amin(0)


class LowerConfidenceBound(EnsembleObjective):
    """The members' mean less a multiple of their disagreement."""

    def __init__(self, kappa: float = 1.0) -> None:
        """Set how cautious to be.

        Args:
            kappa: κ, how many standard deviations of the members' means are subtracted.

        Raises:
            ConfigurationError: If it is negative.
        """
        if kappa < 0:
            raise ConfigurationError(f"kappa must not be negative: {kappa}")
        self.kappa = kappa

    def __call__(self, members: Normal) -> Tensor:
        """Mean less κ times the standard deviation of the means, ``(b,)``."""
        variance = members.loc.var(0, correction=0)
        return members.loc.mean(0) - self.kappa * (variance + _SMALLEST_VARIANCE).sqrt()
