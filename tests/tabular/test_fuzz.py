"""Whatever a constraint, a formula or a table holds: it is understood, or refused in one line.

`LIGHTNING_MBO_FUZZ=N` makes N tables, and a thousand times as many constraints and formulas.
"""

from __future__ import annotations

import os
import random
import warnings
from pathlib import Path

import pytest

from lightning_mbo.data import CSV
from lightning_mbo.errors import MBOError
from lightning_mbo.tabular.constraints import parse_constraints
from lightning_mbo.tabular.formulas import read_formula

NUM = int(os.environ.get("LIGHTNING_MBO_FUZZ", "25"))

PARTS = {
    "constraint": [
        *(
            "a",
            "b",
            "`b c`",
            "`",
            "1",
            "2.5",
            "1e9",
            "1e999",
            "9" * 320,
            "<=",
            ">=",
            "==",
            "<",
            "=",
        ),
        *("+", "-", "*", "/", "(", ")", " ", "__quoted_0", "lambda", "µ", "\0", ".", "1_0", "0x1"),
    ],
    "formula": [
        *("Fe", "O", "Cu", "2", "3", ".", "5", "(", ")", "[", "]", "{", "}", "·", "H2O", " ", "x"),
        *("-", "₂", "Zz", "1e", "9" * 320, "0", "*", "\0", "é", "𝟏", "+", "nan"),
    ],
}

CELLS = [
    *(
        "",
        "nan",
        "inf",
        "-inf",
        "1e400",
        "9" * 400,
        "-1e300",
        "1e-320",
        "0x10",
        "1,5",
        "1 000",
        "٣",
    ),
    *("True", "N/A", "None", "<0.1", "≥90%", "2024-03-12", "14:05", "Fe2O3", "A5V:L9F", "ACGT*"),
    *("mean", '"', '"a""b"', "'", "=1+1", "µ", "\0", "\n", ";", "\t", " ", "x" * 2000, "🙂"),
]


@pytest.mark.parametrize("kind", PARTS)
def test_texts(kind: str) -> None:
    rng = random.Random(0)
    for _ in range(1000 * NUM):
        text = "".join(rng.choice(PARTS[kind]) for _ in range(rng.randint(0, 12)))
        try:
            parse_constraints([text]) if kind == "constraint" else read_formula(text)
        except MBOError as error:
            assert "\n" not in str(error)  # noqa: PT017


@pytest.mark.parametrize("seed", range(NUM))
def test_tables(seed: int, tmp_path: Path) -> None:
    rng = random.Random(seed)
    rows = [
        [str(round(rng.uniform(0, 9), 2)), rng.choice("xyz"), str(rng.randint(0, 5)), str(i % 7)]
        for i in range(rng.choice([3, 12, 40]))
    ]
    rows.insert(0, ["a", "b", "c", "y"])
    for _ in range(rng.randint(0, 12)):
        row = rng.choice(rows)
        cell = rng.choice(CELLS)
        if rng.random() < 0.1:
            row.append(cell)
        elif row:
            row[rng.randrange(len(row))] = cell
        if rng.random() < 0.05 and row:
            row.pop()
    text = "\n".join(rng.choice(",,,,,,;").join(row) for row in rows)
    (tmp_path / "t.csv").write_bytes(text.encode(rng.choice(["utf-8", "utf-16", "utf-8-sig"])))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            data = CSV(tmp_path / "t.csv", target="y")
            data.setup("fit")
            made = data.nearest_allowed(2 * data.designs)
            assert len(data.to_user_units(made)) == len(data.designs)
        except MBOError as error:
            assert "\n" not in str(error)  # noqa: PT017
