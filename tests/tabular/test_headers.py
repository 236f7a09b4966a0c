"""Names are read from the right line, or the user is told which it is."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from lightning_mbo.errors import ConfigurationError, DataError
from lightning_mbo.tabular.headers import named
from lightning_mbo.tabular.reading import FileOptions, read_table

ROWS = [f"{i}.5,s{i % 3},{i * i}" for i in range(12)]
HEADER = "heat,solvent,Run yield [%]"
UNITS = "C,,%"


def written(path: Path, lines: list[str]) -> Path:
    """A text, or a sheet with an empty row above."""
    if path.suffix == ".csv":
        path.write_text("\n\n" + "\n".join(lines), encoding="utf-8")
    else:
        rows = [[_cell(entry) for entry in line.split(",")] for line in lines]
        pd.DataFrame(rows).to_excel(path, header=False, index=False, startrow=1)
    return path


def _cell(entry: str) -> Any:
    try:
        return float(entry)
    except ValueError:
        return entry or None


@pytest.fixture(params=["t.csv", "t.xlsx"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return tmp_path / request.param


def refused(path: Path, target: str = "Run yield [%]", **options: Any) -> str:
    with pytest.raises((ConfigurationError, DataError)) as caught:
        read_table(path, target=target, options=FileOptions(**options))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_no_row_is_lost_to_a_header_that_is_none(path: Path) -> None:
    written(path, ROWS)
    message = refused(path)
    assert "if that is no header give --data.header 0" in message
    assert "column_1 to column_3, for instance --data.target column_3" in message
    table = read_table(path, target="column_3", options=FileOptions(header=0))
    assert list(table) == ["column_1", "column_2", "column_3"]
    assert table["column_3"].tolist() == [i * i for i in range(12)]


def test_years_are_names(path: Path) -> None:
    rows = [f"{i},{i + 0.5},{2 * i}" for i in range(12)]
    table = read_table(written(path, ["2019,2020,2021", *rows]), target="2020")
    assert list(table) == ["2019", "2020", "2021"]
    assert table["2020"].tolist() == [i + 0.5 for i in range(12)]


@pytest.mark.parametrize("further", [[UNITS], ["DATA,DATA,DATA"], [UNITS, "set,set,measured"]])
def test_further_header_lines(path: Path, further: list[str]) -> None:
    written(path, [HEADER, *further, *ROWS])
    number = len(further) + 1
    assert f"if it belongs to the header give --data.header {number}" in refused(path)
    table = read_table(path, target="heat", options=FileOptions(header=number))
    assert list(table) == HEADER.split(",")
    assert table["heat"].tolist() == [i + 0.5 for i in range(12)]


@pytest.mark.parametrize(
    ("first", "missing_values"),
    [("n.d.,s1,5", ()), ("1.5,,NA", ()), (",s1,", ()), ("n.d.,s1,n.d.", ("n.d.",))],
)
def test_a_first_row_with_gaps_is_no_header(
    path: Path, first: str, missing_values: tuple[str, ...]
) -> None:
    written(path, [HEADER, first, *ROWS])
    options = FileOptions(missing_values=missing_values)
    assert len(read_table(path, target="heat", options=options)) == 13


def test_a_header_line_where_none_was_said(path: Path) -> None:
    written(path, [HEADER, *ROWS])
    assert "give --data.header 1" in refused(path, target="column_3", header=0)


@pytest.mark.parametrize("separator", [",", ";"])
def test_a_title_above_the_names(tmp_path: Path, separator: str) -> None:
    path = tmp_path / "t.csv"
    text = "\n".join(["My measurements", *[HEADER, *ROWS]]).replace(",", separator)
    path.write_text(text, encoding="utf-8")
    message = refused(path)
    assert "there are My measurements. It stands in line 2 of the file" in message
    assert "Its first lines are 'My measurements' and 'heat, solvent, Run yield [%]'" in refused(
        path, target="Yield of the second run"
    )


def test_names_that_are_far_off(tmp_path: Path) -> None:
    path = written(tmp_path / "t.csv", [HEADER.replace("heat", "h" * 60), *ROWS])
    assert f"no column 'qqq': there are {'h' * 37}..., solvent, Run yield [%]" in refused(
        path, target="qqq"
    )
    assert refused(path, target="run yield").endswith("Did you mean Run yield [%]?")


def test_too_many_header_lines(path: Path) -> None:
    written(path, [HEADER, *ROWS])
    assert "has 20 header lines and no rows" in refused(path, target="heat", header=20)


def test_columns_without_a_name(path: Path) -> None:
    written(path, [",,solvent,,Run yield [%]", *(f"{i},{i % 4}.5,a,,{i}" for i in range(12))])
    with pytest.warns(UserWarning, match=r"column 2 has no name and is called 'column_2'$") as said:
        table = read_table(path, target="Run yield [%]")
    assert len(said) == 1
    assert list(table) == ["column_1", "column_2", "solvent", "column_4", "Run yield [%]"]
    assert table["column_2"].tolist() == [i % 4 + 0.5 for i in range(12)]


def test_places_that_are_names_already() -> None:
    assert named(["", "column_1", " a ", "Unnamed: 3"]) == [
        "column_1_",
        "column_1",
        "a",
        "column_4",
    ]


def test_commas_within_names(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text('a, "b, in %"\n' + "\n".join(f"{i},{i}" for i in range(12)), encoding="utf-8")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert list(read_table(path, target="b, in %")) == ["a", "b, in %"]


def test_formats_without_a_header(tmp_path: Path) -> None:
    pd.DataFrame({"x": [1, 2]}).to_parquet(tmp_path / "t.parquet")
    assert "data.header is for text and Excel files" in refused(
        tmp_path / "t.parquet", target="x", header=2
    )
