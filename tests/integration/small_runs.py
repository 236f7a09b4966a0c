"""Small runs by the command line, and what they leave."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from lightning_mbo.cli import main

VERSION_0 = Path("runs/cbas_af/version_0")
QUIET = "--trainer.enable_progress_bar=false"


def fit(options: list[str], *more: str, config: str = "cbas_af.yaml") -> None:
    main(["fit", f"--config={config}", QUIET, *options, *more])


def figures(folder: Path, name: str = "candidates.csv") -> pd.DataFrame:
    return pd.read_csv(folder / name).select_dtypes("number")
