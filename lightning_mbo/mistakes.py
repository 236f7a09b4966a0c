"""What is wrong with a command line, in one line, with the nearest right word."""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Iterable

from jsonargparse import ArgumentParser
from lightning_fabric.utilities.exceptions import MisconfigurationException

from lightning_mbo.algorithms import Algorithm
from lightning_mbo.errors import MBOError
from lightning_mbo.oracles import Adversary, EnsembleObjective, Representation
from lightning_mbo.search_models import SearchModel

_NESTED: tuple[type, ...] = (
    Algorithm,
    SearchModel,
    Adversary,
    EnsembleObjective,
    Representation,
)


def users_mistake(error: BaseException | None) -> Exception | None:
    """The error meant for the user, among those that an error was raised from, or None."""
    while error is not None:
        if isinstance(error, (MBOError, MisconfigurationException)):
            return error
        error = error.__cause__ or error.__context__
    return None


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
    wanted = [f"of type {name}" for name in re.findall(r"Expected a <class '(\w+)'>", line)[:1]]
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
