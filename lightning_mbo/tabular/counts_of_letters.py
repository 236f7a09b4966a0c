"""Numbers that only count something in the sequences beside them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray


def counting_letters(words: pd.Series, numbers: Mapping[str, NDArray[np.float64]]) -> list[str]:
    """Which numbers are the lengths of the words, or how many letters each has changed.

    Changed are the letters that are not the most usual ones of their places, which the parent of
    a table of mutants has.

    Args:
        words: Sequences, ``(n,)``, none of them missing.
        numbers: Of other columns, ``(n,)`` each.
    """
    lengths = words.str.len().to_numpy()
    counts = [lengths]
    if len(lengths) and (lengths == lengths[0]).all():
        points = np.frombuffer("".join(words).encode("utf-32-le"), dtype=np.uint32)
        places = points.reshape(len(words), -1)
        usual = np.array([np.bincount(place).argmax() for place in places.T])
        counts = [(places != usual).sum(1)]
    return [
        name
        for name, values in numbers.items()
        if any(np.array_equal(values, count) for count in counts)
    ]
