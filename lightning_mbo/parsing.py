"""The parser of all commands, and the configs that it reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from jsonargparse import ActionConfigFile, Namespace, dict_to_namespace
from pytorch_lightning.cli import LightningArgumentParser

from lightning_mbo.config_files import check_command, read_config
from lightning_mbo.data import DesignDataModule
from lightning_mbo.errors import ConfigurationError
from lightning_mbo.mistakes import explained, users_mistake
from lightning_mbo.oracles import Oracle
from lightning_mbo.shipped_configs import found_config

if TYPE_CHECKING:
    import callbacks
else:
    from lightning_mbo import callbacks

DEFAULT_CLASSES: dict[str, dict[str, Any]] = {
    "model": {"class_path": "lightning_mbo.oracles.DeepEnsemble"},
    "data": {"class_path": "lightning_mbo.data.Superconductor"},
    "search": {"class_path": "lightning_mbo.callbacks.SearchModelUpdate"},
}

GROUPS = {"model": Oracle, "data": DesignDataModule, "search": callbacks.SearchCallback}


class ConfigFile(ActionConfigFile):
    """A config by path or, where there is no such file, by the name of a shipped one."""

    of_benchmark = False

    def __call__(
        self, parser: Any, cfg: Any, values: Any, option_string: str | None = None
    ) -> None:
        """Apply the file."""
        path = found_config(values)
        check_command(read_config(path), values, benchmark=self.of_benchmark)
        self.apply_config(parser, cfg, self.dest, path)


class Parser(LightningArgumentParser):
    """Ends with one line for a mistake of the user's, and knows the classes that are default."""

    def get_defaults(self, *args: Any, **kwargs: Any) -> Namespace:
        """The defaults; of a default class only those that are not its own.

        With its own, another class that is chosen instead would take over what it has in common
        with the default one: a network's size, for instance. They are added after parsing.
        """
        defaults = super().get_defaults(*args, **kwargs)
        for key, default in DEFAULT_CLASSES.items():
            if key in defaults:
                defaults[key] = dict_to_namespace(default)
        return defaults

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raise what `main` prints."""
        raise users_mistake(ex) or ConfigurationError(explained(message, self, GROUPS))
