"""Offline model-based optimisation: from a table of measured designs to better ones."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_PACKAGE = Path(__file__).parent
if not (_PACKAGE / "callbacks").is_dir():
    # In a checkout `callbacks` and `configs` stand beside this folder; installed, inside it.
    __path__.append(str(_PACKAGE.parent))

try:
    __version__ = version("lightning-mbo")
except PackageNotFoundError:  # a bare checkout
    __version__ = "0+unknown"
