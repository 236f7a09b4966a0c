"""A design run on a table of the user's own."""

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
    "--model.learning_rate=0.01",
    "--search.num_samples=200",
    "--search.num_iterations=2",
    "--convergence.max_epochs=10",
]
pytestmark = pytest.mark.usefixtures("blank_pages")


@pytest.fixture
def table() -> pd.DataFrame:
    """100 mixtures whose cost is least where the amount is small, between 500 and 600."""
    rng = np.random.default_rng(0)
    amount, cycles = rng.uniform(10, 20, 100), rng.integers(1, 9, 100)
    cost = 450 + 5 * amount + 6.25 * cycles
    frame = pd.DataFrame({"amount": amount, "cycles": cycles, "cost": cost})
    frame["error"] = np.linspace(1, 2, 100)
    frame.to_csv("table.csv", index=False)
    return frame


@pytest.fixture
def fit(table: pd.DataFrame) -> Callable[..., pd.DataFrame]:
    def run(*more: str) -> pd.DataFrame:
        options = ["--data.path=table.csv", "--data.target=cost", "--data.error_column=error"]
        main(["fit", "--config=my_data.yaml", *options, *SMALL, *more])
        return pd.read_csv(sorted(Path("runs").rglob("candidates.csv"))[-1])

    return run


@pytest.mark.parametrize("maximize", [True, False])
def test_candidates_are_in_the_users_units(
    maximize: bool,
    fit: Callable[..., pd.DataFrame],
    table: pd.DataFrame,
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = fit(f"--data.maximize={str(maximize).lower()}")
    sign = 1 if maximize else -1
    assert found["oracle_mean"].between(350, 750).all()
    assert (sign * found["oracle_mean"].diff().iloc[1:] <= 0).all()
    middle = table["cost"].mean()
    assert (sign * (found["oracle_mean"] - middle) > 0).all()
    side = "above" if maximize else "below"
    assert found[f"probability_{side}_threshold"].between(0, 1).all()
    assert list(found)[-4:] == ["nearest_row", "nearest_cost", "amount", "cycles"]
    assert pd.api.types.is_integer_dtype(found["cycles"])
    known = table.iloc[found["nearest_row"] - 1]
    np.testing.assert_array_equal(known["cost"], found["nearest_cost"])
    printed = capsys.readouterr().out
    best = table["cost"].max() if maximize else table["cost"].min()
    assert f"100 designs, best cost {best:.4g};" in printed
    assert f"Best training label: {best:.4g}." in printed
    assert "negative" not in printed
    assert f"oracle's {80 if maximize else 20}th percentile" in printed
    assert f"{found['oracle_mean'][0]:.4g}" in printed


def test_a_run_goes_on_with_its_weights(fit: Callable[..., pd.DataFrame]) -> None:
    options = ["--data.columns.cycles", "{upper: 8}"]
    whole = fit(*options)
    assert "error" not in whole
    fit(*options, "--search.num_iterations=1")
    resumed = fit(*options, "--ckpt_path=last")
    pd.testing.assert_frame_equal(resumed, whole)
    folders = sorted(path.parent for path in Path("runs").rglob("candidates.csv"))
    assert [folder.name for folder in folders] == ["version_0", "version_1"]
    contents = [(folder / "candidates.csv").read_bytes() for folder in folders]
    assert contents[0] == contents[1]


def test_a_mistake_leaves_nothing(fit: Callable[..., pd.DataFrame]) -> None:
    for option, parts in (
        ("--data.target=coast", ["no column 'coast'", "mean cost?"]),
        ("--data.columns.cicles=integer", ["no column 'cicles'", "mean cycles?"]),
        ("--data.columns={cycles: 3}", ["data.columns.cycles must be a kind", "not 3"]),
        (
            '--data.constraints=["cycles * amount <= 3"]',
            ["'cycles * amount <= 3': it is not linear"],
        ),
        ("--data.feasible_if=nowhere.rule", ["there is no function nowhere.rule"]),
        ("--data.path=nowhere.csv", ["nowhere.csv is missing"]),
        ("--data.maximise=false", ["maximise", "mean maximize?"]),
    ):
        with pytest.raises(SystemExit) as stop:
            fit(option)
        message = str(stop.value.code)
        assert message.startswith("error: ")
        assert "\n" not in message
        assert all(part in message for part in parts), message
        assert not list(Path("runs").rglob("version_*"))


def test_a_mixture_of_normals_beside_categories(
    fit: Callable[..., pd.DataFrame], table: pd.DataFrame, capsys: pytest.CaptureFixture[str]
) -> None:
    # Two kinds of mixtures, far apart.
    table["amount"] += 40.0 * (table.index % 2)
    table["solvent"] = np.where(table.index % 3 == 0, "water", "oil")
    table.to_csv("table.csv", index=False)
    model = "--search.search_model=GaussianMixture"
    whole = fit(model)
    assert "search model: 2 components to begin with\n" in capsys.readouterr().out
    (path,) = Path("runs").rglob("trajectory.csv")
    assert pd.read_csv(path)["search_model_components"].ge(2).all()
    fit(model, "--search.num_iterations=1")
    pd.testing.assert_frame_equal(fit(model, "--ckpt_path=last"), whole)
