"""What the READMEs show does what they say: every code block and command line of theirs is run."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from lightning_mbo.benchmark.fit_options import FitOptions
from lightning_mbo.cli import main
from lightning_mbo.tabular.column_options import parse_columns
from tests.integration.conftest import SUBSET
from tests.readmes import ROOT, Section, all_sections, named_blocks, section

TABULAR = "lightning_mbo/tabular/README.md"
SHORT = ["--convergence.max_epochs=3", "--trainer.enable_progress_bar=false"]
FEW = ["--search.num_samples=300", "--search.num_iterations=2"]
SMALL_DATA = ["--data.path=train.csv", "--data.cache_dir=cache", "--data.num_features=8"]
ONE_PROBLEM = ["--only=mixed, 50 rows", "--num_trials=1", "--num_processes=1", *FEW]
ONE_METHOD = ['--methods={"CbAS": "cbas.yaml"}', "--num_trials=1", "--num_processes=1"]
SMALL_RUNS = ["--data.num_designs=500", "--model.hidden_sizes=[16]", *FEW, *SHORT]

# `.ci/run` makes the environments; what TensorBoard shows, nobody reads here.
NOT_RUN = ("python3", ".venv/bin/tensorboard")

pytestmark = [
    pytest.mark.skipif(not (ROOT / "README.md").is_file(), reason="the package is not a checkout"),
    # What becomes of a search with so few samples, and what Lightning says of so few batches.
    pytest.mark.filterwarnings("ignore:the covariance of the search model had lost rank"),
    pytest.mark.filterwarnings("ignore:The number of training batches"),
    pytest.mark.filterwarnings("ignore:LightningCLI.s args parameter"),
]


@pytest.fixture(autouse=True)
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pd.DataFrame:
    """The tables, configs and files that the READMEs speak of, in a folder of their own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    rng = np.random.default_rng(0)
    temperature, concentration = rng.uniform(20, 100, 80).round(), rng.uniform(0, 2.5, 80)
    frame = pd.DataFrame(
        {
            "temperature": temperature - temperature % 5,
            "concentration": concentration,
            "hours": rng.integers(1, 25, 80),
            "solvent": rng.choice(["water", "ethanol"], 80),
            "operator": rng.choice(["A", "B"], 80),
        }
    )
    frame["yield"] = frame["temperature"] / 2 - (concentration - 2) ** 2 + rng.normal(size=80)
    frame.to_csv("designs.csv", index=False)
    results = frame.drop(columns="operator").assign(
        ee=95 - 40 * ((temperature - 20) / 100) ** 2 + rng.normal(size=80),
        cost=8 * concentration + frame["hours"] / 2 + rng.normal(size=80),
        pH=5 + concentration / 2 + rng.normal(0, 0.1, 80),
    )
    results.loc[::9, "ee"] = np.nan
    results.to_csv("results.csv", index=False)
    solvents = {"solvent": ["water", "ethanol", "acetone"], "boiling_point": [100, 78, 56]}
    pd.DataFrame(solvents).to_csv("solvents.csv", index=False)
    catalogue = frame.drop(columns="yield").sample(40, random_state=0)
    catalogue["concentration"] = rng.uniform(0, 2.5, 40)
    catalogue.assign(number=range(1, 41)).to_csv("catalogue.csv", index=False)
    _published_sequences(rng)
    pd.read_csv(SUBSET).iloc[::20].to_csv("train.csv", index=False)
    Path("my_rules.py").write_text(
        "def can_be_made(designs):\n    return designs['concentration'] <= 2.5\n"
    )
    for name, content in named_blocks().items():
        Path(name).write_text(content)
    return frame


def _published_sequences(rng: np.random.Generator) -> None:
    """Made-up rows of the layout of two published files."""
    parent, rows = "MSKGEELFTGVVPILVELDGDVNGHKFSVSGE", []
    for _ in range(60):
        place, letter = rng.integers(1, len(parent)), rng.choice(list("ACDEFGHIKLMNPQRSTVWY"))
        word = parent[:place] + letter + parent[place + 1 :]
        rows.append((f"{parent[place]}{place + 1}{letter}", word, rng.normal(3, 1)))
    gfp = pd.DataFrame(rows, columns=["mutant", "mutated_sequence", "DMS_score"])
    gfp["DMS_score_bin"] = (gfp["DMS_score"] > 3).astype(int)
    gfp.to_csv("GFP_AEQVI_Sarkisyan_2016.csv", index=False)
    reads = rng.integers(1, 200, (60, 14))
    utr = pd.DataFrame({"utr": ["".join(word) for word in rng.choice(list("ACGT"), (60, 50))]})
    utr = utr.join(pd.DataFrame(reads, columns=[str(i) for i in range(14)]))
    shares = pd.DataFrame(reads / reads.sum(1, keepdims=True), columns=[f"r{i}" for i in range(14)])
    utr = utr.join(shares).assign(rl=rng.uniform(2, 9, 60), total_reads=reads.sum(1))
    utr.to_csv("GSM3130435_egfp_unmod_1.csv.gz")


Check = Callable[[dict[str, Any], pd.DataFrame], None]
CHECKS: dict[tuple[str, str], Check] = {}
"""What is to be found when a section has been run, beside that nothing has failed."""


def after(page: str, title: str) -> Callable[[Check], Check]:
    def add(check: Check) -> Check:
        CHECKS[page, title] = check
        return check

    return add


def shortened(words: list[str]) -> list[str]:
    """A command, with options by which it takes seconds."""
    if words[0] == "benchmark" and "trust.yaml" in words:
        return [*words, *ONE_PROBLEM]
    if words[0] == "benchmark":
        data = SMALL_DATA[1:] if "--data.path" in words else SMALL_DATA
        return [*words, *data, *SMALL_RUNS, *ONE_METHOD]
    if words[0] != "fit" or "--help" in words:
        return words
    data = SMALL_DATA if "cbas_af.yaml" in words else []
    if any(
        word.startswith(("ant", "coms", "dkitty", "grad", "nemo", "quadratic", "ram"))
        for word in words
    ):
        return [*words, *data, *SHORT, "--search.num_steps=2"]
    return [*words, *data, *SHORT, *([] if "PoolSearch" in words else FEW)]


def run_command(words: list[str]) -> None:
    try:
        main(words)
    except SystemExit as stop:
        if stop.code:
            raise


def run(part: Section) -> dict[str, Any]:
    """Run all that a section shows, in order; returns what its Python has made."""
    found: dict[str, Any] = {}
    for language, content in part.blocks:
        named = content.partition("\n")[0].removeprefix("# ") in named_blocks()
        if language == "bash":
            for line in content.splitlines():
                words = shlex.split(line, comments=True)
                words = words[1:] if words[:1] == ["srun"] else words
                if words and words[0] == "lightning-mbo":
                    run_command(shortened(words[1:]))
                else:
                    assert not words or words[0] in NOT_RUN, line
        elif language == "python" and not named:
            exec(content.replace("num_iterations=10", "num_iterations=2, num_samples=300"), found)
        else:
            assert named or language == "text", f"what is {content}"
    return found


WITH_CODE = [each for each in all_sections() if {name for name, _ in each.blocks} - {"text"}]


@pytest.mark.usefixtures("in_one_process")
@pytest.mark.parametrize("part", WITH_CODE, ids=lambda part: f"{part.page} {part.title}")
def test_what_is_shown_runs(
    part: Section, table: pd.DataFrame, request: pytest.FixtureRequest
) -> None:
    if part.title != "Your own table, in five minutes":
        request.getfixturevalue("blank_pages")
    found = run(part)
    if check := CHECKS.get((part.page, part.title)):
        check(found, table)


def test_every_check_is_of_a_section() -> None:
    assert set(CHECKS) <= {(part.page, part.title) for part in WITH_CODE}


@after("README.md", "Your own table, in five minutes")
def _a_table_of_ones_own(found: dict[str, Any], table: pd.DataFrame) -> None:
    (folder,) = Path("runs/my_data").iterdir()
    candidates = pd.read_csv(folder / "candidates.csv")
    assert len(candidates) == 24
    assert list(candidates)[-7:-5] == ["nearest_row", "nearest_yield"]
    assert list(candidates)[-5:] == list(table)[:-1]
    assert (folder / "report.html").is_file()


@after("README.md", "Resuming")
def _a_config_of_ones_own(found: dict[str, Any], table: pd.DataFrame) -> None:
    candidates = pd.read_csv("runs/mine/version_0/candidates.csv")
    assert len(candidates) == 24
    assert "operator" not in candidates
    assert set(candidates["temperature"]) <= set(range(20, 121, 5))
    assert candidates["hours"].between(1, 48).all()
    assert set(candidates["solvent"]) == {"ethanol"}
    assert (candidates["temperature"] + 10 * candidates["concentration"] <= 130).all()
    assert (candidates["concentration"] <= 2.5).all()


@after("README.md", "Several results at once")
def _several_results(found: dict[str, Any], table: pd.DataFrame) -> None:
    candidates = pd.read_csv("runs/my_data/version_0/candidates.csv")
    assert len(candidates) == 24
    for name in ("yield", "ee", "cost", "pH"):
        assert {f"{name}_mean", f"{name}_std", f"nearest_{name}"} <= set(candidates)
    assert candidates["probability_of_limits"].between(0, 1).all()
    rows = pd.read_csv("runs/my_data/version_0/trajectory.csv")
    assert {"results/yield_p80", "results/cost_p20", "limits_met", "beyond_front"} <= set(rows)


@after("README.md", "From Python")
def _the_example_in_python(found: dict[str, Any], table: pd.DataFrame) -> None:
    candidates = found["candidates"]
    assert len(candidates) == 24
    assert candidates["oracle_mean"].is_monotonic_decreasing
    assert list(candidates)[-5:] == list(table)[:-1]
    written = pd.read_csv("lightning_logs/version_0/candidates.csv")
    pd.testing.assert_frame_equal(candidates, written)
    assert {path.name for path in Path("lightning_logs/version_0").iterdir()} >= {
        "report.html",
        "trajectory.csv",
        "trajectory.png",
    }


@after("callbacks/README.md", "In Python")
def _callbacks_in_python(found: dict[str, Any], table: pd.DataFrame) -> None:
    folder = Path("lightning_logs/version_0")
    assert np.isfinite(pd.read_csv(folder / "trajectory.csv")["novelty"]).all()
    assert {path.name for path in folder.rglob("*.ckpt")} == {"best.ckpt", "last.ckpt"}


@after(TABULAR, "Levels that no row has")
def _an_unseen_level(found: dict[str, Any], table: pd.DataFrame) -> None:
    candidates = pd.read_csv("runs/my_data_additive/version_0/candidates.csv")
    levels = candidates.groupby("solvent")["oracle_std"].mean()
    assert {"acetone"} < {*levels.index} <= {"acetone", "ethanol", "water"}
    assert levels["acetone"] < 2 * levels.min()


@after(TABULAR, "A list of your own")
def _a_list_of_ones_own(found: dict[str, Any], table: pd.DataFrame) -> None:
    ranked, batch = (
        pd.read_csv(f"runs/my_data/version_0/{name}candidates.csv") for name in ("", "predicted_")
    )
    assert sorted(ranked["number"]) == list(range(1, 41))
    assert len(batch) == 24
    numbers = pd.read_csv("catalogue.csv")["number"]
    expected = ranked.set_index("number").loc[numbers]["oracle_mean"]
    np.testing.assert_allclose(found["predicted"]["oracle_mean"], expected, rtol=1e-4)
    np.testing.assert_allclose(found["prediction"].mean, expected, rtol=1e-4)


@after("configs/README.md", "")
def _every_command(found: dict[str, Any], table: pd.DataFrame) -> None:
    (folder,) = Path("runs/cbas_af").iterdir()
    assert len(pd.read_csv(folder / "predicted_candidates.csv")) == 50
    assert (folder / "scores.csv").is_file()


@after("lightning_mbo/importance/README.md", "In one picture")
def _one_picture(found: dict[str, Any], table: pd.DataFrame) -> None:
    assert Path("runs/toy_af/version_0/search.png").is_file()


@after("lightning_mbo/oracles/README.md", "Gradient ascent and conservative oracles")
def _an_ascent(found: dict[str, Any], table: pd.DataFrame) -> None:
    names = {path.name for path in Path("runs/quadratic/version_0").iterdir()}
    assert {"ascent.csv", "ascent.png", "ascent_plane.png"} <= names


@after("lightning_mbo/benchmark/README.md", "Is the evidence right?")
def _what_became_of_a_batch(found: dict[str, Any], table: pd.DataFrame) -> None:
    (row,) = pd.read_csv("runs/trust/rows.csv").to_dict("records")
    assert row["method"] == "mixed, 50 rows"
    page = (ROOT / "lightning_mbo" / "benchmark" / "README.md").read_text()
    _, _, told = page.partition("| column of `rows.csv` | meaning |")
    named = re.findall(r"`([a-z_]+)`", "".join(re.findall(r"^\|([^|]*)\|", told, re.MULTILINE)))
    assert len(named) == 12
    assert set(named) <= set(row)
    assert Path("runs/trust/reliability.png").is_file()


@after("lightning_mbo/benchmark/README.md", "")
def _results_of_a_benchmark(found: dict[str, Any], table: pd.DataFrame) -> None:
    names = {path.name for path in Path("runs/table1").iterdir()}
    assert {"rows.csv", "tables.md", "averages.csv", "differences.csv", "trajectories"} <= names
    assert len(pd.read_csv("runs/table1/rows.csv")) == 4


OWN = {
    "lightning_mbo/oracles/README.md": "my_oracle.LinearEnsemble",
    "lightning_mbo/search_models/README.md": "my_search_model.IndependentNormal",
    "lightning_mbo/algorithms/README.md": "my_algorithm.UpperBound",
    "callbacks/README.md": "my_callback.Novelty",
}


def _classes_of_ones_own(used: str) -> Check:
    def check(found: dict[str, Any], table: pd.DataFrame) -> None:
        (folder,) = Path("runs/mine").iterdir()
        candidates = pd.read_csv(folder / "candidates.csv")
        assert np.isfinite(candidates["oracle_mean"]).all()
        assert f"class_path: {used}\n" in (folder / "config.yaml").read_text()
        trajectory = pd.read_csv(folder / "trajectory.csv")
        assert ("novelty" in trajectory) == (used == "my_callback.Novelty")

    return check


@after(TABULAR, "Published sequences")
def _sequences_as_published(found: dict[str, Any], table: pd.DataFrame) -> None:
    for version, (name, length) in enumerate([("mutated_sequence", 32), ("utr", 50)]):
        candidates = pd.read_csv(f"runs/sequences/version_{version}/candidates.csv")
        assert list(candidates)[-1] == name
        assert (candidates[name].str.len() == length).all()


CHECKS |= {(page, "Your own"): _classes_of_ones_own(used) for page, used in OWN.items()}

CHOICES = [row[1].strip("`") for row in section("README.md", "Which config for which problem").rows]


@pytest.mark.usefixtures("blank_pages")
@pytest.mark.parametrize("choice", CHOICES)
def test_every_config_takes_a_table(choice: str, table: pd.DataFrame) -> None:
    if choice.startswith("sequences"):
        letters = np.random.default_rng(1).choice(list("ACGT"), (80, 6))
        words = ["".join(row) for row in letters]
        table = pd.DataFrame({"word": words, "yield": (letters == "A").mean(1)})
        table.to_csv("designs.csv", index=False)
    options = ["--data.path=designs.csv", "--data.target=yield", "--num_candidates=5"]
    main(shortened(["fit", "--config", *choice.split(), *options]))
    (path,) = Path("runs").rglob("candidates.csv")
    candidates = pd.read_csv(path)
    assert len(candidates) == 5
    assert set(table.columns) - {"yield"} <= set(candidates)


@pytest.fixture(scope="module")
def options() -> FitOptions:
    return FitOptions()


FLAGS = [row[0] for row in section("configs/README.md", "Flags").rows]


@pytest.mark.parametrize("flags", FLAGS)
def test_every_flag_is_an_option_of_fit(flags: str, options: FitOptions) -> None:
    words = [word for span in re.findall("`(.*?)`", flags) for word in span.split()]
    assert options.plain(["--config=cbas_af.yaml", *words])


SAID = [
    ("README.md", "Your own table, in five minutes"),
    (TABULAR, "What your table has, and what you say"),
]
ANSWERS = [row for page, title in SAID for row in section(page, title).rows]


@pytest.mark.parametrize("row", ANSWERS, ids=lambda row: row[0][:40])
def test_what_is_said_of_a_table_is_understood(row: list[str], options: FitOptions) -> None:
    for span in re.findall("`([^`]+)`", row[1]):
        if span.startswith("--") and " " in span:
            assert options.plain(["--config=my_data.yaml", *shlex.split(span)])
        elif span.startswith(("columns: ", "{")):
            said = yaml.safe_load(span.replace("...", ""))
            assert parse_columns(said.get("columns", said))
