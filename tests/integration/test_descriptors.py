"""Design runs on tables of which the best level of a category is in no row."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lightning_mbo.cli import main

BOILING_POINTS = {
    "hexane": 69.0,
    "ethanol": 78.0,
    "dioxane": 101.0,
    "toluene": 111.0,
    "butanol": 117.0,
    "anisole": 134.0,
    "DMF": 153.0,
    "mesitylene": 165.0,
    "DMSO": 189.0,
}
"""In °C; of anisole less than it is, so that it is amid the others."""

BEST = "anisole"
BOUNDED = "--data.columns={temp: {lower: 20, upper: 100}}"
DESCRIBED = "--data.columns.solvent={descriptors: solvents.csv}"


def truth(frame: pd.DataFrame) -> pd.Series:
    """Best at 135 °C."""
    degrees = frame["solvent"].map(BOILING_POINTS)
    return 0.1 * frame["temp"].clip(upper=100) - 8 * ((degrees - 135) / 30) ** 2


@pytest.fixture(autouse=True)
def table() -> pd.DataFrame:
    """90 rows, none of them of the best solvent."""
    rng = np.random.default_rng(0)
    others = [name for name in BOILING_POINTS if name != BEST]
    frame = pd.DataFrame({"temp": rng.uniform(20, 100, 90), "solvent": rng.choice(others, 90)})
    frame["yield"] = truth(frame) + 0.3 * rng.normal(size=90)
    frame.to_csv("table.csv", index=False)
    solvents = pd.Series(BOILING_POINTS, name="boiling_point").rename_axis("solvent")
    solvents.to_csv("solvents.csv")
    return frame


def fit(config: str, *more: str) -> Path:
    root = f"--trainer.default_root_dir=runs{len([*Path().glob('runs*')])}"
    options = ["--data.path=table.csv", "--data.target=yield", "--num_candidates=12"]
    options += ["--trainer.enable_progress_bar=false"]
    if "--search=GradientAscent" not in more:
        options += ["--search.num_samples=500"]
    main(["fit", f"--config={config}.yaml", *options, BOUNDED, root, *more])
    return max(Path().glob(f"runs*/{config}/version_0"))


@pytest.mark.parametrize("config", ["cbas_gp", "my_data_additive"])
def test_the_best_level_is_found_although_no_row_has_it(
    config: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with_descriptors, without = fit(config, DESCRIBED), fit(config)
    found = pd.read_csv(with_descriptors / "candidates.csv")
    best = found[found["solvent"] == BEST]
    assert BEST in set(found.head(4)["solvent"])
    # Of labels that go from -37 to 8.
    assert (best["oracle_mean"] - truth(best)).abs().max() < 2
    assert BEST not in set(pd.read_csv(without / "candidates.csv")["solvent"])
    assert "in 'solvent' no row has 'anisole'" in capsys.readouterr().out
    report = (with_descriptors / "report.html").read_text()
    assert "described by boiling_point" in report
    assert "described by" not in (without / "report.html").read_text()


@pytest.mark.usefixtures("blank_pages")
def test_a_list_of_unseen_levels_is_ranked(table: pd.DataFrame) -> None:
    run = fit("cbas_gp", DESCRIBED, "--search.num_iterations=1")
    listed = pd.DataFrame({"temp": 90.0, "solvent": [*BOILING_POINTS]})
    listed.to_csv("list.csv", index=False)
    main(["predict", f"--ckpt_path={run}", "--candidates=list.csv"])
    ranked = pd.read_csv(run / "predicted_candidates.csv")
    assert ranked["solvent"][0] == BEST
    assert ranked["solvent"].tolist()[-1] == "hexane"
    listed.assign(solvent="water").to_csv("other.csv", index=False)
    with pytest.raises(SystemExit, match="column 'solvent', data row 1: 'water' is no level"):
        main(["predict", f"--ckpt_path={run}", "--candidates=other.csv"])


@pytest.mark.usefixtures("blank_pages")
def test_a_run_does_not_go_on_with_other_descriptors() -> None:
    run = fit("cbas_gp", DESCRIBED, "--search.num_iterations=1")
    content = Path("solvents.csv").read_text()
    more = [f"--ckpt_path={run}/checkpoints/last.ckpt", "--search.num_iterations=2"]
    Path("solvents.csv").write_text(content.replace("153", "154"))
    with pytest.raises(SystemExit, match="with other training data"):
        fit("cbas_gp", DESCRIBED, *more)
    Path("solvents.csv").write_text(content)
    fit("cbas_gp", DESCRIBED, *more)


@pytest.mark.usefixtures("blank_pages")
def test_a_level_between_others_is_designed_and_predicted_between_them(
    table: pd.DataFrame,
) -> None:
    rng = np.random.default_rng(1)
    table["grade"] = rng.choice(["low", "high"], len(table))
    table["yield"] += 6.0 * (table["grade"] == "high")
    table.to_csv("table.csv", index=False)
    grades = "--data.columns.grade={levels: [low, medium, high], ordered: true}"
    run = fit("cbas_gp", grades, "--search.num_iterations=1")
    listed = pd.DataFrame({"temp": 60.0, "solvent": "DMF", "grade": ["medium", "low", "high"]})
    listed.to_csv("list.csv", index=False)
    main(["predict", f"--ckpt_path={run}", "--candidates=list.csv"])
    ranked = pd.read_csv(run / "predicted_candidates.csv")
    assert ranked["grade"].tolist() == ["high", "medium", "low"]
    assert ranked["oracle_mean"].diff().iloc[1:].between(-5, -1).all()


SHORT = ["--convergence.max_epochs=3", "--search.num_iterations=2"]
OTHERS = {
    "DeepEnsemble": SHORT,
    "NormalizedLikelihoodModel": SHORT,
    "RankingEnsemble": SHORT,
    "RegressionEnsemble": SHORT,
    "ConservativeObjectiveModel": SHORT,
    "KernelRidge": SHORT,
    "TreeEnsemble": SHORT,
    "GaussianProcess": ["--search=GradientAscent", "--search.num_steps=5"],
}


@pytest.mark.usefixtures("blank_pages")
@pytest.mark.parametrize("model", OTHERS)
def test_every_oracle_goes_with_descriptors(model: str) -> None:
    config = "cbas_gp" if model == "GaussianProcess" else "my_data"
    run = fit(config, DESCRIBED, f"--model={model}", *OTHERS[model])
    found = pd.read_csv(run / "candidates.csv")
    assert len(found) == 12
    assert np.isfinite(found["oracle_mean"]).all()
