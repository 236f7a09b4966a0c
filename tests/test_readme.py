"""What the README shows does what it says."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

import lightning_mbo
from lightning_mbo.cli import main

ROOT = Path(lightning_mbo.__file__).parents[1]
SMALL = [
    "--search.num_samples=300",
    "--search.num_iterations=2",
    "--convergence.max_epochs=3",
    "--trainer.enable_progress_bar=false",
]

pytestmark = [
    pytest.mark.skipif(not (ROOT / "README.md").is_file(), reason="the package is not a checkout"),
    # What becomes of a search with so few samples, and what Lightning says of so few batches.
    pytest.mark.filterwarnings("ignore:the covariance of the search model had lost rank"),
    pytest.mark.filterwarnings("ignore:The number of training batches"),
]


def readme() -> str:
    return (ROOT / "README.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    (text,) = re.findall(rf"^## {title}\n(.*?)(?=^## )", readme(), flags=re.DOTALL | re.MULTILINE)
    return text


def blocks(language: str, text: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.DOTALL | re.MULTILINE)


def commands(text: str) -> list[list[str]]:
    lines = [line for block in blocks("bash", text) for line in block.splitlines()]
    words = [shlex.split(line, comments=True) for line in lines]
    return [line[1:] for line in words if line[0] == "lightning-mbo"]


@pytest.fixture(autouse=True)
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pd.DataFrame:
    """The table, the config and the files of the README, in a folder of their own."""
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
    Path("my_rules.py").write_text(
        "def can_be_made(designs):\n    return designs['concentration'] <= 2.5\n"
    )
    (config,) = blocks("yaml", section("Your own table, in five minutes"))
    Path("mine.yaml").write_text(config)
    for block in blocks("python", section("Adding your own")):
        Path(re.match(r"# (\w+\.py)\n", block)[1]).write_text(block)
    return frame


@pytest.fixture
def _blank_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes longer than a run."""
    monkeypatch.setattr("lightning_mbo.callbacks.report.render", lambda evidence: "page")
    for name in ("trajectory.draw_trajectory", "ascent_trajectory.draw_ascent"):
        monkeypatch.setattr(
            f"lightning_mbo.callbacks.{name}", lambda *args: Figure((1, 1)).savefig(args[-1])
        )


def test_a_table_of_ones_own(table: pd.DataFrame) -> None:
    (command,) = commands(section("Your own table, in five minutes"))
    main([*command, *SMALL])
    (folder,) = Path("runs/my_data").iterdir()
    candidates = pd.read_csv(folder / "candidates.csv")
    assert len(candidates) == 24
    assert list(candidates)[-7:-5] == ["nearest_row", "nearest_yield"]
    assert list(candidates)[-5:] == list(table)[:-1]
    assert (folder / "report.html").is_file()


@pytest.mark.usefixtures("_blank_pages")
def test_a_config_of_ones_own() -> None:
    main(["fit", "--config=my_data.yaml", "--config=mine.yaml", *SMALL])
    candidates = pd.read_csv("runs/mine/version_0/candidates.csv")
    assert len(candidates) == 24
    assert "operator" not in candidates
    assert set(candidates["temperature"]) <= set(range(20, 121, 5))
    assert candidates["hours"].between(1, 48).all()
    assert set(candidates["solvent"]) == {"ethanol"}
    assert (candidates["temperature"] + 10 * candidates["concentration"] <= 130).all()
    assert (candidates["concentration"] <= 2.5).all()


@pytest.mark.usefixtures("_blank_pages")
def test_the_example_in_python(table: pd.DataFrame) -> None:
    (example,) = blocks("python", section("From Python"))
    example = example.replace("num_iterations=10", "num_iterations=2, num_samples=300")
    found: dict[str, pd.DataFrame] = {}
    exec(example, found)
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


@pytest.mark.usefixtures("_blank_pages")
def test_a_list_of_ones_own(table: pd.DataFrame) -> None:
    rng = np.random.default_rng(2)
    catalogue = table.drop(columns="yield").sample(40, random_state=0)
    catalogue["concentration"] = rng.uniform(0, 2.5, 40)
    catalogue["number"] = range(1, 41)
    catalogue.to_csv("catalogue.csv", index=False)
    text = section("A list of your own")
    predict, fit = commands(text)
    main([*fit, *SMALL[2:]])
    main(predict)
    ranked, batch = (
        pd.read_csv(f"runs/my_data/version_0/{name}candidates.csv") for name in ("", "predicted_")
    )
    assert sorted(ranked["number"]) == list(range(1, 41))
    assert len(batch) == 24
    found: dict[str, pd.DataFrame] = {}
    (example,) = blocks("python", text)
    exec(example, found)
    expected = ranked.set_index("number").loc[catalogue["number"]]["oracle_mean"]
    np.testing.assert_allclose(found["predicted"]["oracle_mean"], expected, rtol=1e-4)
    np.testing.assert_allclose(found["prediction"].loc, expected, rtol=1e-4)


CHOICES = re.findall(r"\| `(\w+\.yaml[^`]*)` \|", section("Which config for which problem"))


@pytest.mark.usefixtures("_blank_pages")
@pytest.mark.parametrize("choice", CHOICES)
def test_every_config_takes_a_table(choice: str, table: pd.DataFrame) -> None:
    if choice.startswith("sequences"):
        letters = np.random.default_rng(1).choice(list("ACGT"), (80, 6))
        words = ["".join(row) for row in letters]
        table = pd.DataFrame({"word": words, "yield": (letters == "A").mean(1)})
        table.to_csv("designs.csv", index=False)
    few = ["--search.num_steps=2"] if choice.startswith(("grad", "coms")) else SMALL[:2]
    options = ["--data.path=designs.csv", "--data.target=yield", "--num_candidates=5"]
    main(["fit", "--config", *choice.split(), *options, *few, *SMALL[2:]])
    (path,) = Path("runs").rglob("candidates.csv")
    candidates = pd.read_csv(path)
    assert len(candidates) == 5
    assert set(table.columns) - {"yield"} <= set(candidates)


@pytest.mark.usefixtures("_blank_pages")
@pytest.mark.parametrize("command", commands(section("Adding your own")), ids=lambda c: c[-1])
def test_classes_of_ones_own(command: list[str]) -> None:
    main([*command, *SMALL])
    (folder,) = Path("runs/mine").iterdir()
    candidates = pd.read_csv(folder / "candidates.csv")
    assert np.isfinite(candidates["oracle_mean"]).all()
    (used,) = re.findall(r"my_\w+\.[A-Z]\w+", " ".join(command))
    assert f"class_path: {used}\n" in (folder / "config.yaml").read_text()
    trajectory = pd.read_csv(folder / "trajectory.csv")
    assert ("novelty" in trajectory) == (used == "my_callback.Novelty")


def test_every_config_is_named_and_every_name_is_a_config() -> None:
    named = set(re.findall(r"[\w/]+\.yaml", readme()))
    shipped = {path.name for path in (ROOT / "configs").glob("*.yaml")}
    assert named - {"mine.yaml", "config.yaml"} == shipped
