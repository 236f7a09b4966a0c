"""What is said of a table of the user's own, and of a list of designs, when they are read."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from lightning_mbo.console import say, show
from lightning_mbo.designs import are_among
from lightning_mbo.errors import MBOWarning
from lightning_mbo.space import Amounts

if TYPE_CHECKING:
    from lightning_mbo.data.csv import CSV
    from lightning_mbo.tabular.layout import TableLayout
    from lightning_mbo.tabular.pool import Pool
    from lightning_mbo.tabular.preparation import PreparedTable


_CHUNK_SIZE = 50_000


def remarks(prepared: PreparedTable, amounts: Amounts | None) -> tuple[str, ...]:
    """What was found of a table's columns, and what is asked of them, a line each.

    Args:
        prepared: The table.
        amounts: Which of the designs' numbers are amounts and often zero; None: none.
    """
    from lightning_mbo.tabular.wording import amounts_note

    places = () if amounts is None else amounts.places
    named = [prepared.layout.numbers[place].name for place in places]
    return (
        *prepared.notes,
        *([amounts_note(named)] if named else []),
        *(f"question: {line}" for line in prepared.questions),
    )


def say_of_table(data: CSV, prepared: PreparedTable, designs: Tensor) -> None:
    """Say how a table was understood.

    Args:
        data: Whose it is, which has taken over the rest of it.
        prepared: The table.
        designs: Of its rows, each once, ``(n, *design_shape)``.
    """
    from lightning_mbo.tabular.column_roles import in_short

    show(in_short(prepared.shown))
    if data.results is not None:
        from lightning_mbo.tabular.several_results import ADVANCE, ADVANCE_IS, goal_lines

        for line in goal_lines(data.results.advance.goals, data.results.values.numpy()):
            say(line)
        say(f"{ADVANCE}: {ADVANCE_IS}")
        if len(data.results.further.designs):
            say(
                f"{len(data.results.further.designs):,} further rows lack some of the results, "
                "and teach of the others"
            )
    for line in data.remarks:
        say(line)
    merged = prepared.num_rows - len(designs)
    if merged:
        say(
            f"{merged:,} rows measure designs of other rows again: {prepared.num_rows:,} rows "
            f"make {len(designs):,} designs, with the mean of all their rows"
        )
    outside = torch.cat(
        [_outside(data, prepared.layout, chunk) for chunk in designs.split(_CHUNK_SIZE)]
    ).numpy()
    if outside.any():
        warnings.warn(
            f"{data.source}: {outside.sum():,} of {len(designs):,} designs of the table are "
            "out of the bounds, steps or constraints that candidates are held to. The oracle "
            f"learns from them all the same; the first is data row "
            f"{prepared.row_numbers[outside.argmax()]}",
            category=MBOWarning,
            stacklevel=4,
        )


def _outside(data: CSV, layout: TableLayout, designs: Tensor) -> Tensor:
    """Which designs ``(m, *design_shape)`` no candidate could be, bool, ``(m,)``."""
    free = [c.fixed is None for c in layout.numbers]
    mask = torch.tensor(free, dtype=torch.bool, device=designs.device)
    num = len(mask)
    bounded = layout.nearest(designs)
    moved = ((bounded.flatten(1)[:, :num] - designs.flatten(1)[:, :num]).abs() > 1e-6) & mask
    return moved.any(1) | ~data.feasible(designs)


def say_of_pool(data: CSV, layout: TableLayout, pool: Pool, source: str) -> None:
    """Say what of a list is left out, and what neither the oracle nor the user may expect.

    Args:
        data: Whose table the list goes with.
        layout: Of the table's designs.
        pool: The list.
        source: What to call it.
    """
    from lightning_mbo.tabular.pool import outside_range
    from lightning_mbo.tabular.wording import listed

    num = len(pool.designs)
    if num < pool.num_rows:
        say(
            f"{source}: {pool.num_rows - num:,} of {pool.num_rows:,} rows have the design of a "
            "row above and are left out"
        )
    known = int(are_among(pool.designs, data.known_designs).sum())
    if known:
        say(
            f"{source}: {known:,} of {num:,} designs are in the table and not handed out, "
            "unless --keep_known true"
        )
    beyond, names = outside_range(pool.entries, layout)
    if beyond:
        say(
            f"{source}: {beyond:,} of {num:,} designs lie outside the range of the table, in "
            f"{listed(names)}: there the oracle has seen nothing"
        )
    moved = (layout.nearest(pool.designs) - pool.designs).abs() > 1e-6
    unmade = moved.flatten(1).any(1) | ~data.feasible(pool.designs)
    if unmade.any():
        say(
            f"{source}: {unmade.sum():,} of {num:,} designs are out of the bounds, steps or "
            "constraints that a search is held to, and ranked all the same; the first is data "
            f"row {pool.row_numbers[int(unmade.int().argmax())]}"
        )
