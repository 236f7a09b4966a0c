"""The LightningCLI of `fit`, `validate`, `test` and `predict`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytorch_lightning as pl
from jsonargparse import ArgumentParser, Namespace
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI, SaveConfigCallback
from pytorch_lightning.loggers import TensorBoardLogger

from lightning_mbo.checkpoints import AtomicCheckpointIO, read_checkpoint
from lightning_mbo.command_words import COMMANDS
from lightning_mbo.console import say
from lightning_mbo.data import DesignDataModule
from lightning_mbo.endings import HearSignals
from lightning_mbo.errors import ConfigurationError
from lightning_mbo.files import run_folder, unused_path, write_text
from lightning_mbo.mistakes import check_nulls
from lightning_mbo.oracles import Oracle, for_results
from lightning_mbo.parsing import DEFAULT_CLASSES, ConfigFile, Parser
from lightning_mbo.runs import RunFolder, checkpoint_file

if TYPE_CHECKING:
    import callbacks
else:
    from lightning_mbo import callbacks

_CLASSES = {
    "trainer": pl.Trainer,
    "autofocus": callbacks.ImportanceWeighting,
    "convergence": callbacks.OracleConvergence,
}

_CLASS_HELP = (
    "A class has options of its own: --search.help SearchModelUpdate lists those of the default "
    "search, --search.help GradientAscent those of the other; likewise --model.help DeepEnsemble "
    "and --data.help CSV."
)


class _SaveConfig(SaveConfigCallback):
    """Saves the config of a run; a resumed run leaves the first one where it is."""

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Nothing yet: the checkpoint that the run is to go on from may not fit it."""

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        super().setup(trainer, pl_module, "fit")

    def save_config(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Write the config beside the checkpoints, and show it in TensorBoard."""
        path = run_folder(trainer) / self.config_filename
        text = self.parser.dump(self.config, skip_none=False)
        if not (path.exists() and _same_config(text, path.read_text(encoding="utf-8"))):
            write_text(unused_path(path), text)
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                logger.experiment.add_text("config", f"```yaml\n{text}\n```")


def _same_config(one: str, other: str) -> bool:
    def without_checkpoint(text: str) -> list[str]:
        lines = text.splitlines()
        return [line for line in lines if not line.startswith(("ckpt_path:", "trust:", "#"))]

    return without_checkpoint(one) == without_checkpoint(other)


class MBOCommandLine(LightningCLI):
    """The LightningCLI of design runs.

    Adds the groups `search`, `autofocus` and `convergence`, finds shipped configs by name, gives
    every run a folder of its own, and continues an interrupted one in its folder.
    """

    def __init__(self, args: list[str]) -> None:
        """Parse and run.

        Args:
            args: The words of the command line.
        """
        self.run: RunFolder | None = None
        self.checkpoint: dict[str, Any] = {}
        self._command = args[0] if args and args[0] in COMMANDS else None
        super().__init__(
            Oracle,
            DesignDataModule,
            subclass_mode_model=True,
            subclass_mode_data=True,
            save_config_callback=_SaveConfig,
            save_config_kwargs={"save_to_log_dir": False},
            parser_class=Parser,
            parser_kwargs={
                "prog": "lightning-mbo",
                "description": "From a table of measured designs to better ones.",
            },
            seed_everything_default=0,
            trainer_defaults={
                "default_root_dir": "runs",
                "max_epochs": -1,
                "num_sanity_val_steps": 0,
                "enable_model_summary": False,
            },
            auto_configure_optimizers=False,
            load_from_checkpoint_support=False,
            args=args,
        )

    def init_parser(self, **kwargs: Any) -> LightningArgumentParser:
        """A parser that finds shipped configs."""
        # An abbreviation that is taken for an option hides a misspelt one.
        parser: LightningArgumentParser = self.parser_class(allow_abbrev=False, **kwargs)
        parser.add_argument(
            "-c",
            "--config",
            action=ConfigFile,
            help="A config file, or the name of a shipped one, for instance cbas_af.yaml.",
        )
        return parser

    def _add_subcommands(self, parser: LightningArgumentParser, **kwargs: Any) -> None:
        # The trainer's methods describe themselves as what they are for any model.
        described = {
            name: {"description": text, "epilog": _CLASS_HELP} for name, text in COMMANDS.items()
        }
        super()._add_subcommands(parser, **(described | kwargs))
        for action in parser._actions:
            if hasattr(action, "add_subcommand"):
                # Only to be named in the help: `main` calls them.
                for name in ("inspect", "compare", "benchmark"):
                    action.add_subcommand(name, ArgumentParser())
            for choice in getattr(action, "_choices_actions", []):
                choice.help = COMMANDS[choice.dest]

    def _prepare_subcommand_parser(
        self, klass: type, subcommand: str, **kwargs: Any
    ) -> LightningArgumentParser:
        if self._command in (None, subcommand):
            return super()._prepare_subcommand_parser(klass, subcommand, **kwargs)
        # Only to be named: another command is given.
        return self.init_parser(**kwargs)

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """The groups that are this project's own."""
        parser.add_lightning_class_args(callbacks.SearchCallback, "search", subclass_mode=True)
        parser.add_lightning_class_args(callbacks.ImportanceWeighting, "autofocus")
        parser.add_lightning_class_args(callbacks.OracleConvergence, "convergence")
        parser.set_defaults(
            {
                **DEFAULT_CLASSES,
                # On when its strength is given: no group means no autofocusing.
                "autofocus.enabled": None,
            }
        )
        parser.add_argument(
            "--num_candidates",
            type=int | None,
            default=None,
            help="How many candidates to write, good and unlike each other; default: all in fit "
            "and of a list, 100 in predict.",
        )
        parser.add_argument(
            "--false_share",
            type=float | None,
            default=None,
            help="Hand out only what fails to beat the best row with no greater probability, and "
            "so perhaps fewer.",
        )
        parser.add_argument(
            "--keep_known",
            type=bool,
            default=False,
            help="Whether a candidate may be a design of the table.",
        )
        parser.add_argument(
            "--candidates",
            type=Path | None,
            default=None,
            help="In predict: a list of designs to rank, a file with the columns of your table.",
        )
        parser.add_argument(
            "--escape_formulas",
            type=bool,
            default=False,
            help="Whether an apostrophe is put before texts in the candidates' files that a "
            "spreadsheet would take for formulas.",
        )
        parser.add_argument(
            "--trust",
            type=str | None,
            default=None,
            help="Modules, separated by commas, whose code a config may name that is found beside "
            "a checkpoint. What your own --config names needs no trust.",
        )

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse, and find the run's folder and the checkpoint."""
        super().parse_arguments(parser, args)
        command = self.config["subcommand"]
        config = self.config[command]
        check_nulls(config, _CLASSES)
        config.trainer.default_root_dir = config.trainer.default_root_dir or "runs"
        if command != "predict" and config.candidates is not None:
            raise ConfigurationError(
                f"--candidates is for predict, not for {command}. To search in a list of designs: "
                "fit --search PoolSearch --search.path FILE"
            )
        seed = config.get("seed_everything")
        if not isinstance(seed, bool) and isinstance(seed, int) and not 0 <= seed < 2**32:
            raise ConfigurationError(f"seed_everything must be from 0 to 2^32 - 1, not {seed}")
        if command == "fit":
            self.run = RunFolder.choose(config)
            config.ckpt_path = self.run.checkpoint
        else:
            config.ckpt_path = checkpoint_file(config)
        if command == "test":
            config.verbose = False
        if config.ckpt_path is not None:
            self.checkpoint = read_checkpoint(config.ckpt_path, of_run=True)

    def _parse_ckpt_path(self) -> None:
        """Nothing: a checkpoint's hyper-parameters would beat the options, and name classes."""

    def instantiate_trainer(self, **kwargs: Any) -> pl.Trainer:
        """The trainer, with what every design run has."""
        config = self._get(self.config_init, "trainer")
        for name, value in vars(config).items():
            if name.startswith("limit_") and isinstance(value, int) and value >= 2**63:
                raise ConfigurationError(
                    f"trainer.{name}: more batches than can be counted. Leave it out for all"
                )
        own = self.recording_callbacks()
        if self.run is None:
            kwargs |= {
                "logger": False,
                "enable_checkpointing": False,
                "enable_progress_bar": False,
            }
        else:
            place = self.run.path
            kwargs["default_root_dir"] = place
            own.insert(0, HearSignals())
            if config.enable_checkpointing is not False:
                own.append(callbacks.DesignCheckpoint(dirpath=place / "checkpoints"))
            if config.enable_progress_bar is not False:
                own.append(callbacks.DesignProgress())
            if config.logger in (None, True):
                kwargs["logger"] = TensorBoardLogger(
                    place.parent.parent, place.parent.name, place.name
                )
        self.trainer_defaults["callbacks"] = own
        plugins = config.plugins or []
        kwargs["plugins"] = [
            *(plugins if isinstance(plugins, list) else [plugins]),
            AtomicCheckpointIO(),
        ]
        try:
            return super().instantiate_trainer(**kwargs)
        except (TypeError, ValueError) as error:
            # Of devices, strategies and the like that do not exist, or not here.
            raise ConfigurationError(f"the trainer's options: {error}") from error

    def instantiate_classes(self) -> None:
        """Of several results each has an oracle of its own."""
        super().instantiate_classes()
        self.model = for_results(self.model, bool(self.datamodule.goals))

    def recording_callbacks(self) -> list[pl.Callback]:
        """What judges and records the run, by the options."""
        own: list[pl.Callback] = callbacks.recording_callbacks(
            self._get(self.config_init, "num_candidates"),
            self._get(self.config_init, "keep_known"),
            self._get(self.config_init, "candidates"),
            self._get(self.config_init, "escape_formulas"),
            self._get(self.config_init, "false_share"),
        )
        return own

    def before_fit(self) -> None:
        """A finished run is left as it is."""
        if self.run is None:
            return
        search: callbacks.SearchCallback = self._get(self.config_init, "search")
        saved = self.checkpoint.get("callbacks", {}).get(search.state_key)
        state = saved["search"]["_extra_state"] if saved else {"num_done": 0, "exhausted": False}
        done = state["num_done"]
        finished = state["exhausted"] or done >= search.num_iterations
        if finished and self.run.ended_after(done):
            more = ". To go on, give a greater --search.num_iterations"
            say(
                f"This run is finished: {done} of {search.num_iterations} design iterations. Its "
                f"candidates are in {self.run.path / 'candidates.csv'}"
                + ("" if isinstance(search, callbacks.PoolSearch) else more)
            )
            sys.exit(0)

    def after_fit(self) -> None:
        """Note the end, or say what has come before it.

        Raises:
            ConfigurationError: If the trainer was kept from making a single design iteration.
        """
        search: callbacks.SearchCallback = self._get(self.config_init, "search")
        if self.run is None or self.trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        if search.finished:
            if self.trainer.is_global_zero:
                self.run.note_end(search.search.num_done)
            return
        stop = f"the trainer has stopped before the end{_limits(self._get(self.config, 'trainer'))}"
        done = search.search.num_done
        if done == 0:
            raise ConfigurationError(
                f"{stop}, and before the first design iteration: there are no candidates"
            )
        say(
            f"{stop[0].upper()}{stop[1:]}: {done} of {search.num_iterations} design "
            "iterations are done. With --ckpt_path last and without the limit the run goes on"
        )


_UNLIMITED = {"max_epochs": -1, "max_steps": -1, "max_time": None, "limit_train_batches": None}


def _limits(trainer: Namespace) -> str:
    """The options that may have stopped a trainer, in brackets."""
    given = {name: trainer.get(name) for name in _UNLIMITED}
    limits = [f"trainer.{name} {v}" for name, v in given.items() if v != _UNLIMITED[name]]
    return f" ({', '.join(limits)})" if limits else ""
