"""Candidates keep what the user's table means, and the evidence does not count repeats."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lightning_mbo.cli import main

SMALL = [
    "--model=DeepEnsemble",
    "--model.hidden_sizes=[16]",
    "--convergence.max_epochs=10",
    "--search.num_iterations=3",
    "--search.num_samples=500",
    "--num_candidates=24",
]
pytestmark = pytest.mark.usefixtures("blank_pages")

SEARCHES = {
    "SearchModelUpdate": SMALL[3:],
    "GradientAscent": ["--search.num_iterations=2", "--search.num_steps=5", SMALL[-1]],
}

Fit = Callable[..., pd.DataFrame]


@pytest.fixture
def fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fit:
    monkeypatch.chdir(tmp_path)

    def run(table: pd.DataFrame, target: str, *more: str) -> pd.DataFrame:
        table.to_csv("table.csv", index=False)
        options = ["--data.path=table.csv", "--data.target", target]
        search = [] if any(option.startswith("--search=") for option in more) else SMALL[3:]
        main(["fit", "--config=my_data.yaml", *options, *SMALL[:3], *search, *more])
        found = pd.read_csv(next(Path("runs").rglob("candidates.csv")))
        assert len(found) == 24
        return found

    return run


def test_repeats_are_no_settings_and_stand_on_one_side(
    fit: Fit, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(5)
    ligand = np.repeat(np.arange(48), 4)
    effects = rng.normal(50, 15, 48)
    table = pd.DataFrame(
        {
            "ligand": [f"L{j:02d}" for j in ligand],
            "temp": np.repeat(rng.choice([40, 60, 80], 48), 4),
            "replicate": np.tile([1, 2, 3, 4], 48),
        }
    )
    table["yield"] = (effects[ligand] + rng.normal(0, 2, len(table))).round(1)
    found = fit(table, "yield", "--data.held_out_fraction=0.25")
    assert list(found)[-2:] == ["ligand", "temp"]
    history = pd.read_csv(next(Path("runs").rglob("trajectory.csv")))
    # Nothing but a ligand's own measurements says what it yields.
    assert history["held_out_rank_correlation"].abs().max() < 0.8
    printed = capsys.readouterr().out
    assert "'replicate' only tells apart rows of the same design" in printed
    assert "192 rows make 48 designs" in printed


def test_other_results_are_not_prescribed(fit: Fit, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(1)
    table = pd.DataFrame({"C": rng.uniform(0.2, 0.6, 120), "Mn": rng.uniform(0.4, 1.6, 120)})
    table = table.round(2)
    hardness = 150 + 250 * table["C"] + 40 * table["Mn"] + rng.normal(0, 8, 120)
    table["Fatigue Strength"] = (1.5 * hardness + rng.normal(0, 5, 120)).round()
    table["Hardness"] = hardness.round()
    table["Fatigue Strength (ksi)"] = (table["Fatigue Strength"] * 0.145).round(2)
    found = fit(table, "Fatigue Strength")
    assert list(found)[-3:] == ["C", "Mn", "Hardness"]
    printed = capsys.readouterr().out
    assert "'Fatigue Strength (ksi)' says the same as 'Fatigue Strength'" in printed
    assert "question: 'Hardness'" in printed
    assert '--data.other_results "Hardness"' in printed


def test_other_results_that_are_named(fit: Fit, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(1)
    table = pd.DataFrame(rng.uniform(size=(60, 2)).round(3), columns=["a", "b"])
    table["y"] = (table["a"] + rng.normal(0, 0.1, 60)).round(3)
    table["tensile, at 20 C"] = 1.0 * rng.integers(0, 9, 60)
    table["ee"] = rng.integers(0, 9, 60)
    found = fit(table, "y", '--data.other_results=["tensile, at 20 C", ee]')
    assert list(found)[-2:] == ["a", "b"]
    assert "question" not in capsys.readouterr().out


def test_what_follows_is_looked_up(fit: Fit, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(2)
    acids = {
        "KOAc": ("CC(=O)[O-].[K+]", 4.76),
        "KOPiv": ("CC(C)(C)C(=O)[O-].[K+]", 5.03),
        "CsOAc": ("CC(=O)[O-].[Cs+]", 4.75),
        "CsOPiv": ("CC(C)(C)C(=O)[O-].[Cs+]", 5.02),
    }
    table = pd.DataFrame({"base": rng.choice(list(acids), 120)})
    table["base_SMILES"] = [acids[base][0] for base in table["base"]]
    table["base_pKa"] = [acids[base][1] for base in table["base"]]
    table["temp"] = rng.uniform(60, 120, 120).round()
    noise = rng.normal(0, 3, 120)
    table["yield"] = 20 + 0.4 * (table["temp"] - 60) + 9 * (table["base"] == "KOPiv") + noise
    found = fit(table, "yield")
    assert list(found)[-4:] == ["base", "base_SMILES", "base_pKa", "temp"]
    assert [*zip(found["base_SMILES"], found["base_pKa"], strict=True)] == [
        acids[base] for base in found["base"]
    ]
    assert "'base_SMILES' and 'base_pKa' follow from 'base'" in capsys.readouterr().out


@pytest.mark.filterwarnings("ignore:the covariance of the search model had lost rank")
def test_sums_and_dummies_hold(fit: Fit, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(7)
    shares = rng.dirichlet(np.ones(5), 120).round(3)
    shares[:, 4] = (1 - shares[:, :4].sum(1)).round(3)
    metals = ["Sn", "Fe", "Co", "Ta", "Mn"]
    table = pd.DataFrame(shares, columns=metals)
    solvents = [f"solvent_{name}" for name in ("DMF", "THF", "toluene")]
    places = rng.integers(0, 3, 120)
    table[solvents] = np.eye(3, dtype=int)[places]
    table["hot"] = rng.integers(0, 2, 120)
    table["current"] = (4 * table["Fe"] * table["Co"] + rng.normal(0, 0.02, 120)).round(4)
    found = fit(table, "current")
    assert list(found)[-9:] == [*metals, *solvents, "hot"]
    np.testing.assert_allclose(found[metals].sum(axis=1), 1, atol=1e-6)
    assert (found[metals] >= 0).all(axis=None)
    assert (found[solvents].sum(axis=1) == 1).all()
    assert found[solvents].isin([0, 1]).all(axis=None)
    printed = capsys.readouterr().out
    assert "Sn + Fe + Co + Ta + Mn == 1 holds in every row" in printed
    assert "exactly one of 'solvent_DMF', 'solvent_THF' and 'solvent_toluene' is 1" in printed


@pytest.mark.filterwarnings("always:.*out of the bounds, steps or constraints")
def test_scales_values_and_spellings_are_kept(fit: Fit, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(6)
    table = pd.DataFrame({"pressure": (10 ** rng.uniform(-4, 2, 120)).round(6)})
    table["teeth"] = rng.choice([6, 7, 8, 9, 10, 14], 120)
    table[["dose a", "dose b"]] = rng.integers(0, 21, (120, 2)) * 5
    solvents = ["THF", "THF", "THF", "thf ", "DMF", "DMF  "]
    table["solvent"] = rng.choice(solvents, 120)
    table["y"] = (np.log10(table["pressure"]) + 0.1 * table["teeth"]).round(3)
    columns = """{pressure: {scale: log, lower: 0.00001}, teeth: {values: [6, 8, 10, 14]},
        "dose *": {kind: number, upper: 90}}"""
    found = fit(table, "y", "--data.columns", columns)
    assert (found["pressure"] >= 0.00001).all()
    assert (found["pressure"] > 100).any()
    assert found["teeth"].isin([6, 8, 10, 14]).all()
    assert found[["dose a", "dose b"]].max(axis=None) <= 90
    assert (found[["dose a", "dose b"]] % 1 != 0).any(axis=None)
    assert found["solvent"].isin(["THF", "DMF"]).all()
    out, err = capsys.readouterr()
    assert "of 120 designs of the table are out of the bounds, steps or constraints" in err
    printed = " ".join(out.split())
    assert "log scale; at least 1e-05" in printed
    assert "6 to 14; only 6, 8, 10, 14" in printed
    assert "'thf ' and 'DMF ' are taken for 'THF' and 'DMF'" in printed


@pytest.mark.parametrize("search", ["SearchModelUpdate", "GradientAscent"])
def test_letters_of_candidates(fit: Fit, search: str, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(8)
    words = ["".join(rng.choice([*"ACGTACGTN"], 7)) for _ in range(120)]
    table = pd.DataFrame({"dna": words})
    table["y"] = table["dna"].str.count("[GN]") + rng.normal(0, 0.1, 120).round(2)
    found = fit(table, "y", f"--search={search}", *SEARCHES[search])
    assert found["dna"].str.fullmatch("[ACGT]{7}").all()
    assert "no candidate has it" in capsys.readouterr().out


def test_a_flag_costs_no_rows(fit: Fit, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(4)
    table = pd.DataFrame(rng.uniform(size=(150, 2)).round(3), columns=["x", "z"])
    table["flag"] = np.where(rng.uniform(size=150) < 0.15, True, None)
    table["y"] = (table["x"] + rng.normal(0, 0.1, 150)).round(3)
    found = fit(table, "y")
    assert list(found)[-3:] == ["x", "z", "flag"]
    assert found["flag"].isin([True, False]).all()
    assert "150 designs" in capsys.readouterr().out
