"""What a user's own function says of designs."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lightning_mbo.errors import ConfigurationError

Predicate = Callable[[pd.DataFrame], Any]
"""Of designs in the user's units, one a row: which of them can be made, truth values ``(m,)``."""


def imported(path: str) -> Predicate:
    """The function that a user names by its import path, also from the working directory.

    Raises:
        ConfigurationError: If there is none.
    """
    module, _, name = path.rpartition(".")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigurationError(
            f"data.feasible_if: there is no function {path} ({error}). Give module.function, of a "
            "module in the working directory or installed"
        ) from error
    if not callable(found):
        raise ConfigurationError(f"data.feasible_if: {path} is no function")
    return found  # type: ignore[no-any-return]


def answers(predicate: Predicate, table: pd.DataFrame) -> NDArray[np.bool_]:
    """Which of some designs, one a row, a user's function says can be made, ``(m,)``.

    Raises:
        ConfigurationError: If the function fails, or gives something else.
    """
    name = f"data.feasible_if {getattr(predicate, '__name__', predicate)}"
    try:
        given = np.asarray(predicate(table))
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise ConfigurationError(f"{name} failed: {reason}") from error
    if given.shape != (len(table),) or given.dtype != bool:
        raise ConfigurationError(
            f"{name} must give one truth value for each of {len(table)} rows, and gave an array of "
            f"{given.dtype} of the shape {given.shape}"
        )
    return given
