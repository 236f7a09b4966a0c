"""Levels that differ by blanks or case are one, unless they may be different things."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from lightning_mbo.data import CSV
from lightning_mbo.tabular.spelling import respelled, spellings


def joined(*texts: Any) -> dict[str, str | None]:
    return spellings(pd.Series(texts, dtype=object)).joined


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["THF", "THF", "thf", "DMF"], {"thf": "THF"}),
        (["THF ", "THF ", "THF"], {"THF ": "THF"}),
        (["THF ", "THF ", "thf"], {"THF ": "THF", "thf": "THF"}),
        (["ethyl  acetate", "ethyl acetate"], {"ethyl  acetate": "ethyl acetate"}),
        (["Ethyl Acetate", "ethyl acetate", "ethyl acetate"], {"Ethyl Acetate": "ethyl acetate"}),
        (
            ["oil", "\u00a0oil", "OIL", "Oil", "oil"],
            dict.fromkeys(["\u00a0oil", "OIL", "Oil"], "oil"),
        ),
        (["Co ", "Co", "CO"], {"Co ": "Co"}),
        (["oil", "   "], {"   ": None}),
        # What differs from nothing else stays as it is written.
        (["THF ", "ethyl  acetate", True, 3], {}),
        (["1", "1.0", "01"], {}),
        (["a b", "ab"], {}),
    ],
)
def test_what_is_the_same(texts: list[Any], expected: dict[str, str | None]) -> None:
    assert joined(*texts) == expected


@pytest.mark.parametrize(
    "texts",
    [
        ["CO", "CO", "Co"],
        ["c1ccccc1", "c1ccccc1", "C1CCCCC1"],
        ["KCl", "KCl", "KCL"],
        ["COS", "COS", "CoS"],
        ["oil", "Oil"],
    ],
)
def test_what_may_be_different(texts: list[str]) -> None:
    column = pd.Series(texts)
    found = spellings(column)
    assert found.joined == {}
    assert [set(group) for group in found.doubtful] == [set(texts)]
    most = texts[0]
    (other,) = set(texts) - {most}
    assert spellings(column, joins_all=True) == ({other: most}, [])


def test_ones_own_rows_in_the_spelling_of_the_levels() -> None:
    levels = ["THF", "CO", "oil", "Oil", 7]
    values = pd.Series(["thf ", "THF", "Co", "CO ", "Oil", "OIL", "DMF", 7, None])
    expected = ["THF", "THF", "Co", "CO", "Oil", "OIL", "DMF", 7, None]
    assert respelled(values, levels).tolist() == expected


def solvents() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"solvent": ["THF", "thf ", "oil", "THF", "Oil", "oil"] * 8})
    frame["temp"] = np.repeat(np.arange(8), 6) * 10.5
    frame["plate"] = np.where(rng.uniform(size=48) < 0.5, "P1", "P1 ")
    frame.loc[42:, "plate"] = "P2"
    frame["y"] = rng.normal(size=48)
    return frame


def loaded(frame: pd.DataFrame, **columns: Any) -> CSV:
    data = CSV(frame, target="y", columns=columns)
    data.setup("fit")
    return data


def test_rows_of_one_level_are_one_design(capsys: pytest.CaptureFixture[str]) -> None:
    data = loaded(solvents(), plate="group")
    shown = data.to_user_units(data.designs)
    assert sorted(set(shown["solvent"])) == ["THF", "oil"]
    assert len(data.designs) == 16
    assert data.groups is not None
    assert len(data.groups.unique()) == 2
    printed = " ".join(capsys.readouterr().out.split())
    assert "in 'solvent' 'thf ' and 'Oil' are taken for 'THF' and 'oil'" in printed
    assert "If they are different: --data.columns '{solvent: {spelling: exact}}'" in printed
    encoded = data._layout.encode(pd.DataFrame({"solvent": ["Thf"], "temp": [0.0]}))
    assert data.to_user_units(encoded)["solvent"].tolist() == ["THF"]


def test_levels_that_are_different_as_the_user_says() -> None:
    data = loaded(solvents(), solvent={"spelling": "exact"}, plate="ignore")
    assert set(data.to_user_units(data.designs)["solvent"]) == {"THF", "thf ", "oil", "Oil"}


def test_doubtful_levels_are_asked_about(capsys: pytest.CaptureFixture[str]) -> None:
    frame = solvents().drop(columns="plate").replace({"oil": "CO", "Oil": "Co"})
    data = loaded(frame)
    printed = " ".join(capsys.readouterr().out.split())
    assert "question: in 'solvent' 'CO' and 'Co' differ by case alone" in printed
    assert "--data.columns '{solvent: {spelling: joined}}'" in printed
    assert set(data.to_user_units(data.designs)["solvent"]) == {"THF", "CO", "Co"}
    data = loaded(frame, solvent={"spelling": "joined"})
    assert set(data.to_user_units(data.designs)["solvent"]) == {"THF", "CO"}
