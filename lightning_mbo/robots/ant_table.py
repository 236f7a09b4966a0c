"""The designs of `AntMorphology`'s table: random ones about the usual robot."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lightning_mbo.robots.ant import GREATEST, LEAST, USUAL

NUM_DESIGNS = 12_505
_SPREAD = 0.2
"""How far a number is from its usual one at most, in shares of its range; small changes are more
likely than great ones, in proportion to what is left."""


def designs(number: int = NUM_DESIGNS) -> NDArray[np.float64]:
    """The first ones, ``(number, 60)``, in single precision: the same on any machine."""
    drawn = np.random.Philox(key=[0, 0]).random_raw(2 * number * len(USUAL))
    shares = (drawn >> np.uint64(11)).astype(np.float64) * 2.0**-53
    shares = shares.reshape(number, 2, len(USUAL))
    changes = _SPREAD * (GREATEST - LEAST) * (shares[:, 0] - shares[:, 1])
    found = np.clip(USUAL + changes, LEAST, GREATEST)
    return found.astype(np.float32).astype(np.float64)
