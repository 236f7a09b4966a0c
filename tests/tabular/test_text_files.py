"""A user's file, however it was written, is read right or refused in one line."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from lightning_mbo.data import CSV
from lightning_mbo.errors import ConfigurationError, DataError
from lightning_mbo.tabular import reading, text_files
from lightning_mbo.tabular.reading import read_table
from lightning_mbo.tabular.text_files import check_workbook, read_text

FRAME = pd.DataFrame(
    {
        "größe": [1.5, -2.25, 3.0, 40.0, 0.125],
        "count": [1, 2, 3, 4, 5],
        "solvent": ["a b", "Öl", "None", "a b", "Öl"],
    }
)
TEXT = FRAME.to_csv(index=False)


def zipped(content: bytes, *names: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, content)
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.csv", TEXT.encode()),
        ("t.CSV", TEXT.encode()),
        ("t.txt", TEXT.encode()),
        ("t.csv", TEXT.encode("utf-8-sig")),
        ("t.csv", TEXT.encode("utf-16")),
        ("t.csv", TEXT.encode("cp1252")),
        ("t.csv", TEXT.replace("\n", "\r\n").encode("cp1252")),
        ("t.csv", TEXT.replace("\n", "\r\n").encode()),
        ("t.csv", TEXT.replace("\n", "\r").encode()),
        ("t.csv", ("\n\n" + TEXT).encode()),
        ("t.csv", TEXT.replace(",", " , ").encode()),
        ("t.csv", TEXT.replace(",", ";").encode()),
        ("t.csv", TEXT.replace(",", ";").replace(".", ",").encode()),
        ("t.csv", FRAME.to_csv(index=False, decimal=",", quotechar="'").replace("'", '"').encode()),
        ("t.csv", TEXT.replace(",", "|").encode()),
        ("t.csv", TEXT.replace(",", "\t").encode()),
        ("t.tsv", TEXT.replace(",", "\t").encode()),
        ("t.tsv", TEXT.replace(",", "\t").replace(".", ",").encode()),
        ("t.csv.gz", gzip.compress(TEXT.encode(), mtime=0)),
        ("t.csv.bz2", bz2.compress(TEXT.encode())),
        ("t.tsv.xz", lzma.compress(TEXT.replace(",", "\t").encode("utf-16"))),
        ("t.csv.zip", zipped(TEXT.encode(), "t.csv")),
        ("t.zip", zipped(TEXT.encode(), "t.csv")),
    ],
)
def test_texts(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    table = read_table(path)
    table["solvent"] = table["solvent"].str.strip().astype(object)
    pd.testing.assert_frame_equal(table, FRAME.astype({"solvent": object}))


def test_utf_16_without_a_mark(tmp_path: Path) -> None:
    for encoding in ("utf-16-le", "utf-16-be"):
        path = tmp_path / "t.csv"
        path.write_bytes("a,b\n1,2\n3,4\n".encode(encoding))
        assert read_table(path)["b"].tolist() == [2, 4]


@pytest.mark.parametrize("name", ["t.parquet", "t.xlsx", "excel_named.csv", "parquet_named.csv"])
def test_binary_formats(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if "parquet" in name:
        frame = FRAME.assign(solvent=FRAME["solvent"].astype("category"))
        frame["count"] = frame["count"].astype("Int64")
        frame.to_parquet(path)
    else:
        FRAME.to_excel(tmp_path / "t.xlsx", index=False)
        (tmp_path / "t.xlsx").rename(path)
    table = read_table(path)
    assert table["count"].tolist() == [1, 2, 3, 4, 5]
    assert not pd.api.types.is_extension_array_dtype(table["count"])
    assert table["größe"].tolist() == FRAME["größe"].tolist()
    # Excel has no way to tell None from an empty cell.
    assert table["solvent"].astype(str).tolist()[:2] == ["a b", "Öl"]


@pytest.mark.parametrize("name", ["t.parquet", "t.xlsx"])
def test_a_package_that_is_missing(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for package in ("pyarrow", "openpyxl"):
        monkeypatch.setitem(sys.modules, package, None)
    (tmp_path / name).write_bytes(b"PAR1")
    with pytest.raises(ConfigurationError, match=r"pip install 'lightning-mbo\[files\]', or save"):
        read_table(tmp_path / name)


def test_text_is_kept_as_written(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(" code ,x\n001,1\n0110,2\n", encoding="utf-8")
    assert read_table(path, text_columns=["code"])["code"].tolist() == ["001", "0110"]
    assert read_table(path)["code"].tolist() == [1, 110]


@pytest.mark.parametrize(
    ("name", "content", "parts"),
    [
        ("t.csv", None, ["is missing: data.path must name a CSV"]),
        ("t.csv", b"", ["is empty"]),
        ("t.csv", b" \r\n\r\n", ["is empty"]),
        ("t.csv", b"a,b\n", ["a header and no rows"]),
        ("t.csv", b"\xef\xbb\xbfa,b\r\n", ["a header and no rows"]),
        ("t.csv", b"a,b,a\n1,2,3\n", ["2 columns named 'a'", "name of its own"]),
        ("t.csv", b"a,b, a \n1,2,3\n", ["2 columns named 'a'"]),
        ("t.tsv", b"a\tb\ta\n1\t2\t3\n", ["2 columns named 'a'"]),
        ("t.csv", b"a,b\n1,2,3\n", ["cannot be read as a CSV file"]),
        ("t.csv", b"<!DOCTYPE html>\n<html>,</html>", ["is a web page"]),
        ("t.csv", b'[{"a": 1, "b": 2}]', ["is JSON"]),
        ("t.csv", b"a,b\n\x00\x01,2\n", ["bytes that are no text"]),
        ("t.csv", gzip.compress(TEXT.encode(), mtime=0), ["cannot be read as a CSV file"]),
        ("t.csv", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", ["old Excel format: save it as .xlsx"]),
        ("t.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", ["old Excel format: save it as .xlsx"]),
        ("t.json", b"{}", ["none of the files that can be read"]),
        ("t", b"a,b\n1,2\n", ["none of the files that can be read"]),
        ("t.parquet", b"PAR1 and no more", ["cannot be read as a .parquet file"]),
        ("t.xlsx", b"PK\x03\x04 and no more", ["cannot be read as a .xlsx file"]),
        ("t.csv.zip", zipped(b"a,b\n", "a.csv", "b.csv"), ["holds 2 files"]),
        (
            "t.csv",
            b"a;b\n1,5;2.5\n2,5;1.5\n",
            ["commas in column 'a'", "points in column 'b'"],
        ),
        ("t.csv", b'a,b\n"1,500",2\n"2,500",1\n', ["column 'a'", "'1,500'", "thousands"]),
    ],
)
def test_what_is_no_table(
    tmp_path: Path, name: str, content: bytes | None, parts: list[str]
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_table(path)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(str(path))
    assert all(part in message for part in parts), message


def test_a_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"is a folder: data\.path must name a CSV, TSV, Parquet"):
        read_table(tmp_path)


def test_duplicates_in_excel_and_frames(tmp_path: Path) -> None:
    frame = pd.DataFrame([[1, 2, 3]], columns=["a", "b", "a"])
    frame.to_excel(tmp_path / "t.xlsx", index=False)
    for path in (tmp_path / "t.xlsx", frame):
        with pytest.raises(DataError, match="2 columns named 'a'"):
            CSV(path, target="b").setup("fit")


ROWS = [f"{i},{i * i % 7},{i % 3}" for i in range(20)]


def with_row(number: int, row: str) -> Callable[[list[str]], list[str]]:
    return lambda rows: [*rows[: number - 1], row, *rows[number:]]


@pytest.mark.filterwarnings("ignore:.*left out")
@pytest.mark.parametrize(
    ("edit", "parts"),
    [
        (lambda rows: rows[:1], ["1 row,", "at least 10"]),
        (lambda rows: rows[:9], ["9 rows", "at least 10"]),
        (
            with_row(5, "4,high,1"),
            ["column 'y'", "data row 5", "'high'", 'missing entry: --data.missing_values "high"'],
        ),
        (
            lambda rows: [*rows[:15], "1,PENDING,1", "1,n.d.,1", "1,PENDING,1"],
            ["(3 such entries", '--data.missing_values "PENDING, n.d."'],
        ),
        (
            with_row(5, "4,>100,1"),
            ["'>100'", "no oracle here takes one", '--data.missing_values ">100"'],
        ),
        (lambda rows: [*rows, "mean,3,1"], ["column 'x'", "data row 21", "'mean'", "remove it"]),
        (with_row(5, "4,inf,1"), ["column 'y'", "data row 5", "'inf'"]),
        (with_row(5, "inf,1,1"), ["column 'x'", "data row 5", "'inf'"]),
        (with_row(5, "<0.1,1,1"), ["column 'x'", "data row 5", "'<0.1'", "{x: category}"]),
        (with_row(7, "four,1,1"), ["column 'x'", "data row 7", "'four'", "(1 such entries"]),
        (lambda rows: [f"{i},3,{i}" for i in range(20)], ["'y'", "all 20 entries are 3"]),
        (lambda rows: [f"3,{i},3" for i in range(20)], ["all columns are constant"]),
        (
            lambda rows: [f"2026-03-{i + 1:02},{i},3" for i in range(20)],
            ["'x' holds dates"],
        ),
        (lambda rows: [f"{i + 1}.3.2026,{i},3" for i in range(20)], ["'x' holds dates"]),
        (lambda rows: [f"{i + 1}/3/26 10:30,{i},3" for i in range(20)], ["'x' holds dates"]),
        (lambda rows: [f"n{i // 1.7:.0f},{i},3" for i in range(20)], ["'x'", "12 different texts"]),
        (
            lambda rows: [f",{i},3" for i in range(8)] + rows[:9],
            ["only 9 of 17", "x 8"],
        ),
        (lambda rows: [f"abc{i},{i},3" for i in range(20)], ["all columns are constant"]),
    ],
)
def test_tables_that_cannot_be_used(
    tmp_path: Path, edit: Callable[[list[str]], list[str]], parts: list[str]
) -> None:
    path = tmp_path / "t.csv"
    path.write_text("\r\n".join(["x,y,z", *edit(ROWS)]), encoding="utf-8")
    with pytest.raises(DataError) as caught:
        CSV(path, target="y").setup("fit")
    message = str(caught.value)
    assert "\n" not in message
    assert all(part in message for part in parts), message


def test_dates_that_are_no_text() -> None:
    frame = pd.DataFrame({"when": pd.date_range("2026-01-01", periods=20), "y": range(20)})
    with pytest.raises(DataError, match="column 'when' holds dates"):
        CSV(frame, target="y").setup("fit")


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        ({"path": None}, ["give --data.path"]),
        ({"target": None}, ["give --data.target"]),
        ({"target": "yeild"}, ["data.target", "no column 'yeild'", "mean yield?"]),
        ({"target": "Yield"}, ["data.target", "mean yield?"]),
        ({"target": "qqq"}, ["data.target", "there are x, solvent, yield"]),
        ({"columns": {"solvant": "category"}}, ["no column 'solvant'", "mean solvent?"]),
        ({"columns": {"yield": "number"}}, ["'yield' is no part"]),
        ({"columns": {"x": 3}}, ["data.columns.x must be a kind (number, integer", "not 3"]),
        ({"columns": {"x": "numbr"}}, ["data.columns.x", "'numbr'", "mean number?"]),
        ({"columns": {"x": {"lowr": 1}}}, ["data.columns.x", "lowr", "mean lower?"]),
        ({"columns": {"x": {"lower": "a"}}}, ["data.columns.x", "lower", "'a'"]),
        ({"columns": {"x": {"lower": 2, "upper": 1}}}, ["lower must be less than upper"]),
        ({"columns": {"x": {"step": 0}}}, ["step must be greater than 0"]),
        ({"columns": {"x": {"alphabet": "AA"}}}, ["alphabet", "'AA'"]),
        (
            {"columns": {"x": {"kind": "category", "lower": 1}}},
            ["lower does not go with"],
        ),
        ({"columns": {"solvent": {"lower": 1}}}, ["lower does not go with"]),
        ({"columns": {"x": {"fixed": "a"}}}, ["data.columns.x", "whole number", "'a'"]),
        ({"columns": {"x": {"fixed": -1}}}, ["fixed -1 is out of its bounds"]),
        ({"columns": {"x": {"kind": "integer", "step": 0.5}}}, ["data.columns.x", "step", "0.5"]),
        ({"columns": {"x": {"upper": -1}}}, ["data.columns.x", "give lower too"]),
        ({"columns": {"solvent": {"fixed": "C"}}}, ["fixed 'C'", "A, B"]),
        ({"error_column": "sd"}, ["data.error_column", "no column 'sd'"]),
        ({"error_column": "yield"}, ["must be different"]),
        ({"missing": "impute"}, ["data.missing", "'impute'"]),
        ({"header": -1}, ["data.header must be 0 or more"]),
        ({"header": 2}, ["data.header and data.sheet are for files"]),
        ({"sheet": 1}, ["data.header and data.sheet are for files"]),
        ({"batch_size": 0}, ["data.batch_size", "at least 1"]),
        ({"constraints": ["x + y <= 3"]}, ["'x + y <= 3'", "no column 'y'"]),
        ({"constraints": ["solvent <= 3"]}, ["'solvent'", "category", "data.feasible_if"]),
        ({"constraints": ["2*x == 5"]}, ["'2*x == 5' holds in none of the 20 rows"]),
        (
            {"constraints": ["x == 3"], "columns": {"x": {"lower": 4, "step": 2}}},
            ["'x == 3'", "whole numbers or steps", "kind as number"],
        ),
        ({"feasible_if": "nowhere.check"}, ["data.feasible_if", "nowhere.check"]),
        ({"feasible_if": "check"}, ["data.feasible_if", "module.function"]),
        ({"feasible_if": "math.pi"}, ["data.feasible_if", "is no function"]),
    ],
)
def test_options_that_cannot_be_used(options: dict[str, object], parts: list[str]) -> None:
    frame = pd.DataFrame({"x": range(20), "solvent": ["A", "B"] * 10, "yield": np.arange(20) ** 2})
    with pytest.raises((ConfigurationError, DataError)) as caught:
        CSV(**{"path": frame, "target": "yield", **options}).setup("fit")  # type: ignore[arg-type]
    message = str(caught.value)
    assert "\n" not in message
    assert all(part in message for part in parts), message


def test_an_unnamed_index_is_left_out(tmp_path: Path) -> None:
    frame = pd.DataFrame({"x": np.linspace(0, 1, 12), "y": np.arange(12.0) ** 2})
    path = tmp_path / "t.csv"
    frame.to_csv(path)
    data = CSV(path, target="y")
    data.setup("fit")
    assert list(data.to_user_units(data.designs)) == ["x"]
    np.testing.assert_allclose(data.to_user_units(data.designs)["x"], frame["x"], atol=1e-12)
    assert torch.equal(data.properties, torch.arange(12.0, dtype=torch.float64) ** 2)


@pytest.mark.parametrize(
    ("name", "compress"),
    [
        ("t.csv.gz", gzip.compress),
        ("t.csv.bz2", bz2.compress),
        ("t.csv.xz", lzma.compress),
        ("t.csv.zip", lambda content: zipped(content, "t.csv")),
    ],
)
def test_what_unpacks_without_end_is_refused(
    name: str,
    compress: Callable[[bytes], bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(text_files, "MOST_UNPACKED", 1000)
    path = tmp_path / name
    path.write_bytes(compress(b"a,y\n" + b"1,2\n" * 249))
    assert len(read_text(path)) == 1000
    path.write_bytes(compress(b"a,y\n" + b"1,2\n" * 250))
    with pytest.raises(ValueError, match="unpacks to more than"):
        read_text(path)


def test_a_workbook_that_unpacks_without_end_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "t.xlsx"
    pd.DataFrame({"a": range(9), "y": range(9)}).to_excel(path, index=False)
    check_workbook(path)
    monkeypatch.setattr(text_files, "MOST_UNPACKED", 1000)
    with pytest.raises(DataError, match="unpacks to more than"):
        read_table(path)


@pytest.mark.parametrize("values", [[1.0], ["abc" * 100]])
def test_a_parquet_file_that_unpacks_without_end_is_refused(
    values: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "t.parquet"
    pd.DataFrame({"a": values * 200, "y": 2.0}).to_parquet(path)
    assert len(read_table(path)) == 200
    monkeypatch.setattr(text_files, "MOST_UNPACKED", 3000)
    with pytest.raises(DataError, match="unpacks to more than"):
        read_table(path)


@pytest.mark.parametrize(
    "column",
    [
        *(["1", "2.5", "3", "", "5"], ["1", "2", "3", "4", "5"], ["1", "2", "", "", "5"]),
        *(["007", "8", "9", "10", "a"], ["True", "False", "True", "", "maybe"]),
        *(["", "", "", "b", ""], ["True", "False", "True", "", "False"]),
    ],
)
def test_a_table_that_is_read_by_parts_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, column: list[str]
) -> None:
    path = tmp_path / "t.csv"
    path.write_text("".join(f"{line}\n" for line in ("x,y", *(f"{x},1.5" for x in column))))
    whole = read_table(path)
    monkeypatch.setattr(reading, "_ROWS_AT_ONCE", 2)
    pd.testing.assert_frame_equal(read_table(path), whole)
