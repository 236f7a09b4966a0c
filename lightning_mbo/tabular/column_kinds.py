"""What kind of values the columns of a table hold."""

from __future__ import annotations

import math
import re

import numpy as np
import pandas as pd

from lightning_mbo.errors import DataError
from lightning_mbo.tabular.chance import sampled_rows
from lightning_mbo.tabular.column_options import pasted, pasted_missing
from lightning_mbo.tabular.dates import are_dates, are_dates_in_digits
from lightning_mbo.tabular.entries import bad_entry
from lightning_mbo.tabular.formulas import reads_as_formulas
from lightning_mbo.tabular.headers import is_named_by_place
from lightning_mbo.tabular.mutations import reads_as_mutations
from lightning_mbo.tabular.text_files import WHOLE

_ALMOST_A_NUMBER = r"[<>~≤≥±$€£ ]*[+-]?\d[\d,.' ]*([eE][+-]?\d+)?\s*[%°$€£]?[CFK]?"
_MOMENTS = ("date", "datetime", "datetime64", "time", "timedelta", "timedelta64", "period")
"""What pandas calls dates, times and spans of time."""
_CENSORED = r"[<>≤≥]=?\s*[\d.,]"
_MOST_HINTED = 5
_LARGEST, _LARGEST_WHOLE = 1e100, 2.0**53
"""Of numbers that can be squared and added up, and of whole ones that are not rounded."""
_UPPER_WORD, _LOWER_WORD = r"[A-Z*-]+", r"[a-z-]+"
_MOST_LETTERS, _MOST_LOWER_LETTERS = 24, 6
_MOST_LEVELS = 100
_SHARE_OF_IDENTIFIERS = 0.95
_COUNTING_NAMES = ("index", "id", "row", "no", "nr", "#")


def inferred_kind(column: pd.Series, source: str) -> str:
    """The kind of a column by its values.

    Numbers that are whole by their type, or written so, or that are zeros and ones are `integer`,
    others `number`: what is written 5.0 might have been 5.1. Of texts, those over a small alphabet
    of which most differ are a `sequence`; those of which few differ a `category`, as are truth
    values. A text that differs from row to row is an `identifier`: it names the rows and says
    nothing of new ones. Chemical formulas of which most differ are a `formula`, and mutations such
    as A5V are `mutations`.

    Args:
        column: With its name; missing entries say nothing. Labelled by row numbers from 0.
        source: What to call the table in messages.

    Returns:
        One of number, integer, category, sequence, formula, mutations, identifier, count (it
        counts the rows) and empty.

    Raises:
        DataError: If it holds dates, mixes texts and numbers, or can be one or the other.
    """
    values = column.dropna() if column.hasnans else column
    if values.empty:
        return "empty"
    inferred = pd.api.types.infer_dtype(values)
    if inferred == "boolean":
        return "category"
    if inferred in _MOMENTS:
        raise _dates(column, source)
    if not pd.api.types.is_numeric_dtype(values):
        texts = values.astype(str).str.strip()
        if pd.to_numeric(texts, errors="coerce").isna().any():
            return _kind_of_texts(texts, source)
    numbers = as_numbers(values, source)
    if _counts_rows(str(column.name), numbers, len(column)):
        return "count"
    if are_dates_in_digits(numbers):
        raise _dates(column, source)
    return "integer" if _is_whole(values, numbers) else "number"


def _is_whole(values: pd.Series, numbers: pd.Series) -> bool:
    if pd.api.types.is_integer_dtype(values):
        return True
    # The first few tell of most columns.
    entries = numbers.to_numpy()
    if all(((part == 0) | (part == 1)).all() for part in (entries[:100], entries)):
        return True
    if pd.api.types.is_float_dtype(values) or (numbers % 1 != 0).any():
        return False
    texts = pd.Series(values.unique()).astype(str)
    return bool(texts.str.fullmatch(WHOLE.pattern).all())


def kind_of_rows(column: pd.Series) -> str | None:
    """Whether a column is `empty` or a `count` of the rows, whatever its values; else None."""
    if column.isna().all():
        return "empty"
    if pd.api.types.is_numeric_dtype(column):
        return "count" if _counts_rows(str(column.name), column.dropna(), len(column)) else None
    return None


def as_numbers(column: pd.Series, source: str) -> pd.Series:
    """A column as float64, NaN where an entry is missing.

    Raises:
        DataError: Naming the first entry that is no finite number, by column and data row, or one
            that is too large or has too many digits.
    """
    numbers = as_floats(column)
    # Most columns are of nothing else, and there may be thousands.
    sizes = np.abs(numbers.to_numpy())
    if pd.api.types.is_numeric_dtype(column.dtype) and np.fmax.reduce(sizes) < _LARGEST_WHOLE:
        return numbers
    bad = (numbers.isna() & column.notna()) | np.isinf(numbers)
    if bad.any():
        raise DataError(_no_number(column, bad, source))
    largest = _LARGEST if pd.api.types.is_float_dtype(column.dtype) else _LARGEST_WHOLE
    if numbers.abs().max() >= largest:
        large = numbers.abs() >= largest
        if (numbers[large] % 1 == 0).all() or (numbers.abs() > _LARGEST).any():
            raise DataError(_too_large(column, large, source))
    return numbers


def as_floats(column: pd.Series) -> pd.Series:
    """A column as float64, NaN where an entry is no number or missing."""
    if column.dtype == np.float64:
        return column
    try:
        return pd.to_numeric(column, errors="coerce").astype(np.float64)
    except OverflowError:  # of whole numbers of hundreds of digits
        texts = column.where(column.isna(), column.astype(str)).astype(object)
        return texts.map(_as_float).astype(np.float64)


def _as_float(text: object) -> float:
    try:
        return float(str(text))
    except ValueError:
        return math.nan


def is_constant(column: pd.Series) -> bool:
    """Whether all values, of which none is missing, equal the first."""
    values = column.to_numpy()
    # The last tells of most columns.
    return bool(values[-1] == values[0] and (values == values[0]).all())


def is_sequence(texts: pd.Series) -> bool:
    """Whether texts, of which none is missing, are words over a small alphabet."""
    distinct = pd.Series(texts.unique())
    if len(distinct) < len(texts) / 2 or distinct.str.len().max() < 3:
        return False
    letters = set("".join(distinct))
    if distinct.str.fullmatch(_UPPER_WORD).all():
        return len(letters) <= _MOST_LETTERS
    return bool(distinct.str.fullmatch(_LOWER_WORD).all()) and len(letters) <= _MOST_LOWER_LETTERS


def _kind_of_texts(texts: pd.Series, source: str) -> str:
    distinct = pd.Series(texts.unique())
    if are_dates(texts, distinct):
        raise _dates(texts, source)
    almost = distinct.str.fullmatch(_ALMOST_A_NUMBER)
    if texts.isin(distinct[almost]).mean() >= 0.5:
        bad = pd.to_numeric(texts, errors="coerce").isna()
        raise DataError(
            f"{_no_number(texts, bad, source)}. Or, if these are names: "
            f"{pasted(str(texts.name), 'category')}"
        )
    if is_sequence(texts):
        return "sequence"
    share = len(distinct) / len(texts)
    some = distinct.iloc[sampled_rows(len(distinct))].tolist()
    if share > 0.5 and reads_as_formulas(some):
        return "formula"
    if share > 0.5 and reads_as_mutations(some):
        return "mutations"
    if share >= _SHARE_OF_IDENTIFIERS:
        return "identifier"
    if share > 0.5 or len(distinct) > _MOST_LEVELS:
        raise DataError(
            f"{source}, column {texts.name!r} has {len(distinct):,} different texts in "
            f"{len(texts):,} rows: give {pasted(str(texts.name), 'category')} to design it all the "
            f"same, or {pasted(str(texts.name), 'ignore')} to leave it out"
        )
    return "category"


def _counts_rows(name: str, numbers: pd.Series, num_rows: int) -> bool:
    """Whether a column has no name, or that of an index, and numbers the rows."""
    if (
        not (is_named_by_place(name) or name.casefold() in _COUNTING_NAMES)
        or len(numbers) != num_rows
    ):
        return False
    return bool((numbers.diff().iloc[1:] == 1).all()) and numbers.iloc[0] in (0, 1)


def _dates(column: pd.Series, source: str) -> DataError:
    return DataError(
        f"{source}, column {column.name!r} holds dates or times, which cannot be designed: leave "
        f"it out with {pasted(str(column.name), 'ignore')}, hold out its rows together with "
        f"{pasted(str(column.name), 'group')}, or write it as a number, for instance of days"
    )


def _too_large(column: pd.Series, large: pd.Series, source: str) -> str:
    row = large.index[int(large.to_numpy().argmax())]
    wanted = "a number that keeps its digits in computing"
    message = bad_entry(source, column.name, row, column[row], wanted, int(large.sum()))
    return f"{message}. If it is a name: {pasted(str(column.name), 'ignore')}"


def _no_number(column: pd.Series, bad: pd.Series, source: str) -> str:
    row = bad.index[int(bad.to_numpy().argmax())]
    message = bad_entry(source, column.name, row, column[row], "a finite number", int(bad.sum()))
    texts = column[bad].dropna().astype(str).str.strip().unique()[:_MOST_HINTED]
    if re.match(_CENSORED, texts[0]):
        return (
            f"{message}. A limit is no measurement, and no oracle here takes one: write a number "
            f"that stands for it, or leave such rows out with {pasted_missing(texts)}"
        )
    if texts[0].casefold().lstrip("+-") in ("inf", "infinity"):
        return message
    return f"{message}. What stands for a missing entry: {pasted_missing(texts)}"
