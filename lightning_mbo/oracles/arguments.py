"""What an object was made of, so that a checkpoint can hold it and make the object anew."""

from __future__ import annotations

import inspect
import sys
from typing import Any

from torch import nn

from lightning_mbo.errors import CheckpointError, ConfigurationError


def positive_rate(learning_rate: float, option: str = "model.learning_rate") -> float:
    """A learning rate as it is.

    Args:
        learning_rate: Adam's.
        option: What to call it in messages.

    Raises:
        ConfigurationError: If nothing can be learned with it.
    """
    if not 0 < learning_rate < float("inf"):
        raise ConfigurationError(f"{option} must be positive and finite, not {learning_rate}")
    return learning_rate


def arguments_of(made: object) -> tuple[dict[str, Any], list[str]]:
    """The arguments of an object's constructor, as its attributes of the same names have them.

    Returns:
        Those that a checkpoint can hold: numbers, texts, lists, and modules of which the same is
        true; and the names of all others, which no attribute has or which are something else.
    """
    known, unknown = {}, []
    for name in _argument_names(type(made)):
        try:
            known[name] = _kept(getattr(made, name))
        except (AttributeError, _CannotBeKeptError):
            unknown.append(name)
    return known, unknown


def remade(kept: Any) -> Any:
    """An argument that `arguments_of` gave, as the constructor wants it.

    Raises:
        CheckpointError: If it is an object of a class that has not been imported.
    """
    if isinstance(kept, list):
        return [remade(part) for part in kept]
    if not isinstance(kept, dict):
        return kept
    module, name = kept["module"], kept["class"]
    # Of what is imported already: to read a checkpoint is not to execute what it names.
    made = getattr(sys.modules.get(module), name, None)
    if not (isinstance(made, type) and issubclass(made, nn.Module)):
        raise CheckpointError(
            f"the checkpoint's oracle was made with a {module}.{name}: import {module} first"
        )
    return made(**{name: remade(value) for name, value in kept["arguments"].items()})


class _CannotBeKeptError(Exception):
    """Of a value that is none of what checkpoints hold here."""


def _argument_names(made: type) -> list[str]:
    names: list[str] = []
    for base in made.__mro__:
        if "__init__" not in vars(base):
            continue
        parameters = list(inspect.signature(vars(base)["__init__"]).parameters.values())[1:]
        names += [p.name for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
        # What goes on to the next class is that one's.
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return names


def _kept(value: Any) -> Any:
    if value is None or isinstance(value, bool):
        return value
    for plain in (int, float, str):
        if isinstance(value, plain):
            return plain(value)  # numpy's numbers are floats, and no checkpoint's
    if isinstance(value, (list, tuple)):
        return [_kept(part) for part in value]
    if not isinstance(value, nn.Module):
        raise _CannotBeKeptError
    known, unknown = arguments_of(value)
    if unknown:
        raise _CannotBeKeptError
    kind = type(value)
    return {"module": kind.__module__, "class": kind.__qualname__, "arguments": known}
