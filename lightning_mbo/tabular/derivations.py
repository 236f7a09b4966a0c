"""Columns of designs that are made of columns of the user's, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import pandas as pd


class Derivation(Protocol):
    """Some columns of the user's that are designed by others in their place."""

    @property
    def own(self) -> tuple[str, ...]:
        """The user's columns."""

    @property
    def derived(self) -> tuple[str, ...]:
        """The columns of designs."""

    def derive(self, table: pd.DataFrame) -> dict[str, pd.Series]:
        """The columns of designs, of a table with the user's."""

    def restore(self, values: Mapping[str, Any]) -> dict[str, list[Any]]:
        """The user's columns, of values ``(m,)`` of those of designs."""

    def describe(self) -> tuple[str, str]:
        """The kind of the user's columns, and what values they have."""
