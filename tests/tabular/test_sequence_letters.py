"""Letters that stand for something unknown are read and never written; alphabets are whole."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from lightning_mbo.data import CSV
from lightning_mbo.tabular.column_building import build_column
from lightning_mbo.tabular.column_options import ColumnOptions
from lightning_mbo.tabular.columns import SequenceColumn
from lightning_mbo.tabular.sequence_letters import PROTEIN, letters_of


@pytest.mark.parametrize(
    ("seen", "alphabet", "designed", "unknown"),
    [
        ("ACGT", None, "ACGT", ""),
        ("ACG", None, "ACGT", ""),
        ("AGU", None, "ACGU", ""),
        ("acg", None, "acgt", ""),
        ("ACGNT", None, "ACGT", "N"),
        ("acgnu", None, "acgu", "n"),
        ("-ACG", None, "-ACGT", ""),
        (PROTEIN, None, PROTEIN, ""),
        ("ACDEFGHIKLM", None, PROTEIN, ""),
        ("*ACDEFGHIKLMNPQRSTVWXY", None, PROTEIN, "X*"),
        # Few amino acids may have been chosen, and two letters may be anything.
        ("AKLX", None, "AKL", "X"),
        ("HP", None, "HP", ""),
        ("AC", None, "AC", ""),
        ("XYZ", None, "XYZ", ""),
        ("ABC", None, "ABC", ""),
        ("ACGTU", None, "ACGTU", ""),
        ("ACG", "ACG", "ACG", ""),
        ("ACGN", "TGCA", "TGCA", "N"),
        ("ACGN", "ACGTN", "ACGTN", ""),
        ("AN", "AN", "AN", ""),
    ],
)
def test_alphabets(seen: str, alphabet: str | None, designed: str, unknown: str) -> None:
    assert letters_of(seen, alphabet) == (designed, unknown)


def column(*words: str, **options: Any) -> SequenceColumn:
    values = pd.Series(words, name="dna")
    built = build_column(values, "sequence", ColumnOptions(**options), "the table")
    assert isinstance(built, SequenceColumn)
    return built


def test_the_usual_letter_stands_for_an_unknown_one() -> None:
    words = ["ANGT", "CAGN", "CANN", "TAGN"]
    dna = column(*words)
    assert dna.groups == (5,) * 4
    entries = dna.encode(pd.Series(words))
    assert dna.decode(entries) == words
    assert dna.decode(dna.nearest(entries)) == ["AAGT", "CAGT", "CAGT", "TAGT"]
    assert dna.describe() == "4 letters of ACGT; N never designed"


def test_unknown_letters_of_sequences_with_gaps() -> None:
    words = ["ACGT", "NC", "ACN", "AC"]
    dna = column(*words)
    assert dna.decode(dna.encode(pd.Series(words))) == words
    # In most rows nothing stands in the third place.
    assert dna.decode(dna.nearest(dna.encode(pd.Series(words)))) == ["ACGT", "AC", "AC", "AC"]
    soft = torch.rand(200, dna.num_entries, generator=torch.Generator().manual_seed(0)).double()
    assert set("".join(dna.decode(dna.nearest(soft)))) == set("ACGT")


def test_a_place_that_is_unknown_throughout() -> None:
    dna = column("GGN", "GCN", "GAN", "TGN")
    assert dna.decode(dna.nearest(dna.encode(pd.Series(["TCN"])))) == ["TCG"]


def test_letters_that_are_never_seen() -> None:
    dna = column("ACG", "GAC", "CCA")
    assert dna.groups == (4,) * 3
    assert dna.describe() == "3 letters of ACGT; T never seen"
    assert column("ACG", "GAC", alphabet="ACG").describe() == "3 letters of ACG"


def proteins(end: str) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    words = ["".join(rng.choice(list(PROTEIN), 5)) for _ in range(30)]
    ends = [end if i % 3 else "" for i in range(30)]
    frame = pd.DataFrame({"protein": [word + e for word, e in zip(words, ends, strict=True)]})
    frame.loc[1:2, "protein"] = [frame["protein"][0] + "*", f" {words[0]}"]
    return frame.assign(y=rng.normal(size=30))


def loaded(frame: pd.DataFrame, **columns: Any) -> CSV:
    data = CSV(frame, target="y", columns=columns)
    data.setup("fit")
    return data


def test_ends_are_no_letters(capsys: pytest.CaptureFixture[str]) -> None:
    frame = proteins("*")
    data = loaded(frame)
    assert data.design_shape == (5, 20)
    # Three rows of one protein.
    assert len(data.designs) == 28
    printed = " ".join(capsys.readouterr().out.split())
    assert "the '*' at the end of 19 sequences in 'protein' is left out" in printed
    assert frame.equals(proteins("*"))
    kept = loaded(frame, protein={"alphabet": PROTEIN + "*"})
    assert kept.design_shape == (6, 22)


def test_rows_with_unknown_letters_are_learnt_from(capsys: pytest.CaptureFixture[str]) -> None:
    frame = proteins("").drop(index=[1, 2]).reset_index(drop=True)
    frame.loc[:4, "protein"] = ["ACX*W", "AXDEF", "ACDEF", "GHIKL", "X*XXX"]
    data = loaded(frame)
    assert data.design_shape == (5, 22)
    assert data.to_user_units(data.designs)["protein"].tolist() == frame["protein"].tolist()
    made = data.to_user_units(data.nearest_allowed(data.designs))["protein"]
    assert not made.str.contains(r"[X*]").any()
    printed = " ".join(capsys.readouterr().out.split())
    assert "'X' and '*' stand for an unknown letter or the end, in 3 rows" in printed
    assert f"""To design it: --data.columns '{{protein: {{alphabet: "{PROTEIN}X*"}}}}'""" in printed


def test_letters_that_no_row_has_are_said(capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    words = ["".join(rng.choice(list("ACG"), 6)) for _ in range(20)]
    frame = pd.DataFrame({"dna": words, "y": rng.normal(size=20)})
    assert loaded(frame).design_shape == (6, 4)
    printed = " ".join(capsys.readouterr().out.split())
    assert "in 'dna' no row has 'T', of which the oracle knows nothing" in printed
    assert """Without: --data.columns '{dna: {alphabet: "ACG"}}'""" in printed
    assert loaded(frame, dna={"alphabet": "ACG"}).design_shape == (6, 3)
    assert "no row has" not in capsys.readouterr().out
