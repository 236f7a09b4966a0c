"""Tables that cannot be used are refused by name."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lightning_mbo.errors import DataError
from lightning_mbo.tabular.reading import numbers, read_csv, varying

CSV = b"a,b\n" + b"".join(b"%d,%d\n" % (i, i * i) for i in range(2000))

UNREADABLE = " cannot be read as a CSV file, plain or compressed: "


def corrupt(content: bytes, start: int) -> bytes:
    """The same archive with a stretch of its data overwritten."""
    return content[:start] + b"\xff" * 20 + content[start + 20 :]


@pytest.mark.parametrize("name", ["table.csv", "table.csv.gz"])
def test_plain_and_compressed(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(gzip.compress(CSV, mtime=0) if name.endswith("gz") else CSV)
    table = read_csv(path)
    assert list(table.columns) == ["a", "b"]
    np.testing.assert_array_equal(table["b"], np.arange(2000) ** 2)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere\.csv is missing: data\.path must name a CSV"):
        read_csv(tmp_path / "nowhere.csv")
    with pytest.raises(DataError, match=r"is a folder: data\.path must name a CSV"):
        read_csv(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("empty.csv", b"", " is empty: data.path must name a CSV file with a header"),
        ("blank.csv", b"\n\n", " is empty: data.path must name a CSV file with a header"),
        (
            "truncated.csv.gz",
            gzip.compress(CSV, mtime=0)[:500],
            UNREADABLE,
        ),
        (
            "corrupt.csv.gz",
            corrupt(gzip.compress(CSV, mtime=0), 1000),
            UNREADABLE,
        ),
        (
            "corrupt_start.csv.gz",
            corrupt(gzip.compress(CSV, mtime=0), 10),
            UNREADABLE,
        ),
        ("plain.csv.gz", CSV, UNREADABLE),
        (
            "no.csv.xz",
            b"no archive",
            UNREADABLE,
        ),
        ("no.csv.bz2", b"no archive", UNREADABLE),
        (
            "no.csv.zip",
            b"no archive",
            UNREADABLE,
        ),
        ("archive.csv", gzip.compress(CSV, mtime=0), UNREADABLE),
        (
            "rubbish.csv",
            np.random.default_rng(0).bytes(2000),
            UNREADABLE,
        ),
        (
            "ragged.csv",
            b"a,b\n1,2\n1,2,3,4\n",
            UNREADABLE,
        ),
        (
            "shifted.csv",
            b"a,b\n1,2,3\n4,5,6\n",
            UNREADABLE,
        ),
    ],
)
def test_no_table(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_csv(path)
    message = str(caught.value)
    assert message.startswith(f"{path}{reason}")
    assert "\n" not in message


def test_numbers_are_those_of_the_columns_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("a,text,b\n1,x,-2.5\n3e2,y,0\n", encoding="utf-8")
    result = numbers(read_csv(path), ["b", "a"], path)
    assert result.dtype == np.float64
    np.testing.assert_array_equal(result, [[-2.5, 1.0], [0.0, 300.0]])


@pytest.mark.parametrize(
    ("entry", "shown"),
    [
        ("high", "'high'"),
        ("1,000", "'1,000'"),
        ("", "empty"),
        ("nan", "empty"),
        ("inf", "'inf'"),
        ("-inf", "'-inf'"),
        ("1e999", "'inf'"),
        ("x" * 1000, f"'{'x' * 40}'"),
    ],
)
def test_an_entry_that_is_no_finite_number(tmp_path: Path, entry: str, shown: str) -> None:
    path = tmp_path / "table.csv"
    path.write_text(f'a,b\n1,2\n3,"{entry}"\n5,\n', encoding="utf-8")
    with pytest.raises(DataError) as caught:
        numbers(read_csv(path), ["a", "b"], path)
    assert str(caught.value) == (
        f"{path}, column 'b', data row 2: {shown} is not a finite number. Correct it or remove "
        "the row (2 such entries in all)"
    )


def test_varying_columns() -> None:
    values = np.array([[1.0, 7.0, 2.0, 0.0], [1.0, 8.0, 3.0, 0.0]])
    with pytest.warns(UserWarning, match=r"^my table: constant columns are left out: a, d$"):
        kept = varying(values, ["a", "b", "c", "d"], "my table")
    assert kept.tolist() == [1, 2]
    assert varying(values[:, 1:3], ["b", "c"], "my table").tolist() == [0, 1]


def test_many_constant_columns_are_counted() -> None:
    values = np.zeros((3, 9))
    values[0, 4] = 1.0
    with pytest.warns(UserWarning, match=r"left out: 0, 1, 2, 3, 5 and 3 more$"):
        assert varying(values, [str(j) for j in range(9)], "my table").tolist() == [4]


def test_nothing_varies() -> None:
    with pytest.raises(DataError, match=r"my table: all columns are constant"):
        varying(np.ones((3, 2)), ["a", "b"], "my table")


def test_a_frame_is_not_changed() -> None:
    frame = pd.DataFrame({"a": ["1", "2"]})
    numbers(frame, ["a"], Path("table.csv"))
    assert frame["a"].tolist() == ["1", "2"]
