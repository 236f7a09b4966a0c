"""Superconductors, simulated and measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from lightning_mbo.errors import ConfigurationError, DataError
from lightning_mbo.tasks import (
    KnownProblem,
    MeasuredSuperconductors,
    SimulatedSuperconductors,
    boosted_trees,
)
from lightning_mbo.tasks.materials import (
    ELEMENTS,
    FEATURE_NAMES,
    compositions,
    parse_formula,
    superconductor_features,
)
from tests.tasks.superconductors import feature_table, formula_table, shipped_rows

# Few rows: some elements occur in none of them, others in the hidden ones only.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*constant columns are left out"),
    pytest.mark.filterwarnings("ignore:.*had lost rank"),
]
NUM_ROWS = 300


ROWS = shipped_rows()[:NUM_ROWS]
TEMPERATURES = np.array([temperature for _, temperature in ROWS])


@pytest.fixture(scope="session")
def cache_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first rows of the shipped subset."""
    path = tmp_path_factory.mktemp("tables") / "formulas.csv"
    pd.DataFrame(ROWS, columns=["formula", "critical_temp"]).to_csv(path, index=False)
    return path


@pytest.fixture(autouse=True)
def _few_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boosted_trees, "_MAX_TREES", 10)


def problem(
    table: Path, cache_dir: Path, labels: str = "simulated", **options: Any
) -> KnownProblem:
    kinds = {"simulated": SimulatedSuperconductors, "measured": MeasuredSuperconductors}
    task = kinds[labels](table, cache_dir=cache_dir, **options)
    task.prepare()
    return task.problem(torch.Generator().manual_seed(0))


def ground_truth(data: KnownProblem, designs: torch.Tensor) -> np.ndarray:
    return data.ground_truth(designs).numpy()


@pytest.mark.parametrize("representation", ["features", "composition"])
@pytest.mark.parametrize("labels", ["simulated", "measured"])
def test_shapes(representation: Any, labels: Any, table: Path, cache_dir: Path) -> None:
    data = problem(table, cache_dir, representation=representation, labels=labels)
    n = NUM_ROWS if labels == "measured" else int(0.8 * NUM_ROWS)
    (d,) = data.space.shape
    assert data.designs.shape == (n, d)
    assert data.properties.shape == (n,)
    for tensor in (data.designs, data.properties):
        assert tensor.dtype == torch.float64
        assert tensor.isfinite().all()
    names = FEATURE_NAMES if representation == "features" else ELEMENTS
    columns = list(data.codec.by_entry(data.designs).columns)
    assert len(columns) == d
    assert columns == [name for name in names if name in columns]
    if labels == "simulated" and representation == "features":
        assert d == 60
    truth = ground_truth(data, data.designs[:7])
    assert truth.shape == (7,)
    assert truth.dtype == np.float64


@pytest.mark.parametrize("representation", ["features", "composition"])
def test_measured_labels_are_the_rows_of_the_table(
    representation: Any, table: Path, cache_dir: Path
) -> None:
    data = problem(table, cache_dir, representation=representation, labels="measured")
    np.testing.assert_array_equal(data.properties.numpy(), TEMPERATURES)
    amounts = compositions([formula for formula, _ in ROWS])
    values = superconductor_features(amounts) if representation == "features" else amounts
    names = FEATURE_NAMES if representation == "features" else ELEMENTS
    own = pd.DataFrame(values, columns=list(names))
    varying = [name for name in names if own[name].nunique() > 1]
    designs = data.codec.by_entry(data.designs)
    assert list(designs.columns) == varying
    np.testing.assert_allclose(designs.to_numpy(), own[varying].to_numpy(), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(data.designs.mean(0).numpy(), 0.0, atol=1e-9)
    np.testing.assert_allclose(data.designs.std(0, correction=0).numpy(), 1.0, rtol=1e-9)


def test_compositions_are_written_as_formulas(table: Path, cache_dir: Path) -> None:
    data = problem(table, cache_dir, representation="composition", labels="measured")
    designs = data.codec.to_user_units(data.designs)
    assert designs.columns[0] == "formula"
    written = [parse_formula(text) for text in designs["formula"]]
    for (given, _), found in zip(ROWS, written, strict=True):
        assert found == pytest.approx(parse_formula(given), abs=0.01)
    known = compositions([formula for formula, _ in ROWS])
    elements = [ELEMENTS.index(element) for element in designs.columns[1:]]
    assert ((designs.iloc[:, 1:].to_numpy() == 0) == (known[:, elements] == 0)).all()
    metals = [text for text in designs["formula"] if "O" in text and "Cu" in text]
    assert metals
    assert all(text.index("Cu") < text.rindex("O") for text in metals)
    # A trace is written, and what is not there is not.
    nothing = data.codec.by_entry(data.designs[:1]) * 0
    least = data.codec.from_user_units(nothing.assign(Cu=1.0, O=0.001))
    assert data.codec.to_user_units(least)["formula"].tolist() == ["Cu1O0.01"]


def test_amounts_of_measured_compositions_are_often_zero(table: Path, cache_dir: Path) -> None:
    data = problem(table, cache_dir, representation="composition", labels="measured")
    amounts = data.space.amounts
    assert amounts is not None
    assert len(amounts.places) == data.space.num_numbers
    assert (data.designs == torch.tensor(amounts.zeros, dtype=torch.float64)).double().mean() > 0.8
    drawn = problem(table, cache_dir, representation="composition", labels="simulated")
    assert drawn.space.amounts is None


def test_the_range_is_that_of_all_rows(table: Path, cache_dir: Path) -> None:
    options = {"representation": "composition", "visible_percentile": 30.0}
    measured = problem(table, cache_dir, labels="measured", **options)
    simulated = problem(table, cache_dir, labels="simulated", **options)
    assert measured.property_range == (TEMPERATURES.min(), TEMPERATURES.max())
    whole = problem(table, cache_dir, representation="composition", labels="measured")
    truth = ground_truth(whole, whole.designs)
    assert simulated.property_range == (truth.min(), truth.max())


def test_user_units_of_simulated_designs(table: Path, cache_dir: Path) -> None:
    data = problem(table, cache_dir, num_features=5)
    d = 5
    features = pd.DataFrame(
        superconductor_features(compositions([formula for formula, _ in ROWS])),
        columns=list(FEATURE_NAMES),
    )
    origin, unit = (
        data.codec.to_user_units(designs).iloc[0]
        for designs in (torch.zeros(1, d).double(), torch.ones(1, d).double())
    )
    own = features[list(origin.index)]
    np.testing.assert_allclose(origin, own.mean(), rtol=1e-9)
    np.testing.assert_allclose(unit - origin, own.std(ddof=0), rtol=1e-9)


def test_simulated_labels_are_ground_truth_plus_noise(table: Path, cache_dir: Path) -> None:
    exact = problem(table, cache_dir, num_features=5, noise_std=0.0)
    np.testing.assert_array_equal(exact.properties.numpy(), ground_truth(exact, exact.designs))
    noisy = problem(table, cache_dir, num_features=5, noise_std=3.0, num_designs=2000)
    noise = noisy.properties.numpy() - ground_truth(noisy, noisy.designs)
    assert noise.mean() == pytest.approx(0.0, abs=5 * 3.0 / np.sqrt(2000))
    assert noise.std() == pytest.approx(3.0, rel=5 / np.sqrt(4000))


def test_simulated_designs_have_the_moments_of_the_visible_rows(
    table: Path, cache_dir: Path
) -> None:
    data = problem(table, cache_dir, num_features=5, num_designs=20_000, visible_percentile=20.0)
    features = pd.DataFrame(
        superconductor_features(compositions([formula for formula, _ in ROWS])),
        columns=list(FEATURE_NAMES),
    )
    own = features[list(data.codec.to_user_units(data.designs[:1]).columns)]
    values = ((own - own.mean()) / own.std(ddof=0)).to_numpy().copy()
    truth = ground_truth(data, torch.from_numpy(values))
    # Low by the ground truth, which is not low by the table.
    visible = values[truth <= np.percentile(truth, 20)]
    # Five standard errors of a mean, and of a variance.
    np.testing.assert_allclose(data.designs.mean(0), visible.mean(0), atol=5 / np.sqrt(20_000))
    np.testing.assert_allclose(
        np.cov(data.designs.T, ddof=0), np.cov(visible.T, ddof=0), atol=10 / np.sqrt(20_000)
    )


@pytest.mark.parametrize("percentile", [50.0, 90.0])
def test_the_top_is_hidden(percentile: float, table: Path, cache_dir: Path) -> None:
    data = problem(table, cache_dir, labels="measured", visible_percentile=percentile)
    highest = np.percentile(TEMPERATURES, percentile)
    visible = [temperature for temperature in TEMPERATURES if temperature <= highest]
    assert len(visible) < NUM_ROWS
    np.testing.assert_array_equal(data.properties.numpy(), visible)


@pytest.mark.parametrize("num_designs", [None, 17])
def test_number_of_designs(num_designs: int | None, table: Path, cache_dir: Path) -> None:
    data = problem(table, cache_dir, num_features=5, num_designs=num_designs)
    assert len(data.designs) == len(data.properties) == (num_designs or int(0.8 * NUM_ROWS))


def test_compositions_cannot_be_told_from_features(tmp_path: Path, cache_dir: Path) -> None:
    path = tmp_path / "train.csv"
    feature_table().to_csv(path, index=False)
    task = MeasuredSuperconductors(path, "composition", cache_dir=cache_dir)
    with pytest.raises(DataError, match=r"train\.csv holds features.* Give UCI's unique_m\.csv"):
        task.prepare()


@pytest.mark.parametrize(
    "header",
    [
        "formula,critical_temp\n",
        pytest.param(
            ",".join([*FEATURE_NAMES, "critical_temp"]) + "\n",
            id="train.csv",
        ),
    ],
)
def test_a_table_without_rows_is_refused(tmp_path: Path, cache_dir: Path, header: str) -> None:
    path = tmp_path / "header.csv"
    path.write_text(header, encoding="utf-8")
    with pytest.raises(DataError, match=r"header\.csv"):
        problem(path, cache_dir)


@pytest.mark.parametrize("labels", ["simulated", "measured"])
def test_too_few_rows_are_refused(tmp_path: Path, cache_dir: Path, labels: Any) -> None:
    path = tmp_path / "few.csv"
    formula_table().to_csv(path, index=False)
    with pytest.raises(DataError, match=r"few\.csv has \d rows, too few to learn from: at least"):
        problem(path, cache_dir, labels=labels)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"visible_percentile": 0.0}, "visible_percentile"),
        ({"visible_percentile": 100.1}, "visible_percentile"),
        ({"visible_percentile": np.nan}, "visible_percentile"),
        ({"num_features": 0}, "num_features"),
        ({"num_designs": 0}, "num_designs"),
        ({"noise_std": -1.0}, "noise_std"),
        ({"noise_std": np.nan}, "noise_std"),
        ({"representation": "name"}, "representation"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        SimulatedSuperconductors(**options)


def test_the_nearest_known_material_is_visible_and_nearest(table: Path, cache_dir: Path) -> None:
    data = problem(table, cache_dir, representation="features", labels="measured")
    named = data.nearest_known(data.designs)
    formulas = pd.read_csv(table)
    # A row is nearest to itself, or to a row of the same design.
    np.testing.assert_array_equal(data.designs.numpy(), design_of(data, named, formulas))
    shifted = data.nearest_known(data.designs + 1e-3)
    assert shifted["nearest_material"].isin(formulas["formula"]).all()


def design_of(data: KnownProblem, named: pd.DataFrame, formulas: pd.DataFrame) -> np.ndarray:
    rows = {
        (row.formula, row.critical_temp): number
        for number, row in enumerate(formulas.itertuples(index=False))
    }
    keys = zip(named["nearest_material"], named["nearest_critical_temp"], strict=True)
    return data.designs.numpy()[[rows[key] for key in keys]]


def test_features_alone_name_no_material(tmp_path: Path, cache_dir: Path) -> None:
    path = tmp_path / "train.csv"
    pd.concat([feature_table(seed) for seed in range(5)]).to_csv(path, index=False)
    assert problem(path, cache_dir).nearest_known is None


@pytest.mark.parametrize(
    ("options", "clipped"),
    [
        ({"representation": "composition", "labels": "measured"}, True),
        ({"representation": "composition"}, False),
        ({"labels": "measured"}, False),
    ],
)
def test_measured_compositions_have_no_negative_amounts(
    table: Path, cache_dir: Path, options: dict[str, str], clipped: bool
) -> None:
    data = problem(table, cache_dir, **options)
    designs = torch.randn(50, *data.space.shape, dtype=torch.float64) * 3
    allowed = data.nearest_allowed(designs)
    if not clipped:
        assert allowed.equal(designs)
        return
    before, after = (data.codec.by_entry(d).to_numpy() for d in (designs, allowed))
    assert before.min() < -0.1
    np.testing.assert_allclose(after, before.clip(min=0), atol=1e-12)
    assert data.nearest_allowed(data.designs).allclose(data.designs)
