"""What every oracle promises on every kind of table, with every search that it goes with."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from lightning_mbo import oracles
from lightning_mbo.algorithms import DbAS
from lightning_mbo.cli import main
from lightning_mbo.data import CSV
from lightning_mbo.importance import Autofocus
from lightning_mbo.oracles import (
    AdditiveRegression,
    BatchAscent,
    ConservativeObjectiveModel,
    Convergence,
    ConvolutionalEnsemble,
    DeepEnsemble,
    DifferentiableOracle,
    GaussianProcess,
    KernelRidge,
    NormalizedLikelihoodModel,
    Oracle,
    RankingEnsemble,
    RegressionEnsemble,
    Stack,
    TreeEnsemble,
)
from lightning_mbo.problem import DesignProblem
from lightning_mbo.samples import DesignIteration, Prediction
from lightning_mbo.searches import AscentSearch, ListSearch, SamplingSearch, Search, design
from lightning_mbo.tabular.pool import Pool
from tests.blank_pages import blank_pages

ORACLES: dict[str, Callable[[], Oracle]] = {
    "AdditiveRegression": AdditiveRegression,
    "ConservativeObjectiveModel": lambda: ConservativeObjectiveModel(
        hidden_sizes=(8,), adversary=BatchAscent(2)
    ),
    "ConvolutionalEnsemble": lambda: ConvolutionalEnsemble(2, window=2, num_channels=4),
    "DeepEnsemble": lambda: DeepEnsemble(2, (8,)),
    "GaussianProcess": lambda: GaussianProcess(num_inducing=30),
    "KernelRidge": lambda: KernelRidge(gamma=0.1),
    "NormalizedLikelihoodModel": lambda: NormalizedLikelihoodModel((8,), num_bins=5),
    "RankingEnsemble": lambda: RankingEnsemble(2, (8,)),
    "RegressionEnsemble": lambda: RegressionEnsemble(2, (8,)),
    "Stack": lambda: Stack([AdditiveRegression(), TreeEnsemble(1, most_trees=5)], num_folds=3),
    "TreeEnsemble": lambda: TreeEnsemble(2, most_trees=10),
}
TABLES: dict[str, dict[str, Any]] = {
    "numbers": {},
    "steps": {"columns": {"heat": {"step": 5}, "count": {"lower": 0, "upper": 9}}},
    "categories": {},
    "mixed": {"constraints": ["a + 0.1*count <= 2"], "maximize": False},
    "mixture": {"constraints": ["r + s + t == 1"]},
    "sequences": {},
    "few": {},
    "one column": {},
    "wide": {},
}
"""What the user says of each."""

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*count for", "ignore:the search ends after"),
    pytest.mark.filterwarnings("ignore:.*only .* meet", "ignore:the covariance of the search"),
]


def frame(kind: str) -> pd.DataFrame:
    draw = np.random.default_rng(3)
    n = {"few": 15, "wide": 20, "one column": 10, "categories": 60}.get(kind, 50)
    a, b = draw.normal(size=(2, n)).round(3)
    heat, count = 5 * draw.integers(0, 9, n), draw.integers(0, 10, n)
    solvent = draw.choice(["DMF", "THF", "MeOH"], n)
    truth = a - b**2
    table = {"a": a, "b": b}
    if kind == "steps":
        table = {"heat": heat, "count": count, "b": b}
        truth = 0.1 * heat - 0.3 * (count - 5) ** 2
    elif kind == "categories":
        base = draw.choice(["NaOH", "KOtBu", "NEt3", "DBU"], n)
        ligand = draw.choice(list("ABCDEFGH"), n)
        table = {"solvent": solvent, "base": base, "ligand": ligand}
        truth = 2.0 * (solvent == "THF") + (base == "NaOH") + (ligand == "B")
    elif kind in ("mixed", "few"):
        table = {"a": a.clip(max=1), "count": count, "solvent": solvent}
        truth = a - 0.3 * count + (solvent == "THF")
    elif kind == "mixture":
        r, s = draw.dirichlet(np.ones(3), n).T.round(3)[:2]
        table = {"r": r, "s": s, "t": (1 - r - s).round(3), "b": b}
        truth = 4 * r * s - b
    elif kind == "sequences":
        letters = draw.choice(list("ACGT"), (n, 6))
        table = {"sequence": np.array(["".join(row) for row in letters])}
        truth = 1.0 * (letters[:, 1] == "C") + 2.0 * (letters[:, 4] == "G")
    elif kind == "one column":
        table = {"a": a}
    elif kind == "wide":
        table = {f"x{i}": column for i, column in enumerate(draw.normal(size=(30, n)).round(3))}
        truth = table["x0"] + table["x1"]
    return pd.DataFrame(table).assign(y=(truth + 0.1 * draw.normal(size=n)).round(4))


@cache
def data_of(kind: str) -> CSV:
    """Of a table, with a quarter held out where there are enough rows for that."""
    share = 0.0 if kind in ("few", "wide", "one column") else 0.25
    data = CSV(frame(kind), "y", batch_size=20, held_out_fraction=share, **TABLES[kind])
    data.setup("fit")
    return data


def listed(problem: DesignProblem) -> Pool:
    """The first rows, as a list of the user's own."""
    designs = problem.designs[:9]
    rows = pd.DataFrame({"number": range(9)})
    return Pool(designs, rows, rows, range(1, 10), 9)


SEARCHES: dict[str, Callable[[DesignProblem], Search]] = {
    "samples": lambda problem: SamplingSearch(DbAS(), num_samples=60),
    "ascent": lambda problem: AscentSearch(num_steps=2, num_starts=12),
    "list": lambda problem: ListSearch(lambda: listed(problem)),
}


def run(
    kind: str, search: str, problem: DesignProblem, number: int = 2
) -> tuple[Oracle, list[DesignIteration]]:
    """A short design run."""
    oracle = ORACLES[kind]()
    autofocus = Autofocus(0.3) if search == "samples" else None
    found = design(
        problem,
        oracle,
        SEARCHES[search](problem),
        num_iterations=1 if search == "list" else number,
        autofocus=autofocus,
        convergence=Convergence(max_epochs=2),
        batch_size=20,
    )
    return oracle, list(found)


def check(prediction: Prediction, num: int) -> None:
    parts = prediction.mean, prediction.std, prediction.epistemic_std
    for part in parts:
        assert part.shape == (num,)
        assert part.dtype == torch.float64
        assert part.isfinite().all()
    assert (prediction.std > 0).all()
    assert (prediction.epistemic_std >= 0).all()
    assert (prediction.epistemic_std <= prediction.std * (1 + 1e-9)).all()


def goes_with(kind: str, table: str, search: str) -> bool:
    if search == "ascent" and not isinstance(ORACLES[kind](), DifferentiableOracle):
        return False
    if search == "list" and table not in ("mixed", "sequences", "few"):
        return False  # nothing else than predictions
    return kind != "ConvolutionalEnsemble" or table == "sequences"


RUNS = [
    (kind, table, search)
    for kind in ORACLES
    for table in TABLES
    for search in SEARCHES
    if goes_with(kind, table, search)
]


def test_there_is_one_of_every_kind() -> None:
    found = (getattr(oracles, name) for name in oracles.__all__)
    classes = [kind for kind in found if inspect.isclass(kind) and issubclass(kind, Oracle)]
    kinds = {kind.__name__ for kind in classes if not inspect.isabstract(kind)}
    assert kinds == {*ORACLES, "ResultOracles"}  # of several results: test_result_oracles.py


@pytest.mark.parametrize(("kind", "table", "search"), RUNS)
def test_a_run(kind: str, table: str, search: str, tmp_path: Path) -> None:
    data = data_of(table)
    problem = data.problem
    oracle, iterations = run(kind, search, problem)
    assert iterations
    for iteration in iterations:
        designs = iteration.samples.designs
        assert designs.shape[1:] == problem.space.shape
        check(iteration.samples.prediction, len(designs))
        assert problem.is_feasible(designs).all()
        if search != "list":
            torch.testing.assert_close(problem.nearest_allowed(designs), designs)
    shown = data.to_user_units(iterations[-1].samples.designs)
    assert list(shown) == [name for name in frame(table) if name != "y"]
    if search == "samples":
        _check_state(oracle, iterations[-1], tmp_path)
        _check_unseen(oracle, problem)


def _check_state(oracle: Oracle, iteration: DesignIteration, folder: Path) -> None:
    """A checkpoint predicts the same bits, with nothing but tensors and plain values in it."""
    checkpoint: dict[str, Any] = {"state_dict": oracle.state_dict(), "epoch": 1}
    oracle.on_save_checkpoint(checkpoint)
    checkpoint["pytorch-lightning_version"] = "2.6.0"
    torch.save(checkpoint, folder / "oracle.ckpt")
    restored = type(oracle).load_from_checkpoint(folder / "oracle.ckpt")
    designs = iteration.samples.designs
    pairs = zip(
        vars(restored.predict(designs)).values(),
        vars(oracle.predict(designs)).values(),
        strict=True,
    )
    assert all(torch.equal(*pair) for pair in pairs)


def _check_unseen(oracle: Oracle, problem: DesignProblem) -> None:
    """Held-out rows where there are some; else all, by fits without them, or none."""
    said = oracle.predict_unseen(problem)
    if said is None:
        assert not problem.held_out.any()
        return
    check(said, len(problem.judged.designs))
    own = oracle.predict(problem.judged.designs)
    assert torch.equal(said.mean, own.mean) == bool(problem.held_out.any())


@pytest.mark.parametrize("kind", ORACLES)
def test_held_out_labels_have_no_say(kind: str) -> None:
    problem = data_of("sequences").problem
    lied_of = torch.where(problem.held_out, 1e3 - problem.properties, problem.properties)
    found = [
        run(kind, "samples", each)[1][-1].samples.prediction
        for each in (problem, replace(problem, properties=lied_of))
    ]
    assert problem.held_out.any()
    assert all(map(torch.equal, *(vars(each).values() for each in found)))


@pytest.mark.parametrize("kind", [kind for kind in ORACLES if kind != "ConvolutionalEnsemble"])
def test_the_unit_of_a_label_changes_the_unit_alone(kind: str) -> None:
    problem = data_of("mixed").problem
    assert problem.noise is not None, "of the designs that were measured again"
    noise = problem.noise.map(lambda of_rows: 1000 * of_rows)
    scaled = replace(problem, properties=1000 * problem.properties - 7, noise=noise)
    # A list, because rounding would make other samples.
    said = [run(kind, "list", each)[0].predict(problem.designs) for each in (problem, scaled)]
    # A ridge towards zero, and not towards the mean, keeps up to all of an offset to itself.
    atol = 7.0 if kind == "KernelRidge" else 1.0
    for one, other, at in zip(*(vars(each).values() for each in said), (-7, 0, 0), strict=True):
        torch.testing.assert_close(other, 1000 * one + at, rtol=1e-3, atol=atol)


REFUSED: dict[str, tuple[list[str], str]] = {
    "a convolution of numbers": (
        ["numbers", "--model=ConvolutionalEnsemble"],
        r"ConvolutionalEnsemble needs sequences, .* give --model DeepEnsemble",
    ),
    "a convolution of a mixture": (
        ["mixture", "--model=ConvolutionalEnsemble"],
        r"ConvolutionalEnsemble needs sequences, .* give --model DeepEnsemble",
    ),
    "trees climbed": (
        ["numbers", "--model=TreeEnsemble", "--search=GradientAscent"],
        r"GradientAscent needs an oracle with a gradient, .* TreeEnsemble has none",
    ),
    "kernels climbed": (
        ["mixed", "--model=KernelRidge", "--search=GradientAscent"],
        r"GradientAscent needs an oracle with a gradient, .* KernelRidge has none",
    ),
    "a stack climbed": (
        ["numbers", "--model=Stack", "--search=GradientAscent"],
        r"GradientAscent needs an oracle with a gradient, .* Stack has none",
    ),
    "a list autofocused": (
        ["numbers", "--model=GaussianProcess", "--search=PoolSearch", "--autofocus.enabled=true"],
        r"PoolSearch has none: give --autofocus.enabled false",
    ),
    "a normal of sequences": (
        ["sequences", "--search.search_model=MultivariateNormal"],
        r"MultivariateNormal needs designs of numbers alone, .* letters or categories: ",
    ),
    "letters of numbers": (
        ["numbers", "--search.search_model=Categorical"],
        r"Categorical needs designs of letters or categories alone, .* --search.search_model out",
    ),
    "nodes of several numbers": (
        [
            *("numbers", "--search.search_model=Quadrature"),
            *("--search.search_model.lower=0", "--search.search_model.upper=1"),
        ],
        r"Quadrature needs designs of one number, .* leave --search.search_model out",
    ),
    "a product of categories alone": (
        ["categories", "--search.search_model=Product"],
        r"Product needs designs of numbers and categories, .* leave --search.search_model out",
    ),
    "an evolution of sequences": (
        ["sequences", "--search.algorithm=CMAES"],
        r"CMANormal needs designs of numbers alone, .* letters or categories: ",
    ),
    "a Gaussian process of more rows than it is to have": (
        ["numbers", "--model=GaussianProcess", "--model.max_designs=20"],
        r"model.max_designs is 20, and there are 50 training designs, .* --model DeepEnsemble",
    ),
    "more folds than rows": (
        ["few", "--model=KernelRidge", "--model.num_folds=40"],
        r"model.num_folds is 40, more than there are designs: 15. Give a smaller one",
    ),
    "half of the few": (
        ["few", "--data.held_out_fraction=0.1"],
        r"data.held_out_fraction 0.1 of 15 designs is \d, too few to judge by",
    ),
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of its own, with the tables and a list in it."""
    for kind in TABLES:
        frame(kind).to_csv(tmp_path / f"{kind}.csv", index=False)
        frame(kind).drop(columns="y").assign(number=1).to_csv(
            tmp_path / f"{kind}.pool.csv", index=False
        )
    monkeypatch.chdir(tmp_path)
    return tmp_path


def fit(table: str, *more: str) -> None:
    words = ["--config=my_data.yaml", f"--data.path={table}.csv", "--data.target=y"]
    words += ["--convergence.max_epochs=2", "--trainer.enable_progress_bar=false"]
    words += [word for word in more if word.startswith("--search=")]
    if "--search=PoolSearch" in more:
        words.append(f"--search.path={table}.pool.csv")
    else:
        size = "steps" if "--search=GradientAscent" in more else "samples"
        words += [f"--search.num_{size}={9 if size == 'steps' else 60}"]
        words.append("--search.num_iterations=2")
    if constraints := TABLES[table].get("constraints"):
        words.append(f"--data.constraints={constraints}")
    main(["fit", *words, *(word for word in more if not word.startswith("--search="))])


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_go_together_is_refused_in_one_line(name: str, folder: Path) -> None:
    (table, *more), message = REFUSED[name]
    with pytest.raises(SystemExit, match=message) as stop:
        fit(table, *more)
    said = str(stop.value.code)
    assert said.startswith("error: ")
    assert "\n" not in said
    assert not list(folder.rglob("candidates.csv"))


DIAGONAL = {
    "ConservativeObjectiveModel": (
        "steps",
        ["--search=GradientAscent", "--model.hidden_sizes=[8]"],
    ),
    "GaussianProcess": ("mixture", ["--model.num_inducing=20"]),
    "Stack": ("few", ["--model.num_folds=3"]),
    "TreeEnsemble": ("categories", ["--search=PoolSearch", "--autofocus.enabled=false"]),
}
"""A table of each kind, and how it is searched, by the command line."""


@pytest.mark.parametrize("kind", DIAGONAL)
def test_the_command_line(kind: str, folder: Path) -> None:
    table, more = DIAGONAL[kind]
    words = [f"--model={kind}", *more, "--num_candidates=4"]
    if "--search=PoolSearch" in more:
        words.append("--keep_known=true")
    if "--search=GradientAscent" in more:
        words.append("--autofocus.alpha=0.3")
    fit(table, *words)
    out = folder / "runs/my_data/version_0"
    found = pd.read_csv(out / "candidates.csv")
    assert len(found) == 4
    assert found[["oracle_mean", "oracle_std"]].notna().all(axis=None)
    assert kind in (out / "report.html").read_text()
    main(["predict", f"--ckpt_path={out}", f"--candidates={table}.pool.csv", "--keep_known=true"])
    ranked = pd.read_csv(out / "predicted_candidates.csv")
    assert len(ranked) == len(frame(table).drop(columns="y").drop_duplicates())
    assert ranked["oracle_mean"].notna().all()
    if "--search=PoolSearch" in more:
        best = ranked["oracle_mean"].iloc[0]
        assert found["oracle_mean"].iloc[0] == pytest.approx(best)
        return
    before = pd.read_csv(out / "trajectory.csv")
    with blank_pages():
        fit(table, *words, "--ckpt_path=last", "--search.num_iterations=3")
    resumed = pd.read_csv(out / "trajectory.csv")
    assert len(resumed) == 3
    told_before = resumed[["design_iteration", "oracle_p80", "threshold"]].head(2)
    pd.testing.assert_frame_equal(told_before, before[list(told_before)])
    assert len(pd.read_csv(out / "candidates.csv")) == 4
