"""Levels that are the same but for blanks or case."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

_FEWEST_LETTERS = 3


class Spellings(NamedTuple):
    """What the texts of a column are taken for.

    Attributes:
        joined: Of those that are changed, what they become; None for nothing but blanks.
        doubtful: Sets of texts that differ by case and may be different things.
    """

    joined: dict[str, str | None]
    doubtful: list[list[str]]


def spellings(column: pd.Series, joins_all: bool = False) -> Spellings:
    """Which texts of a column are the same but for blanks or case.

    Those that differ by blanks are. Of those that differ by case the most frequent is taken for
    the right one; where it is not more frequent than each other one, or they may be formulas or
    SMILES, in which case means something, they are doubtful.

    Args:
        column: Of texts, or of mixed values of which only texts count.
        joins_all: Whether doubtful ones are the same too.
    """
    texts = [text for text in column.unique() if isinstance(text, str)]
    tidy = {text: _tidy(text) for text in texts}
    blank = {text: None for text in texts if not tidy[text]}
    alike = defaultdict(list)
    for text in texts:
        if text not in blank:
            alike[tidy[text].casefold()].append(text)
    joined: dict[str, str | None] = dict(blank)
    doubtful = []
    groups = [group for group in alike.values() if len(group) > 1]
    counts: Mapping[Any, int] = column.value_counts().to_dict() if groups else {}
    for group in groups:
        numbers: dict[str, int] = defaultdict(int)
        for text in group:
            numbers[tidy[text]] += counts[text]
        by_number = sorted(numbers, key=lambda text: -numbers[text])
        first, others = by_number[0], by_number[1:]
        certain = all(numbers[text] < numbers[first] and _same(first, text) for text in others)
        level_of = dict.fromkeys(by_number, first) if certain or joins_all else {}
        if others and not level_of:
            doubtful.append(by_number)
        for text in group:
            level = level_of.get(tidy[text], tidy[text])
            if text != level and (level_of or len(group) > len(by_number)):
                joined[text] = level
    return Spellings(joined, doubtful)


def respelled(values: pd.Series, levels: Sequence[Any]) -> pd.Series:
    """Values in the spelling of the level from which they differ by blanks or case, if any.

    Args:
        values: A column's, ``(m,)``.
        levels: That are known; what is among them stays.
    """
    known = defaultdict(list)
    for level in levels:
        if isinstance(level, str):
            known[_tidy(level).casefold()].append(level)

    def of(value: Any) -> Any:
        if not isinstance(value, str) or value in levels:
            return value
        tidy = _tidy(value)
        near = known[tidy.casefold()]
        same = [level for level in near if _tidy(level) == tidy or _same(_tidy(level), tidy)]
        return same[0] if len(same) == 1 else value

    return values.map(of)


def _tidy(text: str) -> str:
    return " ".join(text.split())


def _same(text: str, other: str) -> bool:
    """Whether texts that differ by case are words in small letters, capitals or titles."""
    return all(
        re.fullmatch(r"[^\W\d_]+([ ,-]+[^\W\d_]+)*", word)
        and len(word) >= _FEWEST_LETTERS
        and word in (word.lower(), word.upper(), word.title(), word.capitalize())
        for word in (text, other)
    )
