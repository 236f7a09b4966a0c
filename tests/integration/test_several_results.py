"""A table of four results, two of which have limits and some gaps, from the file to the report."""

from __future__ import annotations

import contextlib
import io
import json
import re
import shutil
from html import unescape
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lightning_mbo.console import shown_number
from lightning_mbo.data import CSV
from lightning_mbo.errors import ConfigurationError
from lightning_mbo.main import main
from lightning_mbo.report.figures import read_image

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
    for iteration in (0, 1):
        line = rf"iteration {iteration}: advance's 80th percentile .*, \d+ % meet the limits, \d+ %"
        assert re.search(line, printed)
    for name in GOALS:
        assert f"\noracle of {name}: " in printed
        assert f"\nOracle of {name}: " in printed
    rows = f"{ROWS - GAPS} to {ROWS} rows"
    line = rf"rrors of .*(estimated from|in) {rows}"
    assert re.search(rf"\ne{line}", printed)
    assert re.search(rf"\nE{line}", printed)


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
    (event,) = board.Tensors("custom_scalars__config__")
    charts = event.tensor_proto.string_val[0].decode(errors="replace")
    assert all(f"design/results/{name}(_p80|_p20)?$" in charts for name in GOALS)


def text(page: str) -> str:
    """What is to be read, without the figures."""
    page = re.sub(r"<(svg|style).*?</\1>", " ", page, flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", page)).split())


def test_the_report_shows_each_result(candidates: pd.DataFrame) -> None:
    page = (FOLDER / "report.html").read_text()
    read = text(page)
    assert "Results: yield (maximize), ee (at least 80), cost (minimize), pH (5.5 to 6.5)" in read
    figures = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    for pair in combinations(["yield", "ee", "cost", "pH"], 2):
        assert any(all(f">{name} (" in figure for name in pair) for figure in figures)
    # All results side by side in one.
    assert any(all(f">{name}<" in figure for name in GOALS) for figure in figures)
    for name in GOALS:
        assert f">measured: {name}<" in page
        assert f"oracle of {name} share in iteration" in read
        assert re.search(rf"<h3[^>]*>{name}</h3>", page)
    table = pd.read_csv("table.csv").dropna()
    assert re.search(rf"Errors of .* {ROWS - GAPS} to {ROWS} rows", read)
    missed = {
        "ee: at least 80": table["ee"] < 80,
        "pH: 5.5 to 6.5": ~table["pH"].between(5.5, 6.5),
    }
    missed["one or more of these"] = missed["ee: at least 80"] | missed["pH: 5.5 to 6.5"]
    for limit, rows in missed.items():
        assert re.search(rf"{re.escape(limit)} {100 * rows.mean():.0f} % \d+ %", read), limit
    first = candidates.iloc[0]
    assert f"{first['ee_mean']:.4g}"[:3] in read
    assert f"{100 * first['probability_of_limits']:.0f} %" in read


def test_rows_of_candidates_may_be_appended(candidates: pd.DataFrame) -> None:
    measured = candidates.assign(**truth(candidates))
    table = pd.concat([pd.read_csv("table.csv"), measured])
    data = CSV(table, targets=GOALS)
    data.setup("fit")
    alone = CSV(pd.read_csv("table.csv"), targets=GOALS)
    alone.setup("fit")
    assert data.design_shape == alone.design_shape
    assert len(data.designs) == len(alone.designs) + NUMBER
    with pytest.raises(ConfigurationError, match="has a figure of this name"):
        CSV(table, targets=GOALS, columns={"ee_lower_95": "number"}).setup("fit")


def test_a_list_is_ranked_with_all_results(candidates: pd.DataFrame) -> None:
    listed = candidates[["temperature", "amount", "solvent"]].assign(**{"yield": np.nan})
    listed.to_csv("list.csv", index=False)
    main(["predict", f"--ckpt_path={FOLDER}/checkpoints/best.ckpt", "--candidates=list.csv"])
    found = pd.read_csv(FOLDER / "predicted_candidates.csv")
    assert len(found) == NUMBER
    assert "yield" not in found
    figures = [f"{name}_{side}_95" for name, sides in SIDES.items() for side in sides]
    both = found.merge(candidates, on=["temperature", "amount", "solvent"])
    assert len(both) == NUMBER
    for name in ["probability_of_limits", *figures, *(f"{name}_mean" for name in GOALS)]:
        np.testing.assert_allclose(both[f"{name}_x"], both[f"{name}_y"], rtol=1e-3)


def compare(capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    main(["compare", f"--run={FOLDER}", "--measured=new.csv"])
    return capsys.readouterr().out


def test_new_measurements_are_compared_result_by_result(
    candidates: pd.DataFrame, capsys: pytest.CaptureFixture[str]
) -> None:
    made = candidates.iloc[:6].assign(**truth(candidates.iloc[:6]))
    made.loc[5, "ee"] = np.nan
    made.to_csv("new.csv", index=False)
    printed = compare(capsys)
    assert f"6 of {NUMBER} candidates were measured" in printed
    whole = made.iloc[:5]
    errors = {name: made[name] - made[f"{name}_mean"] for name in GOALS}
    for name, error in errors.items():
        rmse = np.sqrt((error**2).mean())
        assert re.search(rf"measured {name}: .*RMSE {shown_number(rmse)},", printed)
        for side in SIDES[name]:
            bound = made[f"{name}_{side}_95"]
            held = made[name] >= bound if side == "lower" else made[name] <= bound
            total = made[name].notna().sum()
            assert re.search(rf"{name}_{side}_95 .*: {held.sum()} of {total} measured", printed)
    near = made["pH"].between(5.5, 6.5).sum()
    assert f"{near} of 6 have pH within its limits (5.5 to 6.5)" in printed
    met = (whole["pH"].between(5.5, 6.5) & (whole["ee"] >= 80)).sum()
    expected = whole["probability_of_limits"].sum()
    assert f"{met} of 5 meet all limits, where {expected:.1f} were expected to" in printed
    assert re.search(r"\d of 5 beat the best row of the table", printed)
    # A picture of each result, three in a row, and of the advance.
    assert read_image(FOLDER / "comparison.png").shape == (1500, 2700, 3)
    longer = pd.read_csv(FOLDER / "longer_table.csv")
    assert list(longer) == list(pd.read_csv("table.csv"))
    assert len(longer) == ROWS + 6
    np.testing.assert_allclose(longer[[*GOALS]].tail(6), made[[*GOALS]])


def test_a_file_that_lacks_a_result_is_refused_in_one_line(candidates: pd.DataFrame) -> None:
    candidates.assign(**truth(candidates)).drop(columns="cost").to_csv("new.csv", index=False)
    with pytest.raises(SystemExit) as ending:
        main(["compare", f"--run={FOLDER}", "--measured=new.csv"])
    message = str(ending.value.code)
    assert "cost" in message
    assert "new.csv" in message
    assert "\n" not in message


def test_an_oracle_that_tells_of_no_single_result_is_refused_in_one_line(
    candidates: pd.DataFrame,
) -> None:
    candidates.assign(**truth(candidates)).to_csv("new.csv", index=False)
    names = [name for name in candidates if name.startswith(tuple(f"{one}_" for one in GOALS))]
    candidates.drop(columns=names).to_csv(FOLDER / "candidates.csv", index=False)
    with pytest.raises(SystemExit) as ending:
        main(["compare", f"--run={FOLDER}", "--measured=new.csv"])
    message = str(ending.value.code)
    assert "its oracle predicts what all results come to and none of them" in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("config", "options", "tells_of_each"),
    [
        ("rwr.yaml", ["--model=GaussianProcess", "--search.num_iterations=1"], True),
        ("fb.yaml", ["--model=GaussianProcess", "--search.num_iterations=1"], True),
        ("grad_mean.yaml", ["--search.num_steps=3"], False),
        ("coms.yaml", ["--search.num_steps=3"], False),
    ],
)
def test_other_searches_go_by_the_advance(
    config: str, options: list[str], tells_of_each: bool
) -> None:
    data = ["--data=CSV", "--data.path=table.csv", f"--data.targets={json.dumps(GOALS)}"]
    if not tells_of_each:
        options = [*options, "--convergence.max_epochs=2"]
    main(["fit", f"--config={config}", *data, *options, "--num_candidates=4"])
    found = pd.read_csv(Path("runs") / Path(config).stem / "version_0/candidates.csv")
    assert len(found) == 4
    assert found["oracle_mean"].is_monotonic_decreasing or tells_of_each
    assert ("yield_mean" in found) == ("probability_of_limits" in found) == tells_of_each


def test_one_target_may_have_a_range(capsys: pytest.CaptureFixture[str]) -> None:
    """From the command line, of the one-dimensional example and of a table."""
    options = ["--search.num_iterations=1", "--search.num_samples=100", "--num_candidates=4"]
    known = ["--data=KnownFunction", "--data.function=toy-range", "--data.num_designs=40"]
    main(["fit", "--config=my_data.yaml", "--model=GaussianProcess", *known, *options])
    printed = capsys.readouterr().out
    assert "y: 0.5 to 0.7; measured" in printed
    assert re.search(r"\d+ % of the 4 candidates should meet all limits", printed)
    columns = ["--data.other_results=ee, pH", "--data.target=yield", "--data.maximize=false"]
    limits = ["--data.path=table.csv", '--data.targets={cost: "10 to 30"}']
    main(["fit", "--config=my_data.yaml", "--model=GaussianProcess", *columns, *limits, *options])
    printed = capsys.readouterr().out
    assert "yield: minimize; measured" in printed
    assert "cost: 10 to 30; measured" in printed
