"""What a table tells, from the command line."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lightning_mbo.main import main


@pytest.fixture(autouse=True)
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    draw = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "temperature": draw.uniform(20, 120, 60).round(1),
            "hours": draw.integers(1, 24, 60),
            "solvent": draw.choice(["DMF", "THF", "water"], 60),
        }
    )
    frame["yield"] = (frame["temperature"] / 2 + draw.normal(0, 2, 60)).round(2)
    frame["ee"] = (90 - frame["hours"] + draw.normal(0, 1, 60)).round(2)
    frame["waste"] = (frame["hours"] / 3 + draw.normal(0, 0.3, 60)).round(2)
    frame.to_csv("designs.csv", index=False)


def inspected(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    main(["inspect", "--data.path=designs.csv", *words])
    return capsys.readouterr().out


def test_one_property(capsys: pytest.CaptureFixture[str]) -> None:
    said = inspected(capsys, "--data.target=yield", "--data.other_results=ee,waste")
    assert "yield: 60 designs" in said
    assert "Columns that matter: temperature 9" in said or "temperature 100 %" in said
    assert "To expect: columns mostly add up" in said
    assert not Path("runs").exists(), "it is no run"


def test_several_results(capsys: pytest.CaptureFixture[str]) -> None:
    said = inspected(capsys, '--data.targets={yield: maximize, ee: "70 to 80", waste: minimize}')
    parts = said.split("60 designs")
    assert len(parts) == 4
    assert "temperature" in parts[1].split("Columns that matter:")[1].splitlines()[0]
    assert "hours" in parts[2].split("Columns that matter:")[1].splitlines()[0]
    assert ["To expect" in part for part in parts[1:]] == [True, False, True]


def test_the_report_of_a_run_says_it_too(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--data.target=yield", "--data.other_results=ee,waste"]
    said = inspected(capsys, *words)
    short = ["--search.num_iterations=1", "--search.num_samples=100"]
    main(["fit", "--config=my_data.yaml", "--data.path=designs.csv", *words, *short])
    page = Path("runs/my_data/version_0/report.html").read_text()
    found = re.search(r'<ul class="told">(.*?)</ul>', page, re.DOTALL)
    assert found is not None
    lines = re.findall("<li>(.*?)</li>", found[1])
    assert [line.split(":")[0] for line in lines] == [
        line.split(":")[0] for line in said[said.index("Columns that matter") :].splitlines()
    ]
    assert "temperature" in lines[0]


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["--data.path=designs.csv"], ["--data.target"]),
        (["--data.path=designs.csv", "--data.target=yeild"], ["yeild", "mean yield?"]),
        (["--data.path=none.csv", "--data.target=yield"], ["none.csv is missing"]),
        (["--search.num_iterations=3"], ["searches nothing", "leave --search.num_iterations out"]),
        (["--data.pth=designs.csv"], ["'pth'", "mean path?"]),
    ],
)
def test_mistakes(words: list[str], parts: list[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["inspect", *words])
    assert str(stop.value).startswith("error: ")
    assert "\n" not in str(stop.value)
    assert all(part in str(stop.value) for part in parts), stop.value


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["inspect", "--help"])
    assert stop.value.code == 0
    assert "--data.target" in capsys.readouterr().out
