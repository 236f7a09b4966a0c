"""Columns of every kind become entries of designs, and come back as the user's own values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from lightning_mbo.errors import ConfigurationError, DataError
from lightning_mbo.tabular.column_building import build_column
from lightning_mbo.tabular.column_kinds import inferred_kind
from lightning_mbo.tabular.column_options import ColumnOptions, parse_columns
from lightning_mbo.tabular.columns import Column
from lightning_mbo.tabular.layout import TableLayout


def column(values: list[Any], kind: str, /, **options: Any) -> Column:
    return build_column(pd.Series(values, name="c"), kind, ColumnOptions(**options), "the table")


def standardised(values: list[float], wanted: list[float]) -> Tensor:
    """What numbers are in the units of a column of values."""
    numbers = (np.array(wanted) - np.mean(values)) / np.std(values)
    return torch.from_numpy(numbers)[:, None]


PEPTIDES = [
    "".join("ACDEFGHIKLMNPQRSTVWY"[(7 * i + j * j) % 20] for j in range(9)) for i in range(20)
]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([0.5, 1.0, None, 2.0], "number"),
        (["0.5", "1e3", None], "number"),
        ([1, 2, 4], "integer"),
        ([1.0, 2.0, 4.0], "number"),
        ([1.0, 0.0, 0.0], "integer"),
        (["1", "2", None], "integer"),
        (["1.0", "2", None], "number"),
        ([True, False, True], "category"),
        ([True, None, False], "category"),
        (["a", "b", "a", "b", None], "category"),
        (["1", "b", "a", "1", "b", "a"], "category"),
        (["low", "high"] * 5, "category"),
        (["ACGT", "ACGG", "TTTT", "ACGT"], "sequence"),
        (["acg", "ttgaa", "c", "g"], "sequence"),
        (["ACG-", "T-GA"], "sequence"),
        (PEPTIDES, "sequence"),
        (["benzene", "toluene", "hexane", "acetone"], "identifier"),
        (["sample-1", "sample-2", "sample-3"], "identifier"),
        (["CCO", "C1=CC=CC=C1", "CC(=O)C"], "identifier"),
        ([None, None], "empty"),
        ([float("nan")] * 3, "empty"),
    ],
)
def test_kinds(values: list[Any], kind: str) -> None:
    assert inferred_kind(pd.Series(values, name="c"), "the table") == kind


@pytest.mark.parametrize(
    ("name", "values", "kind"),
    [
        ("column_1", [0, 1, 2], "count"),
        ("id", [1, 2, 3], "count"),
        ("ID", [0, 1, 2], "count"),
        ("column_1", [0, 2, 1], "integer"),
        ("x", [0, 1, 2], "integer"),
    ],
)
def test_a_column_that_counts_the_rows(name: str, values: list[int], kind: str) -> None:
    assert inferred_kind(pd.Series(values, name=name), "the table") == kind


def test_numbers_are_standardised() -> None:
    values = [1.0, 2.0, 4.5]
    entries = column(values, "number").encode(pd.Series(values))
    torch.testing.assert_close(entries, standardised(values, values))
    assert entries.dtype == torch.float64


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e12])
def test_numbers_come_back_without_the_rounding_of_standardising(scale: float) -> None:
    values = [round(j * 0.1, 1) * scale for j in range(1, 30)]
    numbers = column(values, "number")
    decoded = numbers.decode(numbers.encode(pd.Series(values)))
    np.testing.assert_allclose(decoded, values, rtol=1e-9)
    if scale == 1:
        assert decoded.tolist() == values


@pytest.mark.parametrize(
    ("values", "kind", "options", "given", "nearest"),
    [
        ([0.0, 3.5], "number", {}, [-1.0, 9.0, 2.5], [0.0, 9.0, 2.5]),
        ([-1.0, 3.5], "number", {}, [-7.0, 9.0], [-7.0, 9.0]),
        ([0.0, 3.5], "number", {"lower": 1, "upper": 2}, [0.0, 1.5, 9.0], [1.0, 1.5, 2.0]),
        (
            [20.0, 90.5],
            "number",
            {"lower": 20, "upper": 91, "step": 0.5},
            [20.3, 21.2],
            [20.5, 21.0],
        ),
        ([20.0, 90.5], "number", {"lower": 20, "upper": 31, "step": 3}, [30.9, 19.0], [29.0, 20.0]),
        ([1, 5], "integer", {}, [-3.0, 2.6, 1e4 + 0.2], [0.0, 3.0, 1e4]),
        ([-1, 5], "integer", {}, [-3.4], [-3.0]),
        ([0, 1], "integer", {}, [-3.0, 0.4, 0.6, 7.0], [0.0, 0.0, 1.0, 1.0]),
        ([1, 5], "integer", {"lower": 1.5, "upper": 4.5}, [0.0, 3.2, 9.0], [2.0, 3.0, 4.0]),
        ([1, 5], "integer", {"step": 5}, [2.0, 3.0], [0.0, 5.0]),
        ([1, 5], "number", {"fixed": 2}, [-3.0, 9.0], [2.0, 2.0]),
        (
            [1, 5],
            "number",
            {"values": (1.0, 2.0, 4.0)},
            [-3.0, 2.9, 3.1, 9.0],
            [1.0, 2.0, 4.0, 4.0],
        ),
        ([1, 5], "integer", {"values": (6.0, 8.0, 10.0)}, [-3.0, 7.2, 99.0], [6.0, 8.0, 10.0]),
        ([1.0, 5.0], "number", {"values": (0.1, 0.2, 0.3)}, [-3.0, 0.22, 99.0], [0.1, 0.2, 0.3]),
    ],
)
def test_nearest_numbers(
    values: list[float],
    kind: str,
    options: dict[str, Any],
    given: list[float],
    nearest: list[float],
) -> None:
    numbers = column(values, kind, **options)
    found = numbers.nearest(standardised(values, given))
    torch.testing.assert_close(found, standardised(values, nearest))
    torch.testing.assert_close(numbers.nearest(found), found)
    np.testing.assert_allclose(numbers.decode(found), nearest, rtol=1e-12)


def test_integers_come_back_as_integers() -> None:
    values = [3, 5, 8]
    integers = column(values, "integer")
    decoded = integers.decode(integers.encode(pd.Series(values)))
    assert decoded.dtype == np.int64
    assert decoded.tolist() == values


def test_numbers_on_a_log_scale() -> None:
    values = [1e-6, 0.02, 3.0, 700.0]
    numbers = column(values, "number", scale="log")
    entries = numbers.encode(pd.Series(values))
    logs = np.log(values).tolist()
    torch.testing.assert_close(entries, standardised(logs, logs))
    assert numbers.decode(entries).tolist() == values
    torch.testing.assert_close(numbers.nearest(entries), entries)
    far = torch.tensor([[-9e9], [-40.0], [40.0], [9e9]], dtype=torch.float64)
    decoded = numbers.decode(numbers.nearest(far))
    assert ((decoded > 0) & np.isfinite(decoded)).all()
    assert numbers.describe() == "1e-06 to 700; log scale"


@pytest.mark.parametrize(
    ("options", "given", "nearest"),
    [
        ({"lower": 0.01, "upper": 2}, [1e-5, 0.5, 9.0], [0.01, 0.5, 2.0]),
        # Halfway between 3 and 100 is the root of 300.
        ({"values": (1.0, 2.0, 3.0, 100.0)}, [1e-5, 16.0, 18.0, 9e9], [1.0, 3.0, 100.0, 100.0]),
        ({"step": 0.5}, [1e-5, 0.6, 0.8, 9.1], [0.5, 0.5, 1.0, 9.0]),
        ({"fixed": 0.7}, [1e-5, 9.0], [0.7, 0.7]),
    ],
)
def test_nearest_numbers_on_a_log_scale(
    options: dict[str, Any], given: list[float], nearest: list[float]
) -> None:
    numbers = column([0.1, 10.0, 20.0], "number", scale="log", **options)
    found = numbers.nearest(numbers.encode(pd.Series(given)))
    np.testing.assert_allclose(numbers.decode(found), nearest, rtol=1e-9)


def test_whole_numbers_on_a_log_scale_begin_at_one() -> None:
    numbers = column([1, 10, 1000], "integer", scale="log")
    decoded = numbers.decode(numbers.nearest(numbers.encode(pd.Series([1e-9, 1.4, 99.7]))))
    assert decoded.dtype == np.int64
    assert decoded.tolist() == [1, 1, 100]


def test_what_has_no_logarithm() -> None:
    with pytest.raises(DataError, match=r"column 'c', data row 2: '0' is not a positive number"):
        column([1.0, 0.0, 3.0], "number", scale="log")
    for options in ({"lower": 0.0}, {"upper": -1.0}, {"fixed": -2}, {"values": (-1.0, 4.0)}):
        with pytest.raises(ConfigurationError, match=r"columns.c: .* must be greater than 0"):
            column([1.0, 2.0, 3.0], "number", scale="log", **options)


def test_values_are_parsed() -> None:
    options = parse_columns({"c": {"values": [10, 6.5, 8]}})["c"]
    assert options.values == (6.5, 8.0, 10.0)
    assert options.is_setting
    assert options.is_fractional


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"values": [3]}, "two or more different numbers"),
        ({"values": 3}, "two or more different numbers"),
        ({"values": [3, 3, 4]}, "two or more different numbers"),
        ({"values": ["a", 3]}, "each of its values must be a finite number, not 'a'"),
        ({"values": [3, 4], "upper": 9}, "upper does not go with values"),
        ({"values": [3, 4], "fixed": 3}, "fixed does not go with values"),
        ({"scale": "ln"}, "scale must be log or linear, not 'ln'"),
        ({"kind": "category", "values": [1, 2]}, "values does not go with the kind category"),
        ({"kind": "sequence", "scale": "log"}, "scale does not go with the kind sequence"),
    ],
)
def test_options_that_do_not_go_together(options: dict[str, Any], part: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"^data\.columns\.c: .*{part}"):
        parse_columns({"c": options})


def test_whole_numbers_of_values_that_are_not() -> None:
    with pytest.raises(ConfigurationError, match=r"values of whole numbers must be whole, not 2.5"):
        column([1, 2, 3], "integer", values=(2.5, 4.0))


def test_categories() -> None:
    category = column(["b", "a", "c", "a"], "category")
    entries = category.encode(pd.Series(["c", "a"]))
    assert entries.tolist() == [[0, 0, 1], [1, 0, 0]]
    assert category.decode(entries) == ["c", "a"]
    soft = torch.tensor([[0.2, 0.5, 0.3]], dtype=torch.float64)
    assert category.nearest(soft).tolist() == [[0, 1, 0]]
    fixed = column(["b", "a", "c", "a"], "category", fixed="c")
    assert fixed.nearest(soft).tolist() == [[0, 0, 1]]


def test_truth_values_stay_what_they_are() -> None:
    category = column([True, False, True], "category", fixed=True)
    assert category.decode(category.encode(pd.Series([False, True]))) == [False, True]
    assert category.decode(category.nearest(torch.eye(2, dtype=torch.float64))) == [True, True]


def test_sequences_of_one_length() -> None:
    sequence = column(["BA", "AZ", "BB"], "sequence")
    entries = sequence.encode(pd.Series(["ZA", "BB"]))
    assert entries.tolist() == [[0, 0, 1, 1, 0, 0], [0, 1, 0, 0, 1, 0]]
    assert sequence.decode(entries) == ["ZA", "BB"]
    assert sequence.groups == (3, 3)


def test_shorter_sequences_end_in_gaps() -> None:
    words = ["ACC", "C", "AA"]
    sequence = column(words, "sequence")
    assert sequence.groups == (3, 3, 3)
    assert sequence.decode(sequence.encode(pd.Series(words))) == words
    inner = column(["AC-", "C-A", "---"], "sequence").encode(
        pd.Series(["-A-", "--C", "A-C", "---"])
    )
    closed = sequence.nearest(inner[:, [1, 2, 0, 4, 5, 3, 7, 8, 6]])
    expected = ["A--", "C--", "AC-", "---"]
    numbers = closed.unflatten(1, (3, 3)).argmax(2).tolist()
    assert ["".join("AC-"[n] for n in word) for word in numbers] == expected
    assert sequence.decode(closed) == ["A", "C", "AC", ""]


def test_a_gap_in_aligned_sequences_is_a_letter() -> None:
    words = ["A-C", "-AC", "AC-"]
    sequence = column(words, "sequence")
    entries = sequence.encode(pd.Series(words))
    assert torch.equal(sequence.nearest(entries), entries)
    assert sequence.decode(entries) == words


def test_an_alphabet_of_the_users() -> None:
    sequence = column(["AAC", "CAA"], "sequence", alphabet="TGCA")
    assert sequence.groups == (4, 4, 4)
    assert sequence.encode(pd.Series(["TGC"])).argmax(1).tolist() == [0]
    with pytest.raises(
        DataError, match=r"column 'c', data row 2: the letter 'U'.*alphabet is ACGT"
    ):
        column(["AAC", "CAU"], "sequence", alphabet="ACGT")
    with pytest.raises(DataError, match=r"data row 1: the letter '-'\. Gaps fill up"):
        column(["A-C", "CA"], "sequence")


def test_wrong_kinds() -> None:
    with pytest.raises(DataError, match=r"column 'c', data row 2: 'b' is not a finite number"):
        column(["1", "b"], "number")
    with pytest.raises(
        DataError, match=r"column 'c', data row 2: 1\.5 is no whole number.*number}"
    ):
        column([1.0, 1.5], "integer")


TABLE = pd.DataFrame(
    {
        "word": ["AC", "A", "CC", "CA"],
        "solvent": ["x", "y", "y", "x"],
        "constant": [7, 7, 7, 7],
        "count": [1, 2, 3, 5],
        "amount": [0.5, 1.5, 0.25, 0.75],
    }
)
KINDS = ["sequence", "category", "integer", "integer", "number"]


def layout(**fixed: Any) -> TableLayout:
    options = parse_columns({name: {"fixed": value} for name, value in fixed.items()})
    return TableLayout(
        [
            build_column(TABLE[name], kind, options.get(name, ColumnOptions()), "the table")
            for name, kind in zip(TABLE, KINDS, strict=True)
        ]
    )


def test_numbers_stand_first_and_sequences_last() -> None:
    mixed = layout()
    designs = mixed.encode(TABLE)
    assert mixed.space.shape == (2 + 2 + 2 * 3,)
    assert mixed.space.groups == (2, 3, 3)
    assert mixed.space.num_numbers == 2
    counts, amounts = TABLE["count"].tolist(), TABLE["amount"].tolist()
    torch.testing.assert_close(designs[:, :1], standardised(counts, counts))
    torch.testing.assert_close(designs[:, 1:2], standardised(amounts, amounts))
    assert designs[:, 2:4].tolist() == [[1, 0], [0, 1], [0, 1], [1, 0]]
    assert designs[1, 4:].tolist() == [1, 0, 0, 0, 0, 1]


def test_rows_come_back_in_the_tables_order() -> None:
    mixed = layout()
    decoded = mixed.decode(mixed.encode(TABLE))
    pd.testing.assert_frame_equal(decoded, TABLE, check_dtype=False)
    assert decoded.dtypes["count"] == decoded.dtypes["constant"] == np.int64
    assert list(mixed.decode(mixed.encode(TABLE), {"amount", "constant"})) == ["constant", "amount"]


def test_fixed_columns() -> None:
    mixed = layout(solvent="y", amount=0.5, constant=7)
    nearest = mixed.decode(mixed.nearest(mixed.encode(TABLE)))
    pd.testing.assert_frame_equal(nearest, TABLE.assign(solvent="y", amount=0.5), check_dtype=False)


def test_nothing_but_a_sequence() -> None:
    columns = [build_column(TABLE["word"], "sequence", ColumnOptions(), "the table")]
    columns.append(build_column(TABLE["constant"], "integer", ColumnOptions(), "the table"))
    sequences = TableLayout(columns)
    designs = sequences.encode(TABLE)
    assert designs.shape == (4, 2, 3)
    assert sequences.space.is_sequences
    assert sequences.space.has_gap
    assert sequences.nearest(designs).shape == (4, 2, 3)
    assert sequences.decode(designs)["word"].tolist() == TABLE["word"].tolist()


@pytest.mark.parametrize("words", [["AC", "CA"], ["A-C", "-AC", "AC-"]])
def test_sequences_of_one_length_have_no_gap_to_end_in(words: list[str]) -> None:
    assert not TableLayout([column(words, "sequence")]).space.has_gap
