"""A run without a trainer ends with the bits of one with a trainer, whatever it is made of."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback

from lightning_mbo.algorithms import CEMPI, CMAES, FB, RWR, AnnealedCbAS, CbAS, DbAS
from lightning_mbo.data import CSV, DesignDataModule
from lightning_mbo.importance import Autofocus, Kind
from lightning_mbo.oracles import (
    AdditiveRegression,
    ConservativeObjectiveModel,
    Convergence,
    DeepEnsemble,
    GaussianProcess,
    KernelRidge,
    NormalizedLikelihoodModel,
    Oracle,
    PersistentParticles,
    RankingEnsemble,
    RegressionEnsemble,
    TreeEnsemble,
)
from lightning_mbo.random import Stream
from lightning_mbo.samples import DesignIteration
from lightning_mbo.search_models import CategoricalMixture, Product
from lightning_mbo.searches import (
    AscentSearch,
    InversionSearch,
    SamplingSearch,
    Search,
    design,
    inverse_map,
)

callbacks: Any = importlib.import_module("lightning_mbo.callbacks")

ORACLES: dict[str, Callable[[], Oracle]] = {
    "deep": lambda: DeepEnsemble(2, (8,), learning_rate=0.02),
    "regression": lambda: RegressionEnsemble(2, (8,)),
    "ranking": lambda: RankingEnsemble(2, (8,)),
    "nemo": lambda: NormalizedLikelihoodModel((8,), num_bins=5),
    "coms": lambda: ConservativeObjectiveModel(
        hidden_sizes=(8,), adversary=PersistentParticles(16, 2, num_steps=6)
    ),
    "gaussian process": GaussianProcess,
    "kernel ridge": lambda: KernelRidge(gamma=0.5),
    "additive": AdditiveRegression,
    "trees": lambda: TreeEnsemble(2, most_trees=5),
}
ALGORITHMS = {kind.__name__: kind for kind in (CbAS, AnnealedCbAS, DbAS, RWR, FB, CEMPI, CMAES)}
SEARCHES: dict[str, Callable[[], Search]] = {
    name: lambda kind=kind: SamplingSearch(kind(), num_samples=60)  # type: ignore[misc]
    for name, kind in ALGORITHMS.items()
} | {"ascent": lambda: AscentSearch(num_steps=3, num_starts=9)}
TABLES: dict[str, dict[str, Any]] = {
    "numbers": {},
    "mixed": {"columns": {"count": {"step": 1}}},
    "constrained": {"constraints": ["a + b <= 4"], "maximize": False, "weight_column": "w"},
}


def table(kind: str) -> CSV:
    draw = np.random.default_rng(0)
    frame = pd.DataFrame(draw.normal(size=(60, 2)), columns=["a", "b"])
    if kind == "mixed":
        frame["count"] = draw.integers(0, 9, 60)
        frame["solvent"] = draw.choice(["DMF", "THF", "MeOH"], 60)
    if kind == "constrained":
        frame["w"] = draw.gamma(2.0, size=60)
    frame["y"] = frame["a"] - frame["b"] ** 2 + 0.1 * draw.normal(size=60)
    return CSV(frame, "y", batch_size=20, held_out_fraction=0.2, **TABLES[kind])


class Keeper(callbacks.DesignCallback):
    """Keeps the figures of each iteration."""

    def __init__(self) -> None:
        self.kept: list[list[torch.Tensor]] = []

    def on_search_model_update(self, trainer: Any, oracle: Any, iteration: Any) -> None:
        self.kept.append(figures(iteration))


def figures(iteration: DesignIteration) -> list[torch.Tensor]:
    samples, held_out = iteration.samples, iteration.held_out
    assert held_out is not None
    tensors = [samples.designs, samples.prediction.mean, samples.prediction.std, held_out.mean]
    ratios = (iteration.log_ratios, iteration.sampled_log_ratios, iteration.held_out_log_ratios)
    return [tensor.clone() for tensor in (*tensors, *ratios) if tensor is not None]


def without_trainer(
    data: DesignDataModule, oracle: Oracle, search: Search, ratio: Kind = "exact"
) -> list[Any]:
    autofocus = None
    if not (isinstance(search, AscentSearch) and not search.with_densities):
        autofocus = Autofocus(0.3, ratio=ratio)
    found = design(
        data.problem,
        oracle,
        search,
        num_iterations=3,
        autofocus=autofocus,
        convergence=Convergence(max_epochs=3),
        batch_size=data.batch_size,
    )
    return [figures(iteration) for iteration in found]


def with_trainer(
    data: DesignDataModule, oracle: Oracle, search: Search, folder: Path, ratio: Kind = "exact"
) -> list[Any]:
    if isinstance(search, SamplingSearch):
        driver = callbacks.SearchModelUpdate(search.algorithm, num_samples=60, num_iterations=3)
    elif isinstance(search, InversionSearch):
        driver = callbacks.ModelInversion(num_samples=60, num_iterations=3)
    else:
        driver = callbacks.GradientAscent(3, num_starts=search.num_starts, num_iterations=3)
    keeper = Keeper()
    used: list[Callback] = [
        driver,
        callbacks.ImportanceWeighting(0.3, ratio=ratio),
        callbacks.OracleConvergence(max_epochs=3),
        keeper,
    ]
    trainer = pl.Trainer(
        default_root_dir=folder,
        accelerator="cpu",
        logger=False,
        max_epochs=-1,
        num_sanity_val_steps=0,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=used,
    )
    trainer.fit(oracle, datamodule=data)
    return keeper.kept


@pytest.mark.filterwarnings("ignore:.*count for", "ignore:the search ends after")
@pytest.mark.parametrize("kind", TABLES)
@pytest.mark.parametrize("search", SEARCHES)
@pytest.mark.parametrize("oracle", ORACLES)
def test_a_trainer_makes_no_difference(oracle: str, search: str, kind: str, tmp_path: Path) -> None:
    if oracle in ("kernel ridge", "trees") and search == "ascent":
        pytest.skip("it says nothing of gradients")
    if (search, kind) == ("CMAES", "mixed"):
        pytest.skip("it searches among numbers alone")
    data = table(kind)
    data.setup("fit")
    searches = SEARCHES[search](), SEARCHES[search]()
    if isinstance(searches[0], AscentSearch):
        searches[0].with_densities = True
    plain = without_trainer(data, ORACLES[oracle](), searches[0])
    driven = with_trainer(table(kind), ORACLES[oracle](), searches[1], tmp_path)
    # With so few samples none passes the threshold of FB.
    assert len(plain) == len(driven) == (1 if search == "FB" and len(plain) == 1 else 3)
    for one, other in zip(plain, driven, strict=True):
        assert len(one) == len(other)
        assert all(torch.equal(*pair) for pair in zip(one, other, strict=True))


@pytest.mark.filterwarnings("ignore:.*count for")
@pytest.mark.parametrize("kind", TABLES)
@pytest.mark.parametrize("search", ["CbAS", "ascent", "inversion"])
def test_a_trainer_makes_no_difference_to_a_classifier(
    search: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inverse_map, "FIRST_STEPS", 50)
    data = table(kind)
    data.setup("fit")
    searches: list[Any] = [SamplingSearch(CbAS(), num_samples=60) for _ in range(2)]
    if search == "inversion":
        searches = [InversionSearch(num_samples=60) for _ in range(2)]
    if search == "ascent":
        searches = [AscentSearch(num_steps=3, num_starts=20) for _ in range(2)]
        searches[0].with_densities = True
    plain = without_trainer(data, ORACLES["deep"](), searches[0], "classifier")
    driven = with_trainer(table(kind), ORACLES["deep"](), searches[1], tmp_path, "classifier")
    assert len(plain) == len(driven) == 3
    for one, other in zip(plain, driven, strict=True):
        assert len(one) == len(other) == 7
        assert all(torch.equal(*pair) for pair in zip(one, other, strict=True))


@pytest.mark.filterwarnings("ignore:.*count for")
@pytest.mark.parametrize("oracle", ["deep", "kernel ridge"])
def test_all_is_drawn_by_the_problems_seed(oracle: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = table("mixed")
    data.setup("fit")
    monkeypatch.setenv("PL_GLOBAL_SEED", "is not read")

    def drawn(seed: int) -> list[torch.Tensor]:
        """What a mixture's first fit, the samples and the oracle's splits have come to."""
        torch.manual_seed(torch.seed())
        search = SamplingSearch(CbAS(), CategoricalMixture(2), num_samples=60)
        problem = replace(data.problem, stream=Stream(seed))
        fitted = ORACLES[oracle]()
        (made,) = design(problem, fitted, search, 1, convergence=Convergence(max_epochs=2))
        assert isinstance(search.training_distribution, Product)
        mixture = search.training_distribution.categories.state_dict()
        return [mixture["log_probabilities"], made.samples.designs, fitted.validation_losses]

    first, again, other = drawn(1), drawn(1), drawn(2)
    assert all(torch.equal(*pair) for pair in zip(first, again, strict=True))
    assert not any(torch.equal(*pair) for pair in zip(first, other, strict=True))


def test_a_trainers_seed_makes_no_difference(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PL_GLOBAL_SEED", "7")
    data = table("mixed")
    data.setup("fit")
    driven = with_trainer(table("mixed"), ORACLES["deep"](), SEARCHES["CbAS"](), tmp_path)
    monkeypatch.setenv("PL_GLOBAL_SEED", "is not read")
    plain = without_trainer(data, ORACLES["deep"](), SEARCHES["CbAS"]())
    for one, other in zip(plain, driven, strict=True):
        assert all(torch.equal(*pair) for pair in zip(one, other, strict=True))
