"""The options of `fit`, without a run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from pytorch_lightning.cli import LightningArgumentParser, LightningCLI

from lightning_mbo.command_line import MBOCommandLine
from lightning_mbo.data import DesignDataModule


class FitOptions(MBOCommandLine):
    """Parses the words of `fit` and goes no further."""

    def __init__(self) -> None:
        """Set up the parser."""
        super().__init__(["fit", "--config=cbas.yaml"])

    def plain(self, words: Sequence[str]) -> dict[str, Any]:
        """All options of a `fit`, as plain values."""
        parsed = self.parser.parse_args(["fit", *words])
        text = self.parser.dump(parsed, format="json", skip_unset=False)
        options: dict[str, Any] = json.loads(text)["fit"]
        return options

    def data(self, words: Sequence[str]) -> DesignDataModule:
        """The data of a `fit`."""
        data: DesignDataModule = self.parser.instantiate(
            self.parser.parse_args(["fit", *words])
        ).fit.data
        return data

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse alone: there is no run folder."""
        LightningCLI.parse_arguments(self, parser, args)

    def instantiate_classes(self) -> None:
        """Nothing: there is no run."""

    def _run_subcommand(self, subcommand: str) -> None:
        """Nothing."""
