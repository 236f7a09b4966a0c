"""Mixtures, formulas and mutations come back as the user wrote them, by fit and by predict."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lightning_mbo.cli import main
from lightning_mbo.tabular.formulas import read_formula

SMALL = ["--model.hidden_sizes=[16]", "--convergence.max_epochs=10", "--num_candidates=24"]
MODELS = {"my_data.yaml": ["--model=DeepEnsemble"], "grad_mean.yaml": []}
SAMPLES = ["--search.num_iterations=3", "--search.num_samples=500"]

Designed = Callable[..., list[pd.DataFrame]]

pytestmark = [
    pytest.mark.filterwarnings("ignore:the covariance of the search model had lost rank"),
    pytest.mark.filterwarnings("ignore:.*are out of the bounds"),
    pytest.mark.filterwarnings("ignore:.*fewer than the .* that the search model needs"),
]


@pytest.fixture
def designed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Designed:
    """The candidates of a run, and those that are drawn from it afterwards."""
    monkeypatch.chdir(tmp_path)

    def run(table: pd.DataFrame, *more: str, config: str = "my_data.yaml") -> list[pd.DataFrame]:
        table.to_csv("table.csv", index=False)
        options = ["--data=CSV", "--data.path=table.csv", "--data.target=y"]
        main(["fit", f"--config={config}", *options, *MODELS[config], *SMALL, *more])
        folder = next(Path("runs").rglob("candidates.csv")).parent
        fitted = pd.read_csv(folder / "candidates.csv", keep_default_na=False)
        main(["predict", f"--ckpt_path={folder}", "--num_candidates=12"])
        assert (folder / "report.html").is_file()
        predicted = pd.read_csv(folder / "predicted_candidates.csv", keep_default_na=False)
        assert [len(fitted), len(predicted)] == [24, 12]
        return [fitted, predicted]

    return run


def test_few_ingredients(designed: Designed, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    values = np.zeros((240, 60))
    for row in values:
        chosen = rng.choice(60, rng.integers(1, 5), replace=False)
        row[chosen] = (rng.dirichlet(np.ones(len(chosen))) * 100).round(1)
        row[chosen[0]] += 100 - row.sum()
    table = pd.DataFrame(values.round(1), columns=[f"fuel {j}" for j in range(60)])
    table["y"] = (values[:, :20].sum(1) + rng.normal(0, 2, 240)).round(2)
    for found in designed(table, *SAMPLES):
        amounts = found.filter(regex="^fuel")
        assert amounts.shape[1] == 60
        assert ((amounts > 0).sum(axis=1) <= 4).all()
        assert (amounts >= 0).all(axis=None)
        np.testing.assert_allclose(amounts.sum(axis=1), 100, atol=1e-6)
    assert "at most 4 of 'fuel 0'" in " ".join(capsys.readouterr().out.split())


def test_amounts_that_are_often_zero(
    designed: Designed, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    there = rng.random((200, 5)) < 0.5
    doses = np.where(there, rng.lognormal(0, 0.4, (200, 5)), 0.0).round(3)
    table = pd.DataFrame(doses, columns=[f"dose {j}" for j in range(5)])
    table = table.assign(temp=rng.normal(50, 5, 200).round(1), route=rng.choice(["a", "b"], 200))
    table["y"] = (2 * doses[:, 0] + doses[:, 1] - doses[:, 3] + rng.normal(0, 0.1, 200)).round(2)
    count = "--data.constraints=['1 <= count(`dose *`) <= 3']"
    for found in designed(table, count, *SAMPLES):
        amounts = found.filter(regex="^dose")
        assert (amounts >= 0).all(axis=None)
        assert (amounts > 0).sum(axis=1).between(1, 3).all()
        assert (found["dose 3"] == 0).mean() > 0.5
        assert set(found["route"]) <= {"a", "b"}
    printed = " ".join(capsys.readouterr().out.split())
    assert "are amounts that are exactly zero in a fifth of the rows or more" in printed
    assert "to begin with" in printed


METALS = ["Fe", "Ni", "Cr", "Mo", "Nb", "Sn"]


def alloys() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    formulas = []
    for _ in range(120):
        chosen = rng.choice(METALS, rng.integers(2, 4), replace=False)
        formulas.append("".join(f"{metal}{rng.integers(1, 20)}" for metal in chosen))
    table = pd.DataFrame({"alloy": formulas, "temp": rng.uniform(300, 900, 120).round()})
    table["route"] = rng.choice(["cast", "sintered"], 120)
    iron = [read_formula(text).get("Fe", 0) for text in formulas]
    return table.assign(y=(np.array(iron) + rng.normal(0, 1, 120)).round(2))


@pytest.mark.parametrize("maximize", ["true", "false"])
@pytest.mark.parametrize("config", ["my_data.yaml", "grad_mean.yaml"])
def test_formulas(designed: Designed, maximize: str, config: str) -> None:
    more = ["--data.columns={alloy: formula}", f"--data.maximize={maximize}"]
    more += SAMPLES if config == "my_data.yaml" else []
    for found in designed(alloys(), *more, config=config):
        assert list(found)[-3:] == ["alloy", "temp", "route"]
        for text in found["alloy"]:
            amounts = read_formula(text)
            assert set(amounts) <= set(METALS)
            assert len(amounts) <= 3
            assert sum(amounts.values()) == pytest.approx(100, abs=1e-9)
        assert set(found["route"]) <= {"cast", "sintered"}


def test_mutations(designed: Designed) -> None:
    parent = "MKTAYIAKQRQISFVKSHFSRQLEERLGLIEV"
    rng = np.random.default_rng(0)
    texts = []
    for _ in range(120):
        places = np.sort(rng.choice([3, 5, 10, 15], rng.integers(0, 4), replace=False))
        words = [f"{parent[p - 1]}{p}{rng.choice(list('GLW'))}" for p in places]
        texts.append(":".join(words) or "WT")
    table = pd.DataFrame({"mutant": texts, "pH": rng.uniform(5, 9, 120).round(1)})
    table["y"] = [text.count("W") + rng.normal(0, 0.2) for text in texts]
    columns = f"--data.columns={{mutant: {{kind: mutations, parent: {parent}}}}}"
    for found in designed(table, columns, *SAMPLES):
        assert list(found)[-2:] == ["mutant", "pH"]
        for text in found["mutant"]:
            words = [] if text == "WT" else text.split(":")
            assert all(word[0] == parent[int(word[1:-1]) - 1] for word in words)
            assert {int(word[1:-1]) for word in words} <= {3, 5, 10, 15}
