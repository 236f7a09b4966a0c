"""The picture of an ascent in the plane, and what is kept for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from lightning_mbo.data import DesignDataModule
from lightning_mbo.oracles import RegressionEnsemble
from lightning_mbo.report.plane import Plane
from tests.callbacks.quadratic import OFFSET, SCALE, Quadratic, callbacks, run, trainer_with

pytestmark = [
    pytest.mark.filterwarnings("ignore:Metric `SpearmanCorrcoef` will save all targets"),
    pytest.mark.filterwarnings("ignore:Be aware that when using `ckpt_path`, callbacks used to"),
]


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Plane, Path]]:
    calls: list[tuple[Plane, Path]] = []
    monkeypatch.setattr(
        "lightning_mbo.callbacks.ascent_plane.draw_plane", lambda *args: calls.append(args)
    )
    return calls


def ascend(
    folder: Path, *used: Any, data: DesignDataModule | None = None, num_iterations: int = 2
) -> tuple[Any, Any]:
    search = callbacks.GradientAscent(3, 0.2, num_starts=50, num_iterations=num_iterations)
    picture = callbacks.AscentPlane()
    rule = callbacks.OracleConvergence(max_epochs=1)
    trainer = trainer_with(folder, search, rule, picture, *used)
    trainer.fit(RegressionEnsemble(2, (8,)), datamodule=data or Quadratic())
    return trainer, picture


class Paths(callbacks.DesignCallback):
    """Keeps all particles' paths."""

    def __init__(self) -> None:
        self.segments: list[Tensor] = []

    def on_search_model_update(self, trainer: Any, oracle: Any, iteration: Any) -> None:
        self.segments.append(iteration.path)
        self.last = iteration.samples.designs


def users(designs: Tensor) -> Tensor:
    return designs.double() * torch.from_numpy(SCALE) + torch.from_numpy(OFFSET)


def test_everything_is_in_the_users_units(tmp_path: Path, drawn: list[tuple[Plane, Path]]) -> None:
    paths = Paths()
    trainer, _ = ascend(tmp_path, paths)
    ((plane, path),) = drawn
    assert path == tmp_path / "ascent_plane.png"
    assert (plane.design_names, plane.property_name) == (("width", "length"), "height (m)")
    whole = users(torch.cat([paths.segments[0], paths.segments[1][1:]]))
    assert plane.paths.shape == (7, 32, 2)
    torch.testing.assert_close(plane.paths[:, [0, -1]], whole[:, [0, -1]])
    torch.testing.assert_close(plane.designs, users(trainer.datamodule.designs))
    # The oracle does not change, and every segment climbs on it: the last is the best.
    torch.testing.assert_close(plane.candidates, users(paths.last))
    designs = (plane.grid - torch.from_numpy(OFFSET)) / torch.from_numpy(SCALE)
    expected = 5 - (designs - 2).square().sum(-1)
    assert list(plane.views) == ["ground truth", "oracle"]
    torch.testing.assert_close(plane.views["ground truth"], expected)
    mean = trainer.lightning_module(designs[3].float()).loc.double()
    torch.testing.assert_close(plane.views["oracle"][3], mean, rtol=1e-5, atol=1e-5)
    for points in (plane.designs, plane.paths.flatten(0, 1), plane.candidates):
        assert (points > plane.grid[0, 0]).all()
        assert (points < plane.grid[-1, -1]).all()


class Top(Quadratic):
    """Known around its top."""

    def load(self) -> tuple[Tensor, Tensor]:
        designs, _ = super().load()
        return designs + 2, 5 - designs.square().sum(1)


def test_the_optimum_is_shown_where_it_is_inside(
    tmp_path: Path, drawn: list[tuple[Plane, Path]]
) -> None:
    ascend(tmp_path, data=Top(), num_iterations=1)
    optimum = drawn[0][0].optimum
    assert optimum is not None
    spacing = drawn[0][0].grid[1, 1] - drawn[0][0].grid[0, 0]
    top = users(torch.tensor([2.0, 2.0]))
    assert ((optimum - top).abs() <= spacing).all()
    sloping = Quadratic(lambda designs: designs.sum(1))
    ascend(tmp_path, data=sloping, num_iterations=1)
    assert drawn[1][0].optimum is None


def test_without_a_ground_truth(tmp_path: Path, drawn: list[tuple[Plane, Path]]) -> None:
    ascend(tmp_path, data=Quadratic(None), num_iterations=1)
    plane = drawn[0][0]
    assert list(plane.views) == ["oracle"]
    assert plane.optimum is None


def test_a_runaway_does_not_shrink_the_data(
    tmp_path: Path, drawn: list[tuple[Plane, Path]]
) -> None:
    search = callbacks.GradientAscent(3, 1e4, num_starts=5)
    rule = callbacks.OracleConvergence(max_epochs=1)
    trainer = trainer_with(tmp_path, search, rule, callbacks.AscentPlane())
    trainer.fit(RegressionEnsemble(1, (8,)), datamodule=Quadratic())
    grid, designs = drawn[0][0].grid, drawn[0][0].designs
    extent = designs.amax(0) - designs.amin(0)
    assert (grid[-1, -1] - grid[0, 0] <= 3.7 * extent).all()


def test_state_goes_on(tmp_path: Path, drawn: list[tuple[Plane, Path]]) -> None:
    _, whole = ascend(tmp_path)
    trainer, first = ascend(tmp_path, callbacks.DesignCheckpoint(), num_iterations=1)
    last = Path(trainer.checkpoint_callback.dirpath) / "last.ckpt"
    search = callbacks.GradientAscent(3, 0.2, num_starts=50, num_iterations=2)
    second, rule = callbacks.AscentPlane(), callbacks.OracleConvergence(max_epochs=1)
    again = trainer_with(tmp_path, search, rule, second)
    again.fit(RegressionEnsemble(2, (8,)), datamodule=Quadratic(), ckpt_path=last)
    assert len(first.paths) == 4
    for name, value in whole.state_dict().items():
        assert torch.equal(second.state_dict()[name], value)


class Words(DesignDataModule):
    """All words of three letters from two, worth the number of their Bs."""

    def load(self) -> tuple[Tensor, Tensor]:
        letters = torch.cartesian_prod(*[torch.arange(2)] * 4)
        return functional.one_hot(letters, 2).double(), letters.sum(1).double()

    def to_user_units(self, designs: Tensor) -> pd.DataFrame:
        return pd.DataFrame({"word": designs.argmax(-1).tolist()})


def test_of_other_searches_and_designs_nothing(
    tmp_path: Path, drawn: list[tuple[Plane, Path]]
) -> None:
    picture = callbacks.AscentPlane()
    run(tmp_path, picture, num_iterations=1)
    ascend(tmp_path, data=Words(), num_iterations=1)
    assert picture.state_dict() == {"paths": None, "candidates": None}
    assert not drawn


def test_the_picture_is_in_the_run_folder(tmp_path: Path) -> None:
    ascend(tmp_path, num_iterations=1)
    assert (tmp_path / "ascent_plane.png").exists()
