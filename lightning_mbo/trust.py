"""What a config that was found beside a checkpoint may name: to open a run is not to run its code.

What a user's own command line and configs name is imported, whatever it is. A run's folder may be
somebody else's: of its config only classes of this package are taken, and what the command line
trusts by `--trust`. It is judged as plain text, before a module that it names is imported and
before anything reads it for its meaning.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from lightning_mbo.command_words import values_of
from lightning_mbo.config_files import MOST_BYTES, load_yaml, read_config
from lightning_mbo.errors import ConfigurationError

_PACKAGE = "lightning_mbo"
_CODE = ("class_path", "feasible_if")
"""Options whose texts name code; elsewhere a text may do so only where a class is expected."""

TEXTS = frozenset(
    {
        *("path", "target", "targets", "columns", "constraints", "error_column", "weight_column"),
        *("other_results", "laws", "sheet", "missing_values", "landscape", "cache_dir"),
        *("listed", "dirpath", "monitor", "mode", "function"),
        *("candidates", "default_root_dir", "ckpt_path", "trust", "model_registry"),
    }
)
"""Options of plain texts, which nothing ever takes for the name of a class or of another config."""


def trusted_modules(args: Sequence[str]) -> list[str]:
    """The modules that the words of a command line trust: `--trust my_rules,their_oracles`.

    Raises:
        ConfigurationError: If one is no name of a module.
    """
    given = values_of(args, "--trust")
    modules = [name.strip() for names in given for name in names.split(",")]
    for name in modules:
        if not all(part.isidentifier() for part in name.split(".")):
            raise ConfigurationError(
                f"--trust takes names of modules, such as my_rules, separated by commas: not {name}"
            )
    return modules


def check_found(path: Path, trusted: Sequence[str]) -> None:
    """Refuse a config that names code which is neither this package's nor trusted.

    Args:
        path: Of the config; files that it names are looked for in its folder, too.
        trusted: Modules; what is in them, and in modules in them, is trusted.

    Raises:
        ConfigurationError: Naming it and the flag that allows it.
    """
    found = list(_Names(path).of(read_config(path)))
    for named in found:
        if not _is_in(named.name, (_PACKAGE, *trusted)):
            raise _untrusted(path, named, named.name.rpartition(".")[0] or named.name)
    for named in found:
        _check_home(path, named, trusted)


class _Named(NamedTuple):
    """A name of code, and the option that it is the value of."""

    option: str
    name: str
    is_class: bool


class _Names:
    """Finds what a config names."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.num_characters = 0

    def of(self, value: Any, option: str = "", is_text: bool = False) -> Iterator[_Named]:
        """All names of code in a value of an option; `is_text` where texts are only texts."""
        if isinstance(value, dict):
            for key, inner in value.items():
                yield from self._of_entry(inner, f"{option}.{key}".lstrip("."), is_text)
        elif isinstance(value, list):
            for inner in value:
                yield from self.of(inner, option, is_text)
        elif isinstance(value, str):
            yield from self._of_text(value, option, is_text)
        elif not (value is None or isinstance(value, (bool, int, float))):
            raise self._refused(option, f"a {type(value).__name__}, which no option takes")

    def _of_entry(self, value: Any, option: str, is_text: bool) -> Iterator[_Named]:
        # `a.b: 1` is `a: {b: 1}`, and `a+` adds to the list `a`.
        last = option.rpartition(".")[2].rstrip("+")
        if last == "config" and not is_text:
            raise self._refused(option, "another config: give that by --config")
        if last == "weights_only" and value not in (None, True):
            raise self._refused(option, f"{value!r}: no checkpoint is loaded with code in it")
        if last not in _CODE:
            yield from self.of(value, option, is_text or last in TEXTS)
        elif isinstance(value, str):
            yield _Named(option, value, last == "class_path")
        elif value is not None:
            raise self._refused(option, f"{value!r}, which is no name")

    def _of_text(self, text: str, option: str, is_text: bool) -> Iterator[_Named]:
        # The command line reads texts as YAML wherever that makes something else of them.
        self.num_characters += len(text)
        try:
            if self.num_characters > MOST_BYTES:
                raise ConfigurationError("holds texts in texts without end")
            inner = load_yaml(text)
        except yaml.YAMLError:
            inner = text
        except ConfigurationError as error:
            raise self._refused(option, f"a text that {error}") from error
        if isinstance(inner, (dict, list)) or (isinstance(inner, str) and inner != text):
            yield from self.of(inner, option, is_text)
        if is_text:
            return
        is_path = "." in text and all(part.isidentifier() for part in text.split("."))
        if is_path or (text.isidentifier() and text[0].isupper()):
            yield _Named(option, text, True)
        elif _is_file(Path(text)) or _is_file(self.path.parent / text):
            raise self._refused(option, f"{text!r}, a file, which would be read for more options")

    def _refused(self, option: str, what: str) -> ConfigurationError:
        return ConfigurationError(
            f"{self.path}, found beside the checkpoint: {option} is {what}. If you trust all that "
            f"it says, give --config {self.path}"
        )


def _is_file(path: Path) -> bool:
    try:
        return path.expanduser().exists() and not path.expanduser().is_dir()
    except (OSError, ValueError, RuntimeError):  # no path at all
        return False


def _is_in(name: str, modules: Sequence[str]) -> bool:
    if "." not in name:  # of a class that is loaded already, whatever the package
        return _short(name) is not None
    return any(name.startswith(f"{module}.") for module in modules)


def _short(name: str) -> Any:
    """A class of this package by its name alone."""
    modules = [module for key, module in sys.modules.items() if key.startswith(f"{_PACKAGE}.")]
    found = (getattr(module, name, None) for module in modules if not name.startswith("_"))
    return next((f for f in found if inspect.isclass(f) and _is_from(f, [_PACKAGE])), None)


def _is_from(found: Any, modules: Sequence[str]) -> bool:
    """Whether that is where it was written, as well as where it was found."""
    return _is_in(f"{getattr(found, '__module__', '')}.", modules)


def _check_home(path: Path, named: _Named, trusted: Sequence[str]) -> None:
    """Refuse what a trusted module only has from elsewhere, such as `my_rules.os.system`."""
    module, _, name = named.name.rpartition(".")
    if not module:
        return
    # Of this package what is loaded; a folder beside a checkout's is not of it.
    find: Callable[[str], Any] = (
        importlib.import_module if _is_in(named.name, trusted) else sys.modules.__getitem__
    )
    try:
        found = getattr(find(module), name)
    except Exception as error:  # whatever a trusted module raises
        reason = "" if isinstance(error, (KeyError, AttributeError)) else f" ({error})"
        raise ConfigurationError(
            f"{path}: {named.option} is {named.name}, which is not in {module}{reason}"
        ) from error
    if named.is_class and not inspect.isclass(found):
        raise ConfigurationError(f"{path}: {named.option} is {named.name}, which is no class")
    wrapped = inspect.isclass(found) or inspect.isroutine(found)
    if wrapped and not _is_from(found, (_PACKAGE, *trusted)):
        raise _untrusted(path, named, str(found.__module__))


def _untrusted(path: Path, named: _Named, module: str) -> ConfigurationError:
    return ConfigurationError(
        f"{path}, found beside the checkpoint, names code that is not of this package: "
        f"{named.option} is {named.name}. If you trust it, add --trust {module}; nothing of it has "
        "been run"
    )
