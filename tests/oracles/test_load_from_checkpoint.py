"""The oracle of a run, read back without a trainer."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Normal

from lightning_mbo.checkpoints import read_checkpoint
from lightning_mbo.data import DesignDataModule, Quadratic, TFBind8, Toy
from lightning_mbo.errors import CheckpointError
from lightning_mbo.oracles import (
    AdditiveRegression,
    BatchAscent,
    ConservativeObjectiveModel,
    ConvolutionalEnsemble,
    DeepEnsemble,
    GaussianProcess,
    GradientOracle,
    KernelRidge,
    NormalizedLikelihoodModel,
    Oracle,
    PersistentParticles,
    RankCosine,
    RankingEnsemble,
    RegressionEnsemble,
    SmoothedLogits,
    TreeEnsemble,
)
from lightning_mbo.samples import Prediction
from lightning_mbo.space import DesignSpace
from tests.oracles.short_run import trained
from tests.readmes import section

callbacks = importlib.import_module("lightning_mbo.callbacks")


class Level(GradientOracle):
    """A user's own, with arguments that are kept, passed on, and lost."""

    learning_rate = 0.1

    def __init__(self, levels: tuple[float, ...] = (0.5,), lost: int = 0, **kwargs: int) -> None:
        super().__init__(**kwargs)
        self.levels = levels

    def build(self, space: DesignSpace) -> None:
        self.offset = nn.Parameter(torch.zeros(self.num_members, 1))

    def member_outputs(self, designs: Tensor) -> Normal:
        mean = (self.offset + sum(self.levels) + 0 * designs[..., 0]).float()
        return Normal(mean, torch.ones_like(mean), validate_args=False)


def fitted(oracle: Oracle, data: DesignDataModule, folder: Path) -> tuple[Path, Prediction]:
    """A checkpoint of a short run, and what its oracle says of the first designs."""
    trained(oracle, data).save_checkpoint(folder / "oracle.ckpt")
    return folder / "oracle.ckpt", oracle.predict(data.designs[:20])


ORACLES = {
    "deep": (lambda: DeepEnsemble(2, (8, 4)), Quadratic),
    "regression": (lambda: RegressionEnsemble(3, [8], negative_slope=0.2), Quadratic),
    "ranking": (lambda: RankingEnsemble(2, [8], loss=RankCosine()), Quadratic),
    "normalised likelihood": (lambda: NormalizedLikelihoodModel([8], num_bins=5), Quadratic),
    "coms": (
        lambda: ConservativeObjectiveModel(
            hidden_sizes=[8], adversary=PersistentParticles(16, 2, num_steps=6)
        ),
        Quadratic,
    ),
    "coms of sequences": (
        lambda: ConservativeObjectiveModel(
            hidden_sizes=[8],
            alpha=0.3,
            adversary=BatchAscent(2),
            representation=SmoothedLogits(0.3, standardize=True),
        ),
        lambda: TFBind8(batch_size=10_000),
    ),
    "convolutional": (
        lambda: ConvolutionalEnsemble(2, window=3, num_channels=4),
        lambda: TFBind8(batch_size=10_000),
    ),
    "gaussian process": (lambda: GaussianProcess(max_designs=5000), Toy),
    "gaussian process of inducing designs": (lambda: GaussianProcess(num_inducing=9), Toy),
    "kernel ridge": (lambda: KernelRidge(gamma=0.5), Toy),
    "additive": (lambda: AdditiveRegression(products=False), Quadratic),
    "additive with products": (AdditiveRegression, Quadratic),
    "trees": (lambda: TreeEnsemble(2, most_trees=9), Toy),
    "trees of sequences": (
        lambda: TreeEnsemble(2, most_trees=3),
        lambda: TFBind8(batch_size=10_000),
    ),
}


@pytest.mark.parametrize("kind", ORACLES)
def test_it_predicts_what_it_did_in_the_run(kind: str, tmp_path: Path) -> None:
    make, load = ORACLES[kind]
    oracle, data = make(), load()
    path, expected = fitted(oracle, data, tmp_path)
    found = type(oracle).load_from_checkpoint(path)
    prediction = found.predict(data.designs[:20])
    assert torch.equal(prediction.mean, expected.mean)
    assert torch.equal(prediction.std, expected.std)
    assert prediction.mean.std() > 0
    for name, value in vars(oracle).items():
        if isinstance(value, (int, float, tuple)) and not name.startswith("_"):
            assert getattr(found, name) == value, name


def test_what_is_read_back_can_be_fitted_further(tmp_path: Path) -> None:
    data = Quadratic()
    path, before = fitted(DeepEnsemble(2, (8,)), data, tmp_path)
    oracle = DeepEnsemble.load_from_checkpoint(path)
    _, after = fitted(oracle, Quadratic(), tmp_path)
    again = DeepEnsemble.load_from_checkpoint(tmp_path / "oracle.ckpt")
    assert torch.equal(again.predict(data.designs[:20]).mean, after.mean)
    assert not torch.equal(after.mean, before.mean)


def test_the_readmes_own_oracle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = section("lightning_mbo/oracles/README.md", "Your own").blocks
    code = next(code for language, code in found if language == "python")
    (tmp_path / "my_oracle.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    try:
        linear = importlib.import_module("my_oracle").LinearEnsemble
        data = Quadratic()
        path, expected = fitted(linear(num_members=4, learning_rate=0.02), data, tmp_path)
        found = linear.load_from_checkpoint(path)
    finally:
        sys.modules.pop("my_oracle", None)
    assert (found.num_members, found.learning_rate) == (4, 0.02)
    assert torch.equal(found.predict(data.designs[:20]).mean, expected.mean)


def test_what_the_checkpoint_does_not_know_is_asked_for(tmp_path: Path) -> None:
    data = Quadratic()
    path, expected = fitted(Level((1.0, 2.5), num_members=2), data, tmp_path)
    with pytest.raises(CheckpointError, match=r"does not know what lost .*path, lost=\.\.\."):
        Level.load_from_checkpoint(path)
    found = Level.load_from_checkpoint(path, lost=3)
    assert torch.equal(found.predict(data.designs[:20]).mean, expected.mean)
    other = Level.load_from_checkpoint(path, lost=3, levels=(0.0,))
    assert not torch.equal(other.predict(data.designs[:20]).mean, expected.mean)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content.pop("oracle"), "does not say what its oracle was made of"),
        (
            lambda content: content["oracle"]["arguments"]["representation"].update(
                {"module": "os", "class": "system"}
            ),
            r"made with a os\.system: import os first",
        ),
        (
            lambda content: content["oracle"]["arguments"].update(hidden_sizes=[9]),
            "another architecture",
        ),
    ],
)
def test_checkpoints_that_do_not_do(change, message: str, tmp_path: Path) -> None:
    path, _ = fitted(DeepEnsemble(1, (8,)), Quadratic(), tmp_path)
    content = read_checkpoint(path)
    change(content)
    torch.save(content, path)
    with pytest.raises(CheckpointError, match=message):
        DeepEnsemble.load_from_checkpoint(path)
