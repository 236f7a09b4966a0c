"""Numbers, cells and characters beyond what a table can hold are named by row, or by line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lightning_mbo.data import CSV
from lightning_mbo.errors import DataError

WHOLE = [str(7 * i % 50) for i in range(40)]


def table(**changed: list[Any]) -> str:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.uniform(size=40).round(3), "c": rng.choice(["x", "y"], 40)})
    frame["y"] = (frame["a"] + rng.normal(0, 0.1, 40)).round(3)
    return frame.astype(object).assign(**changed).to_csv(index=False)


def loaded(path: Path, text: str, **options: Any) -> CSV:
    path.write_text(text)
    data = CSV(path, target="y", **options)
    data.setup("fit")
    return data


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (table(d=["1" * 310, *WHOLE[1:]]), "column 'd', data row 1: '1+' is not a finite number"),
        (table(d=["1" * 4300, *WHOLE[1:]]), "column 'd', data row 1: '1+' is not a finite number"),
        (table(y=["1" * 310, *range(39)]), "column 'y', data row 1: '1+' is not a finite number"),
        (table(d=[2**53 - 1, 2**53 + 1, *WHOLE[2:]]), "data row 2: '9007199254740993' is not a"),
        (table(d=[2**64 + i for i in range(40)]), "data row 1: '18446744073709551616' is not a"),
        (table(a=["1e150", *np.linspace(0.1, 1, 39)]), r"data row 1: '1e\+150' is not a number"),
        (
            table(c=["x" * 140_000, *"xyz" * 13]),
            "line 2 has a cell of more than 131,072 characters",
        ),
        (table() + "0.5,x,0.3\n" * 20_000 + "0.5,x\0,0.3\n", "no text, the first in line 20,042"),
    ],
)
def test_what_is_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(DataError, match=said) as caught:
        loaded(tmp_path / "t.csv", text)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 10_000


def test_what_is_said_to_be_a_name(tmp_path: Path) -> None:
    text = table(d=[2**60 + i % 3 for i in range(40)])
    data = loaded(tmp_path / "t.csv", text, columns={"d": "category"})
    assert set(data.to_user_units(data.designs)["d"]) == {str(2**60 + i) for i in range(3)}


def test_errors_that_leave_nothing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"column 'e': errors of up to 1e\+09 leave nothing of 'y'"):
        loaded(tmp_path / "t.csv", table(e=[1e9] * 40), error_column="e")


def test_long_lines_are_no_long_cells(tmp_path: Path) -> None:
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(12, 9500)).round(12))
    frame["y"] = range(12)
    text = frame.to_csv(index=False)
    assert len(text.splitlines()[1]) > 140_000
    (tmp_path / "t.csv").write_text(text)
    data = CSV(tmp_path / "t.csv", target="y", laws=False)
    assert len(data.read(data.path).columns) == 9501  # type: ignore[arg-type]
