"""Every shipped config on a device that is not the CPU, without one.

On the host remain, and are not run here: what happens once a design iteration or an oracle epoch
to decide how to go on and what to record; the fit of a search model (its covariance is repaired
where it has lost rank, and cma's `tell` is numpy's); and the fits in closed form, of which each
Cholesky decomposition's success is the host's to know.
"""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.nn import functional

from lightning_mbo.data import DesignDataModule
from lightning_mbo.importance import (
    effective_sample_size,
    importance_weights,
    normalized_weights,
)
from lightning_mbo.oracles import DifferentiableOracle, Oracle, ascend
from lightning_mbo.samples import JudgedDesigns, Samples
from lightning_mbo.searches import SamplingSearch
from tests.devices.one_device import META, DeviceError, OneDevice, meta_generator
from tests.devices.shipped import RUNS, Unstarted, options_of

callbacks = importlib.import_module("lightning_mbo.callbacks")
pytestmark = pytest.mark.filterwarnings("ignore:LightningCLI's args parameter is intended")


def unstarted(config: str, small_run: list[str], folder: Path) -> Unstarted:
    """All parts of a run whose trainer trains on `meta`."""
    on_meta = ["--trainer.strategy=SingleDeviceStrategy", "--trainer.strategy.device=meta"]
    return Unstarted(["fit", *options_of(config, small_run, folder), *on_meta])


# Trees grow on the host, and a stack asks there which of its oracles speak: on `meta` is no answer.
ON_THE_HOST = {"my_data.yaml", "my_data_trees.yaml"}


@pytest.mark.parametrize("config", sorted(set(RUNS) - ON_THE_HOST))
def test_all_of_a_run_is_on_its_device(config: str, small_run: list[str], tmp_path: Path) -> None:
    run = unstarted(config, small_run, tmp_path)
    trainer, oracle, data = run.trainer, run.model, run.datamodule
    assert trainer.strategy.root_device == META
    trainer.datamodule = data
    trainer.strategy.connect(oracle)
    data.trainer = oracle.trainer = trainer
    data.setup("fit")
    search = next(c for c in trainer.callbacks if isinstance(c, callbacks.SearchCallback))
    search.setup(trainer, oracle, "fit")
    with OneDevice():
        with trainer.init_module():  # as Lightning builds a model
            oracle.configure_model()
        oracle.to(META)
        take_steps(trainer, oracle, data)
        if isinstance(search, callbacks.GradientAscent):
            judged = climb(search, oracle, data)
        elif isinstance(search, callbacks.ModelInversion):
            judged = asked(search, oracle, data)
        else:
            judged = e_step(search, oracle, data)
    assert judged.designs.device == judged.prediction.mean.device == META


@pytest.mark.parametrize(
    "config", ["cbas.yaml", "my_data.yaml", "quadratic.yaml", "tf_bind_8.yaml", "toy.yaml"]
)
def test_the_table_is_the_cpus_whatever_the_default_device(
    config: str, small_run: list[str], tmp_path: Path
) -> None:
    expected, data = (unstarted(config, small_run, tmp_path).datamodule for _ in range(2))
    expected.setup("fit")
    with META, OneDevice():
        data.setup("fit")
        assert data.feasible(data.nearest_allowed(data.designs)).device.type == "cpu"
    for name, value in vars(expected).items():
        if isinstance(value, Tensor):
            assert torch.equal(getattr(data, name), value), name


@pytest.mark.parametrize("config", ["quadratic.yaml", "toy.yaml"])
def test_the_truth_lies_where_the_designs_lie(
    config: str, small_run: list[str], tmp_path: Path
) -> None:
    data = unstarted(config, small_run, tmp_path).datamodule
    data.setup("fit")
    designs = data.designs.to(META)
    with OneDevice():
        assert data.ground_truth(designs).device == META


def take_steps(trainer: pl.Trainer, oracle: Oracle, data: DesignDataModule) -> None:
    """Two steps of training, and one of validation."""
    optimizer = oracle.configure_optimizers()
    if isinstance(optimizer, torch.optim.Optimizer):
        for group in optimizer.param_groups:
            group["fused"] = False  # which `meta` does not know
        trainer.strategy.optimizers = [optimizer]
    training, validation = data.train_dataloader(), data.val_dataloader()
    oracle.training_step(next(iter(training))[:2], 0)
    with torch.no_grad():
        oracle.validation_step(next(iter(validation)), 0)


def e_step(
    callback: callbacks.SearchModelUpdate, oracle: Oracle, data: DesignDataModule
) -> Samples:
    """Samples, what the oracle says of them, and their weights; and the table's rows'."""
    search = callback.search
    model, p_0 = search.search_model, search.training_distribution
    drawn = model.sample(64, meta_generator())
    samples = judged(data.nearest_allowed(drawn), drawn, search, oracle)
    at = samples
    if model.has_nodes:
        at = judged(model.nodes, model.nodes, search, oracle)
    weights = normalized_weights(search.algorithm.log_weights(at))
    assert weights.shape == at.log_prob.shape
    rows = data.designs.to(META)
    ratios = model.log_prob(rows) - p_0.log_prob(rows)
    effective_sample_size(importance_weights(ratios, 0.2))
    return samples


def asked(
    callback: callbacks.ModelInversion, oracle: Oracle, data: DesignDataModule
) -> JudgedDesigns:
    """Samples of the inverse map, and what the oracle says of them."""
    drawn = callback.search.inverse_map.sample(1.0, 64, meta_generator())
    designs = data.nearest_allowed(drawn)
    return JudgedDesigns(designs, oracle.predict(designs), drawn)


def judged(designs: Tensor, drawn: Tensor, search: SamplingSearch, oracle: Oracle) -> Samples:
    known = {
        "drawn": drawn,
        "designs": designs,
        "prediction": oracle.predict(designs),
        "log_prob": search.search_model.log_prob(drawn),
        "log_prob_training": search.training_distribution.log_prob(drawn),
    }
    return Samples(**{field.name: known[field.name] for field in dataclasses.fields(Samples)})


def climb(
    callback: callbacks.GradientAscent, oracle: Oracle, data: DesignDataModule
) -> JudgedDesigns:
    """A few steps from the first designs, and what the oracle says of where they lead."""
    assert isinstance(oracle, DifferentiableOracle)
    start = oracle.representation.encode(data.designs[:16].to(META, torch.float32))
    search = callback.search
    found = ascend(
        lambda inputs: search.objective(oracle.input_outputs(inputs)), start, 3, search.step_size
    )
    drawn = oracle.representation.decode(found).double()
    designs = data.nearest_allowed(drawn)
    return JudgedDesigns(designs, oracle.predict(designs), drawn)


def _generated(device: str) -> Tensor:
    return torch.rand(3, generator=torch.Generator("cpu").manual_seed(1), device=device)


@pytest.mark.parametrize(
    "mistake",
    [
        lambda here, there: here @ there,
        lambda here, there: here[torch.tensor([0, 1])],
        lambda here, there: torch.where(here > 0, there, here),
        lambda here, there: _generated("meta"),
        lambda here, there: here.exponential_(generator=torch.Generator("cpu").manual_seed(1)),
        lambda here, there: here.multinomial(1, generator=meta_generator()),
        lambda here, there: here.__setitem__(here > 0, 0.0),
        lambda here, there: torch.linalg.cholesky(here),
        lambda here, there: here[here > 0],
        lambda here, there: here.sum().item(),
        lambda here, there: here.tolist(),
        lambda here, there: bool(here.any()),
        lambda here, there: here.cpu(),
        lambda here, there: there.copy_(here),
    ],
)
def test_mistakes_are_refused(mistake: Callable[[Tensor, Tensor], object]) -> None:
    here, there = torch.ones(3, 3, device=META), torch.ones(3, 3)
    with OneDevice(), pytest.raises((DeviceError, NotImplementedError, RuntimeError)):
        mistake(here, there)


def test_what_a_gpu_allows_is_allowed() -> None:
    here, there = torch.ones(3, 3, device=META), torch.ones(3, 3)
    with OneDevice():
        here *= torch.tensor(2.0)
        here.copy_(there)
        here += there.to(META)
        here.multinomial(5, replacement=True, generator=meta_generator())
        functional.one_hot(here.argmax(1), 3)
        _generated("cpu").to(META)
