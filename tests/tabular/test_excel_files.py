"""The sheet that is meant is read."""

from __future__ import annotations

import shlex
from pathlib import Path

import pandas as pd
import pytest

from lightning_mbo.errors import ConfigurationError
from lightning_mbo.tabular.reading import FileOptions, read_table


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "t.xlsx"
    with pd.ExcelWriter(path) as writer:
        pd.DataFrame({"about": ["who", "when"]}).to_excel(writer, sheet_name="notes", index=False)
        for number, name in ((1, "Jim's data"), (2, "2024")):
            frame = pd.DataFrame({"x": range(12), "yield": [number * i for i in range(12)]})
            frame.to_excel(writer, sheet_name=name, index=False)
    return path


@pytest.mark.parametrize(("sheet", "number"), [("Jim's data", 1), (2, 1), ("2", 1), ("2024", 2)])
def test_sheets(path: Path, sheet: str | int, number: int) -> None:
    table = read_table(path, target="yield", options=FileOptions(sheet=sheet))
    assert table["yield"].tolist() == [number * i for i in range(12)]


def test_the_first_sheet(path: Path) -> None:
    assert list(read_table(path)) == ["about"]


def test_a_target_of_another_sheet(path: Path) -> None:
    with pytest.raises(ConfigurationError, match="sheet 'notes', has no column 'yield'") as caught:
        read_table(path, target="yield")
    option = shlex.split(str(caught.value).partition("has: ")[2])
    assert option == ["--data.sheet", "Jim's data"]


@pytest.mark.parametrize("sheet", ["Jims data", 4, 0])
def test_no_such_sheet(path: Path, sheet: str | int) -> None:
    with pytest.raises(ConfigurationError, match=r"data\.sheet: .* has no sheet"):
        read_table(path, options=FileOptions(sheet=sheet))


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
def test_files_without_sheets(tmp_path: Path, name: str) -> None:
    frame = pd.DataFrame({"x": [1, 2]})
    frame.to_csv(tmp_path / "t.csv")
    frame.to_parquet(tmp_path / "t.parquet")
    with pytest.raises(ConfigurationError, match=r"data\.sheet is for Excel files"):
        read_table(tmp_path / name, options=FileOptions(sheet=1))
