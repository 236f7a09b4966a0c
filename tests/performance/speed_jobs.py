"""What `speed.py` measures, each in a process of its own: `speed_jobs.py JOB SIZE`."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path

import pytorch_lightning as pl
import torch
from bare_loop import bare_run
from torch import Tensor

import lightning_mbo.main
from lightning_mbo import CSV
from lightning_mbo.algorithms import CbAS
from lightning_mbo.checkpoints import AtomicCheckpointIO
from lightning_mbo.data import DesignBatch, DesignDataModule, Superconductor
from lightning_mbo.oracles import BatchAscent, ConservativeObjectiveModel, DeepEnsemble
from lightning_mbo.search_models import MultivariateNormal
from lightning_mbo.space import DesignSpace

callbacks = importlib.import_module("lightning_mbo.callbacks")
for name in ("pandas", "matplotlib.pyplot", "tensorboard", "torch.utils.tensorboard"):
    importlib.import_module(name)  # which a run imports where it uses them
UCI = Path(__file__).parents[3] / "shared" / "data" / "superconductor_train.csv.gz"
ITERATIONS, SAMPLES = 20, 10_000
INPUTS, HIDDEN, BATCH, ASCENT_STEPS, TRAINING_STEPS = 24, 2048, 128, 50, 5
MEMBER_STEPS = 1000


def imports(size: int) -> None:
    """What every other job has done before it begins."""


def superconductors() -> DesignDataModule:
    data = Superconductor(path=UCI if UCI.exists() else None)
    data.setup("fit")
    return data


def bare_loop(size: int) -> None:
    bare_run(superconductors(), ITERATIONS, SAMPLES)


def design_run(size: int) -> None:
    """The steps of the bare loop by a trainer, with all that a run keeps but its report."""
    trainer = pl.Trainer(
        max_epochs=-1,
        accelerator="cpu",
        log_every_n_steps=1,
        num_sanity_val_steps=0,
        enable_model_summary=False,
        logger=pl.loggers.TensorBoardLogger(Path.cwd()),
        plugins=[AtomicCheckpointIO()],
        callbacks=[
            callbacks.SearchModelUpdate(CbAS(), MultivariateNormal(), SAMPLES, ITERATIONS),
            callbacks.ImportanceWeighting(alpha=0.2, min_effective_sample_size=0.0),
            callbacks.OracleConvergence(),
            callbacks.Scoring(),
            callbacks.Trajectory(),
            callbacks.CandidateWriter(),
            callbacks.DesignCheckpoint(),
            callbacks.DesignProgress(),
        ],
    )
    trainer.fit(DeepEnsemble(), datamodule=superconductors())


def fit(size: int, *options: str) -> None:
    """A table of the user's from its file to its report, one epoch a fit and two iterations."""
    sys.argv = ["lightning_mbo", "fit", "--config", "my_data.yaml", "--data.path", "table.csv"]
    sys.argv += ["--data.target", "y", "--search.num_iterations", "2"]
    sys.argv += ["--convergence.max_epochs", "1", *options]
    lightning_mbo.main.main()


def rows(size: int) -> None:
    fit(size)


def samples(size: int) -> None:
    fit(size, "--search.num_samples", str(size))


def columns(size: int) -> None:
    CSV("table.csv", "y").setup("fit")


def columns_fitted(size: int) -> None:
    fit(size)


def members(size: int) -> None:
    """Steps of the paper's ensemble, of so many members."""
    oracle = DeepEnsemble(num_members=size)
    oracle.build(DesignSpace.of_shape(torch.Size([60])))
    drawn = torch.randn(size, 100, 60), torch.randn(size, 100), torch.ones(size, 100)
    train(oracle, DesignBatch(*drawn, 100), MEMBER_STEPS)


def conservative_steps(size: int) -> None:
    oracle = ConservativeObjectiveModel(
        hidden_sizes=(HIDDEN, HIDDEN), adversary=BatchAscent(ASCENT_STEPS)
    )
    oracle.build(DesignSpace.of_shape(torch.Size([INPUTS])))
    drawn = torch.randn(1, BATCH, INPUTS), torch.randn(1, BATCH), torch.ones(1, BATCH)
    train(oracle, DesignBatch(*drawn, BATCH), TRAINING_STEPS)


def train(
    oracle: DeepEnsemble | ConservativeObjectiveModel, batch: DesignBatch, steps: int
) -> None:
    optimizer = oracle.configure_optimizers()
    for _ in range(steps):
        optimizer.zero_grad()
        oracle.member_losses(batch).sum().backward()
        optimizer.step()


def products(size: int) -> None:
    """The matrix products of `conservative_steps`: of ascents, then of a pass that trains."""
    shapes = [(INPUTS, HIDDEN), (HIDDEN, HIDDEN), (HIDDEN, 1)]
    weights = [torch.ones(shape) for shape in shapes]
    inputs, hidden, outputs = (torch.ones(2 * BATCH, n) for n in (INPUTS, HIDDEN, 1))
    for _ in range(TRAINING_STEPS):
        for _ in range(ASCENT_STEPS):
            pass_forward(inputs[:BATCH], hidden[:BATCH], weights)
            _ = outputs[:BATCH] @ weights[2].mT
            _ = hidden[:BATCH] @ weights[1].mT, hidden[:BATCH] @ weights[0].mT
        # The points of the batch and their adversaries.
        pass_forward(inputs, hidden, weights)
        _ = outputs @ weights[2].mT, hidden @ weights[1].mT
        _ = inputs.mT @ hidden, hidden.mT @ hidden, hidden.mT @ outputs


def pass_forward(inputs: Tensor, hidden: Tensor, weights: list[Tensor]) -> None:
    _ = inputs @ weights[0], hidden @ weights[1], hidden @ weights[2]


JOBS: dict[str, Callable[[int], None]] = {
    job.__name__: job
    for job in (
        imports,
        bare_loop,
        design_run,
        rows,
        samples,
        columns,
        columns_fitted,
        members,
        conservative_steps,
        products,
    )
}

if __name__ == "__main__":
    pl.seed_everything(0)
    torch.set_num_threads(1)
    JOBS[sys.argv[1]](int(sys.argv[2]))
