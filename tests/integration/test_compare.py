"""A run's candidates are measured, compared, and the next run goes on with all rows."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy import stats

from lightning_mbo.main import main

FOLDER = Path("runs/my_data/version_0")
OWN = ["dose", "cycles", "solvent"]
SHORT = ["--search.num_iterations=2", "--search.num_samples=300", "--num_candidates=12"]
QUIET = "--trainer.enable_progress_bar=false"
pytestmark = pytest.mark.filterwarnings(
    "ignore:The number of training batches", "ignore:LightningCLI.s args parameter"
)


def truth(designs: pd.DataFrame) -> pd.Series:
    """To be made small: least at a dose of 60, many cycles, and in water."""
    away = ((designs["dose"] - 60) / 20) ** 2
    return 50 + 3 * away - designs["cycles"] + 4 * (designs["solvent"] != "water")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table, and beside it a run on it that made the loss small."""
    folder, rng = tmp_path_factory.mktemp("finished"), np.random.default_rng(0)
    table = pd.DataFrame({"dose": rng.uniform(20, 70, 60).round(1)})
    table["cycles"] = rng.integers(1, 12, 60)
    table["solvent"] = rng.choice(["water", "toluene"], 60)
    table["loss"] = (truth(table) + rng.normal(0, 0.5, 60)).round(2)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        table.to_csv("table.csv", index=False)
        options = ["--data.path=table.csv", "--data.target=loss", "--data.maximize=false"]
        main(["fit", "--config=my_data.yaml", QUIET, *options, *SHORT])
    return folder


@pytest.fixture(autouse=True)
def _here(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)


@pytest.fixture
def candidates() -> pd.DataFrame:
    return pd.read_csv(FOLDER / "candidates.csv")


def compare(capsys: pytest.CaptureFixture[str], *more: str) -> str:
    capsys.readouterr()
    main(["compare", f"--run={FOLDER}", "--measured=new.csv", *more])
    return capsys.readouterr().out


def refused(*words: str) -> str:
    with pytest.raises(SystemExit) as ending:
        main(["compare", *words])
    message = str(ending.value.code)
    assert message.startswith("error: ")
    assert "\n" not in message
    return message


def numbers(pattern: str, printed: str) -> list[float]:
    found = re.search(pattern.replace("#", r"(-?[\d.]+)"), printed)
    assert found, printed
    return [float(number) for number in found.groups()]


def files() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in FOLDER.iterdir() if path.is_file()}


def test_from_candidates_to_the_next_run(
    candidates: pd.DataFrame, capsys: pytest.CaptureFixture[str]
) -> None:
    # Bounds of another promise beside the run's own.
    margin = candidates["oracle_std"] * np.where(candidates.index % 2, 3.0, 0.1)
    candidates.insert(2, "lower_80", candidates["oracle_mean"] - margin)
    candidates.insert(3, "upper_80", candidates["oracle_mean"] + margin)
    candidates.to_csv(FOLDER / "candidates.csv", index=False)
    # The file that was handed out, filled in, with one made twice and one that nobody proposed.
    made = [0, 1, 2, 4, 7]
    filled = candidates.assign(loss=(truth(candidates) - 1).where(candidates.index.isin(made)))
    again = filled.iloc[[2]].assign(loss=filled["loss"][2] + 3)
    own = candidates.iloc[[5]].assign(dose=33.3, loss=55.5)
    pd.concat([filled, again, own]).to_csv("new.csv", index=False)
    before = files()
    printed = compare(capsys)

    measured = filled["loss"][made] + np.where(np.array(made) == 2, 1.5, 0)
    mean, std = candidates["oracle_mean"][made], candidates["oracle_std"][made]
    best = pd.read_csv("table.csv")["loss"].min()
    assert "5 of 12 candidates were measured, in 6 of 7 measured rows; 7 were not" in printed
    assert "7 rows have no loss and are left out" in printed
    assert "No candidate: data row 14, most similar to candidate" in printed
    correlation, rmse, error = numbers(
        "rank correlation #, RMSE #, measured less predicted # in the mean", printed
    )
    assert correlation == pytest.approx(stats.spearmanr(mean, measured).statistic, rel=1e-3)
    assert rmse == pytest.approx(np.sqrt(((measured - mean) ** 2).mean()), rel=1e-3)
    assert error == pytest.approx((measured - mean).mean(), rel=1e-3)
    assert numbers("# of 5 beat the best row of the table, #, where # were", printed) == [
        (measured < best).sum(),
        pytest.approx(best, rel=1e-3),
        pytest.approx(stats.norm.cdf((best - mean) / std).sum(), abs=0.051),
    ]
    bounds = [name for name in candidates if name.startswith(("lower_", "upper_"))]
    assert {"lower_80", "upper_80", "upper_95"} == {*bounds}
    for name in bounds:
        bound = candidates[name][made]
        sides = measured >= bound if name.startswith("lower") else measured <= bound
        assert numbers(f"{name} (?:held|did not hold): # of # measured", printed) == [
            sides.sum(),
            5,
        ]
    said = yaml.safe_load((FOLDER / "verdict.yaml").read_text())
    least, greatest = said["least_share"], said["greatest_share"]
    share = (measured < best).mean()
    held = "was too modest" if share > greatest else "came true"
    held = "was too good" if share < least else held
    assert f"The verdict, {said['verdict']}, {held}: {100 * share:.0f} % of the" in printed

    remaining = pd.read_csv(FOLDER / "remaining_candidates.csv")
    pd.testing.assert_frame_equal(remaining, candidates.drop(index=made).reset_index(drop=True))
    longer = pd.read_csv(FOLDER / "longer_table.csv")
    assert list(longer) == [*OWN, "loss"]
    pd.testing.assert_frame_equal(longer[:60], pd.read_csv("table.csv"))
    assert longer[60:][OWN].to_numpy().tolist() == (
        pd.concat([filled.iloc[made], again, own])[OWN].to_numpy().tolist()
    )
    assert (FOLDER / "comparison.png").stat().st_size > 0
    assert files().items() >= before.items()

    # The same again leaves the first files as they are.
    after = files()
    assert "comparison-2.png" in compare(capsys)
    assert files().items() > after.items()

    (command,) = re.findall("To go on: +python -m lightning_mbo (.*)", printed)
    main([*command.split(), QUIET])
    (following,) = {*FOLDER.parent.iterdir()} - {FOLDER}
    ranked = ["--candidates", f"{FOLDER}/remaining_candidates.csv"]
    main(["predict", "--ckpt_path", str(following), *ranked])
    anew = pd.read_csv(following / "predicted_candidates.csv")
    assert sorted(anew["dose"]) == sorted(remaining["dose"])
    assert set(anew["oracle_mean"]).isdisjoint(remaining["oracle_mean"])


def test_a_table_that_has_grown_is_no_longer_the_runs(
    candidates: pd.DataFrame, capsys: pytest.CaptureFixture[str]
) -> None:
    new = candidates[OWN].assign(loss=truth(candidates))[:3]
    longer = pd.concat([pd.read_csv("table.csv"), new])
    shutil.copy("table.csv", "old.csv")
    longer.to_csv("table.csv", index=False)
    longer.to_csv("new.csv", index=False)
    message = refused(f"--run={FOLDER}", "--measured=new.csv")
    assert "table.csv holds 3 of the run's 12 candidates by now: give the table as" in message
    printed = compare(capsys, "--data.path", "old.csv")
    assert "3 of 12 candidates were measured, in 3 of 3 measured rows" in printed
    assert "60 rows stand in old.csv and are left out" in printed
    assert len(pd.read_csv(FOLDER / "longer_table.csv")) == 63


def test_what_cannot_be_compared_is_one_line_with_the_way_out(candidates: pd.DataFrame) -> None:
    new = candidates[OWN].assign(loss=1.0)
    run = f"--run={FOLDER}"
    assert "give --run, the folder of a finished run" in refused("--measured=new.csv")
    assert "give --measured, the file of the new measurements" in refused(run)
    assert "new.csv is missing: --measured must name" in refused(run, "--measured=new.csv")
    assert "Did you mean --measured?" in refused(run, "--mesured=new.csv")
    assert "runs has no config.yaml and is no folder of a run" in refused(
        "--run=runs", "--measured=new.csv"
    )
    before = files()
    for rows, expected in (
        (new.drop(columns="loss"), "--measured: new.csv has no column 'loss'"),
        (new.drop(columns="dose"), "new.csv has no column 'dose'"),
        (new.assign(dose=1.5), "new.csv: none of its 12 measured rows is one of the 12 candidates"),
        (new.assign(loss=None), "new.csv: no row has a new loss"),
    ):
        rows.to_csv("new.csv", index=False)
        assert expected in refused(run, "--measured=new.csv")
    assert "nowhere.csv is missing: data.path" in refused(
        run, "--measured=new.csv", "--data.path=nowhere.csv"
    )
    assert files() == before
    (FOLDER / "candidates.csv").unlink()
    assert "has no candidates.csv: finish the run first" in refused(run, "--measured=new.csv")


def test_a_run_on_a_shipped_problem_has_no_table_to_go_on_with() -> None:
    main(["fit", "--config=toy.yaml", "--search.num_iterations=1", "--search.num_samples=100"])
    message = refused("--run=runs/toy/version_0", "--measured=table.csv")
    assert "compare is for a table of your own, with --data CSV:" in message
    assert "is a run on Toy" in message


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ending:
        main(["compare", "--help"])
    assert ending.value.code == 0
    printed = capsys.readouterr().out
    for option in ("--run", "--measured", "--trust", "--data.path"):
        assert option in printed
