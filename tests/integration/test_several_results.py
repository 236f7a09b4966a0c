"""A table of four results, two of which have limits and some gaps, from the file to the report."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lightning_mbo.main import main

FOLDER = Path("runs/my_data/version_0")
GOALS = {"yield": "maximize", "ee": ">= 80", "cost": "minimize", "pH": "near 6 +- 0.5"}
SIDES = {"yield": ["lower"], "ee": ["lower"], "cost": ["upper"], "pH": ["lower", "upper"]}
ROWS, NUMBER, GAPS = 70, 12, 8
SHORT = ["--search.num_iterations=2", "--search.num_samples=300", f"--num_candidates={NUMBER}"]
pytestmark = pytest.mark.filterwarnings(
    "ignore:The number of training batches", "ignore:LightningCLI.s args parameter"
)


def truth(designs: pd.DataFrame) -> pd.DataFrame:
    """Much yield is hot and dear, and what is hot is impure."""
    heat, amount = (designs["temperature"] - 20) / 100, designs["amount"]
    catalyst = designs["solvent"] == "water"
    return pd.DataFrame(
        {
            "yield": 70 * np.exp(-3 * (heat - 0.7) ** 2) * amount / 2 + 4 * catalyst,
            "ee": 95 - 40 * heat**2,
            "cost": 20 * amount + 10 * heat,
            "pH": 5 + amount - heat / 2,
        }
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of a run, and what it printed."""
    folder, rng = tmp_path_factory.mktemp("finished"), np.random.default_rng(0)
    table = pd.DataFrame({"temperature": rng.uniform(20, 120, ROWS).round(1)})
    table["amount"] = rng.uniform(0.1, 2, ROWS).round(2)
    table["solvent"] = rng.choice(["water", "toluene"], ROWS)
    noise = rng.normal(0, [1, 1, 0.5, 0.05], (ROWS, 4))
    table = pd.concat([table, (truth(table) + noise).round(2)], axis=1)
    table.loc[rng.choice(ROWS, GAPS, replace=False), "ee"] = np.nan
    with pytest.MonkeyPatch.context() as patch, io.StringIO() as printed:
        patch.chdir(folder)
        table.to_csv("table.csv", index=False)
        options = ["--data.path=table.csv", f"--data.targets={json.dumps(GOALS)}"]
        with contextlib.redirect_stdout(printed):
            main(["fit", "--config=my_data.yaml", *options, *SHORT])
        return folder, printed.getvalue()


@pytest.fixture(autouse=True)
def _here(finished: tuple[Path, str], tmp_path: Path) -> None:
    shutil.copytree(finished[0], tmp_path, dirs_exist_ok=True)


@pytest.fixture
def candidates() -> pd.DataFrame:
    return pd.read_csv(FOLDER / "candidates.csv")


def test_every_candidate_has_all_results(candidates: pd.DataFrame) -> None:
    figures = [
        f"{name}_{figure}"
        for name, sides in SIDES.items()
        for figure in ("mean", "std", *(f"{side}_95" for side in sides))
    ]
    nearest = ["nearest_row", *(f"nearest_{name}" for name in GOALS)]
    own = ["temperature", "amount", "solvent"]
    assert list(candidates)[list(candidates).index("lower_95") + 1 :] == [
        *figures,
        "probability_of_limits",
        *nearest,
        *own,
    ]
    assert len(candidates) == NUMBER
    assert candidates["probability_of_limits"].between(0, 1).all()
    for name, sides in SIDES.items():
        mean, std = candidates[f"{name}_mean"], candidates[f"{name}_std"]
        assert (std > 0).all()
        for side in sides:
            away = (mean - candidates[f"{name}_{side}_95"]) * (1 if side == "lower" else -1)
            assert (away > std).all()
    # In the user's units: what is predicted is about what is true.
    errors = candidates[[f"{name}_mean" for name in GOALS]].to_numpy() - truth(candidates)
    assert (errors.abs().mean() < [6, 4, 2, 0.3]).all()


def test_the_nearest_row_is_shown_with_all_that_was_measured(candidates: pd.DataFrame) -> None:
    table = pd.read_csv("table.csv")
    for name in GOALS:
        rows = table[name].iloc[candidates["nearest_row"] - 1]
        assert candidates[f"nearest_{name}"].tolist() == rows.tolist()


def test_what_is_printed(finished: tuple[Path, str]) -> None:
    printed = finished[1]
    columns = printed[: printed.index("yield: maximize")]
    cells = [[c.strip() for c in line.strip("│").split("│")] for line in columns.splitlines()]
    kinds = {row[0]: row[1:] for row in cells if len(row) == 4}
    assert [name for name, row in kinds.items() if row[0] == "target"] == list(GOALS)
    assert "advance" not in kinds
    assert kinds["ee"][1].endswith("; at least 80")
    assert kinds["ee"][2] == str(GAPS)
    assert kinds["pH"][1].endswith("; 5.5 to 6.5")
    assert "advance: how far all results together lie beyond the rows" in printed
    assert f"The best of {NUMBER} candidates: yield, ee, cost, pH" in printed
    header = next(line for line in printed.splitlines() if line.startswith("┃ rank"))
    shown = [cell.strip() for cell in header.strip("┃").split("┃")]
    assert shown[:7] == ["rank", "advance", *GOALS, "limits"]
    assert shown[-1] == "nearest row"
    assert "Best training label" not in printed


def test_every_iteration_has_its_results() -> None:
    rows = pd.read_csv(FOLDER / "trajectory.csv")
    named = ["results/yield_p80", "results/ee_p80", "results/cost_p20"]
    for name in GOALS:
        assert rows[f"results/{name}"].notna().all()
    assert (rows["results/yield_p80"] > rows["results/yield"]).all()
    assert (rows["results/cost_p20"] < rows["results/cost"]).all()
    assert "results/pH_p80" not in rows
    assert (rows["beyond_front"] <= rows["limits_met"]).all()
    assert rows["limits_met"].iloc[-1] > rows["limits_met"].iloc[0]
    board = EventAccumulator(str(FOLDER))
    board.Reload()
    curves = {f"design/{name}" for name in (*named, "results/pH", "limits_met", "beyond_front")}
    assert curves <= set(board.Tags()["scalars"])
