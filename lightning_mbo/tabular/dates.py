"""Dates and times, which no column that is designed may hold."""

from __future__ import annotations

import re

import pandas as pd

_MONTH = r"(jan|feb|m[aä]r|apr|ma[iy]|jun|jul|aug|sep|o[ck]t|nov|de[cz])[a-z]*\.?"
_WEEKDAY = r"(mon|tue|wed|thu|fri|sat|sun)[a-z]*"
_DAY = r"\d{1,2}(st|nd|rd|th|\.)?"
_YEAR = r"(\d{4}|'?\d{2})"
_ZONE = r"( ?(z|utc|gmt))?( ?[+-]\d{2}:?\d{2})?"
_CLOCK = rf"\d{{1,2}}:\d{{2}}(:\d{{2}}([.,]\d+)?)?( ?[ap]\.?m\.?)?{_ZONE}"
_DATE = "|".join(
    (
        r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}",
        r"\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}",
        rf"{_DAY}[-/., ]*{_MONTH}[-/., ]*{_YEAR}",
        rf"{_MONTH}[-/. ]*{_DAY}[-/., ]+{_YEAR}",
        rf"{_MONTH}[-/., ]+\d{{4}}",
        rf"\d{{4}}[-/. ]{_MONTH}[-/. ]{_DAY}",
        r"\d{8}(?=[T _-]\d)",
    )
)
_MOMENT = re.compile(
    rf"({_WEEKDAY}[., ]+)?({_DATE})([T, _-]*({_CLOCK}|\d{{4}}(\d\d)?z?))?",
    re.IGNORECASE,
)
_TIME = re.compile(r"([01]?\d|2[0-3]):[0-5]\d(:[0-5]\d([.,]\d+)?)?( ?[ap]\.?m\.?)?", re.IGNORECASE)
_RATIO = re.compile(r"\d:\d\d")
"""Like a time, which more often has two digits before the colon."""

_NAMES_OF_DATES = ("date", "dates", "datum", "day", "timestamp")
_NAMES_OF_TIMES = ("time", "clock", "hour", "start", "end", "begin", "timestamp")
_MOST = 0.9
"""Of the rows that hold dates, where others hold something else."""


def are_dates(texts: pd.Series, distinct: pd.Series) -> bool:
    """Whether texts, of which none is missing, are dates or times of the day.

    Args:
        texts: Without blanks about them.
        distinct: Those of them that differ.
    """
    if not any(map(_MOMENT.fullmatch, distinct[:20])):
        return _are_times(distinct, str(texts.name))
    dates = distinct.map(lambda text: _MOMENT.fullmatch(text) is not None)
    return bool(texts.isin(distinct[dates]).mean() >= _MOST)


def are_dates_in_digits(numbers: pd.Series) -> bool:
    """Whether whole numbers, such as 20240312 in a column that is called a date, are dates.

    Args:
        numbers: With the column's name.
    """
    if not _is_named(str(numbers.name), _NAMES_OF_DATES) or (numbers % 1 != 0).any():
        return False
    if numbers.min() < 19000101 or numbers.max() > 21001231:
        return False
    digits = numbers.astype(int).astype(str)
    return bool(pd.to_datetime(digits, format="%Y%m%d", errors="coerce").notna().all())


def _are_times(distinct: pd.Series, name: str) -> bool:
    if not all(map(_TIME.fullmatch, distinct)):
        return False
    return _is_named(name, _NAMES_OF_TIMES) or not any(map(_RATIO.fullmatch, distinct))


def _is_named(name: str, words: tuple[str, ...]) -> bool:
    spaced = re.sub(r"([a-z])([A-Z])", r"\1 \2", name).casefold()
    return not set(words).isdisjoint(re.findall(r"[a-z]+", spaced))
