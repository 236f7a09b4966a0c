"""Configs by name: what `--config` may be given, known without any heavy import."""

from __future__ import annotations

import difflib
from pathlib import Path

from lightning_mbo import configs
from lightning_mbo.errors import ConfigurationError

_FOLDER = Path(str(configs.__file__)).parent


def found_config(name: str) -> str:
    """The path of a config: a file or, where there is none, a shipped config of that name.

    Raises:
        ConfigurationError: If there is neither; the message has the nearest names.
    """
    if Path(name).is_file():
        return name
    shipped = {path.name: str(path) for path in _FOLDER.rglob("*.yaml")}
    if name in shipped:
        return shipped[name]
    near = difflib.get_close_matches(name, shipped, n=3, cutoff=0.4) or sorted(shipped)
    raise ConfigurationError(
        f"there is no config {name}, neither as a file nor among the shipped ones. Did you mean "
        f"{' or '.join(near)}?"
    )
