"""A design problem of two dimensions with a ground truth in closed form, and runs on it."""

from __future__ import annotations

import copy
import importlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.distributions import Normal

from lightning_mbo.algorithms import Algorithm, CbAS
from lightning_mbo.data import DesignDataModule
from lightning_mbo.oracles import DeepEnsemble, GradientOracle, Oracle
from lightning_mbo.samples import Prediction, Samples
from lightning_mbo.search_models import MultivariateNormal, SearchModel
from lightning_mbo.space import DesignSpace

callbacks: Any = importlib.import_module("lightning_mbo.callbacks")

NUM_DESIGNS, NUM_SAMPLES = 60, 100
SCALE, OFFSET = np.array([2.0, 3.0]), np.array([1.0, -1.0])


def height(designs: Tensor) -> Tensor:
    return 5 - (designs - 2).square().sum(1)


class Quadratic(DesignDataModule):
    """Points in the plane and their height, greatest at (2, 2)."""

    property_name = "height (m)"

    def __init__(self, ground_truth: Callable[[Tensor], Tensor] | None = height) -> None:
        super().__init__(batch_size=20)
        self.ground_truth = ground_truth

    def load(self) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(3)
        designs = torch.randn(NUM_DESIGNS, 2, generator=generator, dtype=torch.float64)
        return designs, height(designs)

    def to_user_units(self, designs: Tensor) -> pd.DataFrame:
        return pd.DataFrame(designs.numpy() * SCALE + OFFSET, columns=["width", "length"])


class Indifferent(Algorithm):
    """Weighs all samples alike until an iteration, from which on it gives them all one value."""

    def __init__(self, until: int = 1000, then: float = 0.0) -> None:
        super().__init__()
        self.until, self.then, self.num_calls = until, then, 0

    def start(self, designs: Tensor, properties: Tensor) -> None:
        self.threshold.zero_()

    def log_weights(self, samples: Samples) -> Tensor:
        value = 0.0 if self.num_calls < self.until else self.then
        self.num_calls += 1
        return torch.full_like(samples.log_prob, value)


class ScriptedOracle(GradientOracle):
    """Has the validation losses of a table ``[fit][epoch][member]``; its parameters move."""

    learning_rate = 0.1

    def __init__(self, losses: Sequence[Sequence[Sequence[float]]]) -> None:
        super().__init__(num_members=len(losses[0][0]))
        self.losses = losses
        self.present = (-1, -1)

    def build(self, space: DesignSpace) -> None:
        self.offsets = torch.nn.Parameter(torch.zeros(self.num_members, 1))

    def member_outputs(self, designs: Tensor) -> Normal:
        means = 3.0 + self.offsets + 0 * designs.sum(-1)
        return Normal(means, torch.ones_like(means), validate_args=False)

    def end_validation(self) -> dict[str, Tensor]:
        fit = self.trainer.datamodule.fits.num_fits - 1
        epoch = self.present[1] + 1 if self.present[0] == fit else 0
        self.present = fit, epoch
        self.validation_losses = torch.tensor(self.losses[fit][epoch])
        return {"validation_loss": self.validation_losses}


class PromisingOracle(ScriptedOracle):
    """Promises the same of all samples: in each design iteration the next of some numbers."""

    def __init__(self, promises: Sequence[float]) -> None:
        super().__init__([[[1.0]] * 3] * 10)
        self.promises = iter(promises)

    def predict(self, designs: Tensor) -> Prediction:
        means = torch.full((len(designs),), next(self.promises), dtype=torch.float64)
        return Prediction(means, torch.ones_like(means), 0 * means)


class Recorder(callbacks.DesignCallback):
    """Keeps what is announced, and copies of what changes later."""

    def __init__(self) -> None:
        self.num_oracle_fits = 0
        self.iterations: list[Any] = []
        self.search_models: list[Any] = []
        self.sampled_models: list[Any] = []
        self.last_samples: list[Tensor] = []
        self.oracles: list[dict[str, Tensor]] = []
        self.weights: list[Tensor] = []
        self.fits: list[int] = []

    def on_oracle_fit_end(self, trainer: pl.Trainer, oracle: Oracle) -> None:
        self.num_oracle_fits += 1

    def on_search_model_update(self, trainer: pl.Trainer, oracle: Oracle, iteration: Any) -> None:
        search = find(trainer, callbacks.SearchModelUpdate)
        self.iterations.append(iteration)
        self.search_models.append(copy.deepcopy(iteration.search_model))
        self.sampled_models.append(copy.deepcopy(search.search.sampled_model))
        self.last_samples.append(search.search.last_samples(oracle))
        self.oracles.append(copy.deepcopy(oracle.state_dict()))
        self.weights.append(trainer.datamodule.weights.clone())
        self.fits.append(trainer.datamodule.fits.num_fits)

    def numpy(self, t: int) -> tuple[NDArray[np.float64], ...]:
        """Samples, oracle means and standard deviations, log p_θ and log p_0 of an iteration."""
        samples = self.iterations[t].samples
        return tuple(
            tensor.numpy()
            for tensor in (
                samples.designs,
                samples.prediction.mean,
                samples.prediction.std,
                samples.log_prob,
                samples.log_prob_training,
            )
        )


def find(trainer: pl.Trainer, kind: type) -> Any:
    return next(callback for callback in trainer.callbacks if isinstance(callback, kind))


def ensemble() -> DeepEnsemble:
    return DeepEnsemble(hidden_sizes=(8,), learning_rate=0.02)


def search_update(
    algorithm: Algorithm | None = None,
    num_iterations: int = 3,
    search_model: SearchModel | None = None,
) -> Any:
    return callbacks.SearchModelUpdate(
        CbAS() if algorithm is None else algorithm,
        MultivariateNormal() if search_model is None else search_model,
        num_samples=NUM_SAMPLES,
        num_iterations=num_iterations,
    )


def trainer_with(folder: Path, *used: pl.Callback, **options: Any) -> pl.Trainer:
    checkpoints = any(isinstance(c, pl.callbacks.ModelCheckpoint) for c in used)
    options = {
        "logger": False,
        "max_epochs": -1,
        "enable_checkpointing": checkpoints,
        "enable_progress_bar": False,
    } | options
    return pl.Trainer(
        default_root_dir=folder,
        accelerator="cpu",
        num_sanity_val_steps=0,
        log_every_n_steps=1,
        enable_model_summary=False,
        callbacks=list(used),
        **options,
    )


def run(
    folder: Path,
    *used: pl.Callback,
    oracle: Oracle | None = None,
    data: DesignDataModule | None = None,
    algorithm: Algorithm | None = None,
    search_model: SearchModel | None = None,
    num_iterations: int = 3,
    weighting: Any = None,
    max_epochs: int = 3,
    **options: Any,
) -> tuple[pl.Trainer, Recorder]:
    """Fit; by default CbAS with a deep ensemble, autofocused. The recorder acts before `used`."""
    recorder = Recorder()
    trainer = trainer_with(
        folder,
        search_update(algorithm, num_iterations, search_model),
        callbacks.ImportanceWeighting(0.2) if weighting is None else weighting,
        callbacks.OracleConvergence(max_epochs=max_epochs),
        recorder,
        *used,
        **options,
    )
    trainer.fit(oracle or ensemble(), datamodule=data or Quadratic())
    return trainer, recorder


def read_table(path: Path) -> pd.DataFrame:
    """Numbers exactly as they were written."""
    return pd.read_csv(path, dtype=str).astype(float)


def equal_states(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    assert one.keys() == other.keys()
    return all(torch.equal(one[name], other[name]) for name in one)
