"""The letters of sequences: which are designed, and which only stand in the table."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import pandas as pd

from lightning_mbo.tabular.column_options import ColumnOptions, pasted
from lightning_mbo.tabular.columns import GAP, Column, SequenceColumn
from lightning_mbo.tabular.wording import listed, verb

PROTEIN = "ACDEFGHIKLMNPQRSTVWY"
END = "*"
"""Behind a protein's last letter, or where a stop codon cuts it short."""

_ALPHABETS = (("ACGT", "N"), ("ACGU", "N"), (PROTEIN, "X" + END))
"""Of DNA, RNA and proteins, each with what stands for an unknown letter or the end."""

_FEWEST_LETTERS = 3


class Letters(NamedTuple):
    """Of a sequence.

    Attributes:
        designed: Those of candidates, without the gap.
        unknown: Those that stand in the table for something unknown, or the end.
    """

    designed: str
    unknown: str


def letters_of(seen: str, alphabet: str | None) -> Letters:
    """What the letters of a table's sequences are.

    Three different letters or more, all of them of DNA, RNA or proteins, are taken for such, and
    if they are most of its letters the others are designed too. An alphabet of the user's is
    designed as it is.

    Args:
        seen: All letters of the table, ascending.
        alphabet: The user's.
    """
    given = alphabet or seen
    for whole, others in _ALPHABETS:
        if seen.islower():
            whole, others = whole.lower(), others.lower()
        mine = set(given) - {GAP} - set("" if alphabet else others)
        if len(mine) < _FEWEST_LETTERS or not mine <= set(whole):
            continue
        unknown = "".join(c for c in others if c in seen and c not in (alphabet or ""))
        if alphabet is not None:
            return Letters(alphabet, unknown)
        added = whole if 2 * len(mine) > len(whole) else ""
        return Letters("".join(sorted(set(seen + added) - set(unknown))), unknown)
    return Letters(given, "")


def ends_in_stars(words: pd.Series, alphabet: str | None) -> bool:
    """Whether most of a table's proteins have a star at their end, which is then no letter.

    Args:
        words: None of them missing.
        alphabet: The user's.
    """
    if END in (alphabet or "") or words.str.endswith(END).mean() <= 0.5:
        return False
    letters = set("".join(words.unique()).upper()) - {GAP, END, "X"}
    return letters <= set(PROTEIN)


def letter_notes(
    columns: Sequence[Column], table: pd.DataFrame, options: Mapping[str, ColumnOptions]
) -> list[str]:
    """What is said of letters that only stand in the table, or never.

    Args:
        columns: Of the designs.
        table: What they were made of.
        options: What the user says of them.
    """
    notes = []
    for column in columns:
        if not isinstance(column, SequenceColumn):
            continue
        name, designed = column.name, column.designed
        if column.unknown:
            num = table[name].str.contains(f"[{re.escape(column.unknown)}]").sum()
            what = "an unknown letter" + " or the end" * (END in column.unknown)
            notes.append(
                f"in {name!r} {listed(column.unknown)} {verb(column.unknown, 'stands', 'stand')} "
                f"for {what}, in {num:,} rows: these are learnt from, and no candidate has it. To "
                f"design it: {_with_alphabet(name, designed + column.unknown)}"
            )
        if column.unseen and options.get(name, ColumnOptions()).alphabet is None:
            seen = "".join(letter for letter in designed if letter not in column.unseen)
            notes.append(
                f"in {name!r} no row has {listed(column.unseen)}, of which the oracle knows "
                f"nothing, and candidates may. Without: {_with_alphabet(name, seen)}"
            )
    return notes


def _with_alphabet(name: str, alphabet: str) -> str:
    return pasted(name, f"{{alphabet: {json.dumps(alphabet)}}}")
