"""What is mended in a table before its columns are understood."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from lightning_mbo.tabular.column_options import ColumnOptions, pasted
from lightning_mbo.tabular.sequence_letters import END, ends_in_stars
from lightning_mbo.tabular.spelling import spellings
from lightning_mbo.tabular.wording import listed, verb


def with_spellings(
    table: pd.DataFrame, kinds: Mapping[str, str], options: Mapping[str, ColumnOptions]
) -> tuple[pd.DataFrame, list[str], list[str]]:
    """Join levels, and names of groups, that differ by blanks or case; end sequences at their end.

    Args:
        table: Of the user.
        kinds: Of its columns.
        options: What the user says of them.

    Returns:
        The table, what is said of it, and what is uncertain, a sentence each.
    """
    table, notes, questions = table.copy(deep=False), [], []
    for name, kind in kinds.items():
        if kind not in ("sequence", "category", "group"):
            continue
        given = options.get(name, ColumnOptions())
        how, column = given.spelling, table[name]
        if kind == "sequence":
            table[name], more = _tidy_words(column, given)
            notes += more
        if kind not in ("category", "group") or how == "exact" or _is_no_text(column):
            continue
        found = spellings(column, joins_all=how == "joined")
        if found.joined:
            table[name] = column.where(~column.isin(list(found.joined)), column.map(found.joined))
        as_said = f"kind: {given.kind}, " * (given.kind is not None)
        changed = [text for text, level in found.joined.items() if level is not None]
        if changed:
            levels = list(dict.fromkeys(str(found.joined[text]) for text in changed))
            notes.append(
                f"in {name!r} {listed(changed)} {verb(changed, 'is', 'are')} taken for "
                f"{listed(levels)}, for the same but for blanks or case. If they are different: "
                f"{pasted(name, f'{{{as_said}spelling: exact}}')}"
            )
        if found.doubtful:
            questions.append(
                f"in {name!r} {listed(found.doubtful[0])} differ by case alone, and count as "
                f"different. If they are the same: {pasted(name, f'{{{as_said}spelling: joined}}')}"
            )
    return table, notes, questions


def _tidy_words(column: pd.Series, given: ColumnOptions) -> tuple[pd.Series, list[str]]:
    words = column.dropna().astype(str).str.strip()
    if words.empty or not ends_in_stars(words, given.alphabet):
        return words.reindex(column.index), []
    stars = words.str.endswith(END).sum()
    note = (
        f"the {END!r} at the end of {stars:,} sequences in {column.name!r} is left out, as no "
        f"letter of a protein"
    )
    return words.str.rstrip(END).reindex(column.index), [note]


def _is_no_text(column: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column)
