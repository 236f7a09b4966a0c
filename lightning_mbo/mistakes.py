"""What is wrong with a command line, in one line, with the nearest right word."""

from __future__ import annotations

import difflib
import inspect
import re
import sys
import traceback
from collections.abc import Iterable, Mapping
from typing import Any

from jsonargparse import ArgumentParser, Namespace
from lightning_fabric.utilities.exceptions import MisconfigurationException

from lightning_mbo.algorithms import Algorithm
from lightning_mbo.errors import CheckpointError, ConfigurationError, MBOError
from lightning_mbo.oracles import Adversary, EnsembleObjective, Representation
from lightning_mbo.search_models import SearchModel
from lightning_mbo.tasks import Task

_NESTED: tuple[type, ...] = (
    Algorithm,
    SearchModel,
    Adversary,
    EnsembleObjective,
    Representation,
    Task,
)


def users_mistake(error: BaseException | None) -> Exception | None:
    """The error meant for the user, among those that an error was raised from, or None."""
    while error is not None:
        if isinstance(error, (MBOError, MisconfigurationException)):
            return error
        error = error.__cause__ or error.__context__
    return None


def checkpoints_mistake(error: BaseException) -> CheckpointError | None:
    """What is said of an error while a checkpoint's content was put in place; None of another.

    Each part restores its own, and what it cannot use raises one of half a dozen types.
    """
    places = {
        frame.f_globals.get("__name__") for frame, _ in traceback.walk_tb(error.__traceback__)
    }
    if "pytorch_lightning.trainer.connectors.checkpoint_connector" not in places:
        return None
    return CheckpointError(
        f"the checkpoint holds what no run of these options has written ({type(error).__name__}: "
        f"{str(error)[:200]}). Take another one, or start afresh"
    )


def check_nulls(config: Namespace, groups: Mapping[str, type]) -> None:
    """Refuse null where an option takes a value, and a value where there is a group of them.

    The parser lets both pass.

    Args:
        config: The parsed options.
        groups: Whose options are of one class, and that class.

    Raises:
        ConfigurationError: Naming the option, and what it takes.
    """
    for name, value in vars(config).items():
        if name in groups:
            if not isinstance(value, Namespace):
                raise ConfigurationError(
                    f"{name} is a group of options, and not {value!r:.40}: give them by name, as "
                    f"{name}: {{option: value}}"
                )
            _check_arguments(value, name, groups[name])
        _check_inner(value, name)


def _check_inner(value: Any, option: str) -> None:
    """The same of classes that are chosen."""
    for part in value if isinstance(value, list) else [value]:
        if not isinstance(part, Namespace):
            continue
        arguments = part.get("init_args")
        if part.get("class_path") and isinstance(arguments, Namespace):
            module, _, name = part.class_path.rpartition(".")
            _check_arguments(arguments, option, getattr(sys.modules.get(module), name, object))
        for name, inner in vars(arguments or part).items():
            _check_inner(inner, f"{option}.{name}")


def _check_arguments(arguments: Namespace, option: str, made: type) -> None:
    parameters: dict[str, inspect.Parameter] = {}
    for base in reversed(made.__mro__[:-1]):  # what a class says of an argument goes before
        parameters |= inspect.signature(base).parameters
    for name, parameter in parameters.items():
        wanted = str(parameter.annotation)
        nothing_else = not any(word in wanted for word in ("None", "Optional", "Any", "_empty"))
        if nothing_else and name in arguments and arguments[name] is None:
            kind = wanted.removeprefix("<class '").removesuffix("'>").replace("typing.", "")
            raise ConfigurationError(
                f"{option}.{name} must not be null: it is of type {kind}. Give a value, or leave "
                "it out"
            )


def explained(message: str, parser: ArgumentParser, groups: dict[str, type]) -> str:
    """Shorten what jsonargparse says of a mistake.

    Args:
        message: Its message, of any number of lines.
        parser: Where it came from.
        groups: The options that choose a class, and of what base it is.

    Returns:
        One line that names the option or class, and the nearest right ones.
    """
    line = " ".join(message.split())
    key = re.search(r'Parser key "([^"]+)"', line)
    no_class = re.search(r"Expected a dot import path string: (\S+)", line)
    if key and no_class:
        bases = [*groups.values(), *_NESTED]
        names = [cls.__name__ for base in bases for cls in _subclasses(base)]
        kind = _kind(key[1], bases)
        if kind is not None and no_class[1] in names:
            return (
                f"{key[1]}: {no_class[1]} is not of the kind {kind.__name__}, of which there are "
                f"{_kinds(kind)}"
            )
        if kind is not None:
            names = [cls.__name__ for cls in _subclasses(kind)]
        return f"{key[1]}: there is no class {no_class[1]}{_nearest(no_class[1], names)}"
    nested = re.search(r"NestedArg\(key='(\w+)'", line)
    if key and nested:
        owners = [
            cls.__name__
            for base in _NESTED
            for cls in _subclasses(base)
            if nested[1] in inspect.signature(cls).parameters
        ]
        return (
            f"{key[1]}.{nested[1]} is an option of a class, which has to be chosen before it: give "
            f"{key[1]} {' or '.join(sorted(set(owners))) or 'a class'} first"
        )
    wrong_kind = re.search(
        r"(?:Not a valid subclass of|does not (?:correspond to a subclass of|implement protocol)) "
        r"(\w+)",
        line,
    )
    if key and wrong_kind:
        known = {base.__name__: base for base in (*groups.values(), *_NESTED)}
        shown = _kinds(known[wrong_kind[1]]) if wrong_kind[1] in known else ""
        return f"{key[1]} must be a class of the kind {wrong_kind[1]}" + f": {shown}" * bool(shown)
    named = re.findall(r"Expected a <class '(\w+)'>", line)
    wanted = [f"of type {name}" for name in named if name != "NoneType"][:1]
    wanted += [
        f"one of {names}" for names in re.findall(r"Expected a typing.Literal\[(.+?)\]", line)
    ]
    given = re.search(r"(?:Given value|Got value): (.+)$", line)
    if key and wanted and given:
        return f"{key[1]} must be {' or '.join(wanted)}, not {given[1]!r}"
    if "arguments are required" in line:
        return f"{line}. A config says them all: --config cbas_af.yaml, for instance"
    unknown = re.search(r"(?:unrecognized arguments:|[Oo]ption) '?(--)?([\w.]+)", line)
    if unknown:
        return f"{line}{_nearest(unknown[2], _options(parser, groups), unknown[1] or '')}"
    return line


def _kinds(base: type) -> str:
    """The classes of a kind that can be made."""
    known = (cls for cls in _subclasses(base) if not inspect.isabstract(cls))
    return ", ".join(sorted(cls.__name__ for cls in known))


def _kind(option: str, bases: Iterable[type]) -> type | None:
    """The base of an option's classes; they are alike by name."""
    word = option.rpartition(".")[2].replace("_", "")
    known = {"model": "oracle", "data": "designdatamodule", "objective": "ensembleobjective"}
    word = known.get(word, word)
    return next((base for base in bases if base.__name__.lower() == word), None)


def _nearest(word: str, known: Iterable[str], prefix: str = "") -> str:
    # A word that is known is right for another class.
    known = {name for name in known if name != word}
    known = {name for name in known if ("." in name) == ("." in word)} or known
    near = difflib.get_close_matches(word, known, n=2, cutoff=0.7)
    # The last part alone may be misspelt, or stand under another group.
    last = word.rpartition(".")[2]
    near = near or [k for k in known if k.rpartition(".")[2] == last][:2]
    return f". Did you mean {' or '.join(prefix + n for n in near)}?" if near else ""


def _options(parser: ArgumentParser, groups: dict[str, type]) -> list[str]:
    words = [
        word.lstrip("-")
        for action in parser._actions
        for word in action.option_strings
        if not word.endswith(("+", ".help"))
    ]
    for action in parser._actions:
        if isinstance(action.choices, dict):  # the subcommands' parsers
            words += [word for sub in action.choices.values() for word in _options(sub, groups)]
    for group, base in groups.items():
        words += [f"{group}.{name}" for name in _parameters(base)]
    for base in (*groups.values(), *_NESTED):
        words += _parameters(base)
    return words


def _parameters(base: type) -> list[str]:
    return [
        name
        for cls in (base, *_subclasses(base))
        for name, parameter in inspect.signature(cls).parameters.items()
        if parameter.kind is not parameter.VAR_KEYWORD
    ]


def _subclasses(base: type) -> list[type]:
    found: list[type] = []
    direct: list[type] = type.__subclasses__(base)
    for subclass in direct:
        found += [subclass, *_subclasses(subclass)]
    return found
