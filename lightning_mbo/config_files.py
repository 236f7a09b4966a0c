"""What a config file holds, before anything is made of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from jsonargparse import get_loader

from lightning_mbo.errors import ConfigurationError

MOST_BYTES = 1_000_000
MOST_NODES = 100_000
DEEPEST = 50

_GROUPS = ("trainer", "model", "data", "search", "autofocus", "convergence")
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_config(path: str | Path) -> Any:
    """The plain content of a config: mappings, lists, texts, numbers. Nothing that it names is.

    Raises:
        ConfigurationError: If it is no YAML in UTF-8, or more than a config can be.
    """
    content = _bytes(Path(path))
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigurationError(
            f"the config {path} is not in UTF-8 (line {line}): save it as UTF-8"
        ) from error
    try:
        loaded = load_yaml(text)
    except yaml.YAMLError as error:
        raise ConfigurationError(f"the config {path} is no YAML: {error}") from error
    except ConfigurationError as error:
        raise ConfigurationError(f"the config {path} {error}") from error
    if isinstance(loaded, str) and (alone := loaded.strip().removesuffix(":")) in _GROUPS:
        loaded = {alone: None}  # of which the loader makes a text
    if not isinstance(loaded, dict):
        raise ConfigurationError(
            f"the config {path} must hold options such as 'num_candidates: 24', and holds none"
        )
    for name in loaded:
        if not isinstance(name, str):
            raise ConfigurationError(f"the config {path}: {name} is no option")
    for name in _GROUPS:
        if name in loaded and loaded[name] is None:
            raise ConfigurationError(
                f"the config {path}: {name} is empty. Give its options, or leave it out"
            )
    return loaded


def check_command(content: dict[str, Any], name: str, *, benchmark: bool) -> None:
    """Refuse a benchmark's config where one of a run is meant, and the other way round.

    Args:
        content: Of the config.
        name: Its name, as it was given.
        benchmark: Whether it was given to `benchmark`.

    Raises:
        ConfigurationError: If it is of the other kind.
    """
    command = "python -m lightning_mbo"
    if benchmark and any(group in content for group in _GROUPS):
        raise ConfigurationError(
            f"{name} is a config of fit: {command} fit --config {name}. In a benchmark it can be "
            "one of the methods"
        )
    if not benchmark and "methods" in content:
        raise ConfigurationError(
            f"{name} is a config of benchmark: {command} benchmark --config {name}"
        )


def load_yaml(text: str) -> Any:
    """Load as the command line does, after a look at how much it unfolds to.

    Raises:
        ConfigurationError: If that is more than a config can be; the message lacks its subject.
        YAMLError: If it is no YAML.
    """
    if len(text) > MOST_BYTES:
        raise ConfigurationError(f"is longer than {MOST_BYTES:,} characters: no config is")
    _check_unfolded(text)
    try:
        return get_loader("yaml")(text)
    except yaml.YAMLError:
        raise
    except Exception as error:
        # Of a number of thousands of digits, of a tag that its value does not suit: each its own.
        raise yaml.YAMLError(str(error)) from error


def _bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise ConfigurationError(f"the config {path} cannot be read: {error.strerror}") from error
    if len(content) > MOST_BYTES:
        raise ConfigurationError(
            f"the config {path} has more than {MOST_BYTES / 1e6:g} MB, which no config has"
        )
    return content


def _check_unfolded(text: str) -> None:
    """Count what aliases unfold to, without unfolding them."""
    sizes: dict[str, int] = {}
    # Of each open mapping or list: its anchor, and how much is in it.
    opened: list[tuple[str | None, int]] = [(None, 0)]
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            opened.append((event.anchor, 1))
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, size = opened.pop()
            _add(opened, sizes, anchor, size)
        elif isinstance(event, yaml.AliasEvent):
            if event.anchor not in sizes:
                raise ConfigurationError(f"has an alias *{event.anchor} of what it is a part of")
            _add(opened, sizes, None, sizes[event.anchor])
        elif isinstance(event, yaml.ScalarEvent):
            _add(opened, sizes, event.anchor, 1)
        if len(opened) > DEEPEST:
            raise ConfigurationError(f"is nested deeper than {DEEPEST} levels: no config is")
        if opened[-1][1] > MOST_NODES:
            raise ConfigurationError(
                f"unfolds to more than {MOST_NODES:,} entries by its aliases: write it without"
            )


def _add(
    opened: list[tuple[str | None, int]], sizes: dict[str, int], anchor: str | None, size: int
) -> None:
    outer, before = opened[-1]
    opened[-1] = outer, before + size
    if anchor is not None:
        sizes[anchor] = size
