"""The picture of a one-dimensional search, and the search that it is compared with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from scipy import integrate
from torch import Tensor

from lightning_mbo.algorithms import AnnealedCbAS
from lightning_mbo.data import Toy
from lightning_mbo.oracles import KernelRidge
from lightning_mbo.report.panels import Panel, Problem
from lightning_mbo.search_models import Quadrature
from lightning_mbo.space import DesignSpace
from lightning_mbo.tasks.toy import two_bumps
from tests.callbacks.quadratic import Quadratic, Recorder, callbacks, run, trainer_with

NUM_ITERATIONS = 6
Rows = dict[str, dict[int, Panel]]


class Toys(Toy):
    """The example with designs that the user knows in other units."""

    def to_user_units(self, designs: Tensor) -> Any:
        return super().to_user_units(10 * designs).rename(columns={"x": "width (mm)"})


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Problem, Rows, Path]]:
    calls: list[tuple[Problem, Rows, Path]] = []
    monkeypatch.setattr(
        "lightning_mbo.callbacks.search_panels.draw_panels", lambda *args: calls.append(args)
    )
    return calls


def toy_run(
    folder: Path, panels: Any, enabled: bool = True, alpha: float = 1.0, data: Toy | None = None
) -> tuple[pl.Trainer, Recorder]:
    recorder = Recorder()
    trainer = trainer_with(
        folder,
        callbacks.SearchModelUpdate(
            AnnealedCbAS(num_steps=NUM_ITERATIONS), Quadrature(0.0, 9.9, 34), 50, NUM_ITERATIONS
        ),
        recorder,
        callbacks.ImportanceWeighting(alpha=alpha, enabled=enabled),
        callbacks.OracleConvergence(max_epochs=1),
        callbacks.Scoring(),
        panels,
    )
    trainer.fit(KernelRidge(), datamodule=data or Toy())
    return trainer, recorder


def equal(one: Panel, other: Panel) -> bool:
    return one.threshold == other.threshold and all(
        torch.equal(getattr(one, name), getattr(other, name))
        for name in ("weights", "mean", "std", "density")
    )


def test_panels_of_an_autofocused_run(
    tmp_path: Path, drawn: list[tuple[Problem, Rows, Path]]
) -> None:
    trainer, recorder = toy_run(tmp_path, callbacks.SearchPanels())
    ((problem, rows, path),) = drawn
    assert path == tmp_path / "search.png"
    assert list(rows) == ["without autofocusing", "with autofocusing"]
    assert [list(row) for row in rows.values()] == [[0, 3, 6]] * 2
    for num_done in (3, 6):
        panel, model = rows["with autofocusing"][num_done], recorder.search_models[num_done - 1]
        torch.testing.assert_close(panel.density, model.log_prob(model.nodes).exp())
        assert panel.threshold == recorder.iterations[num_done - 1].threshold
        # The oracle of that iteration, and the weights of its fit.
        oracle = KernelRidge()
        oracle.build(DesignSpace.of_shape(torch.Size([1])))
        oracle.start(trainer.datamodule.problem.training)
        oracle.load_state_dict(recorder.oracles[num_done - 1])
        prediction = oracle(model.nodes)
        assert torch.equal(panel.mean, prediction.loc)
        assert torch.equal(panel.std, prediction.scale)
        assert torch.equal(panel.weights, recorder.weights[num_done - 1])
        assert panel.weights.std() > 0
    assert equal(*(row[0] for row in rows.values()))
    start = rows["with autofocusing"][0]
    assert torch.equal(start.density, problem.training_density)
    assert set(start.weights.tolist()) == {1.0}
    assert start.threshold == -torch.inf


def test_the_second_search_is_the_run_without_autofocusing(
    tmp_path: Path, drawn: list[tuple[Problem, Rows, Path]]
) -> None:
    toy_run(tmp_path, callbacks.SearchPanels())
    toy_run(tmp_path, callbacks.SearchPanels(), enabled=False)
    (_, both, _), (_, original, _) = drawn
    assert list(original) == ["without autofocusing"]
    _, recorder = toy_run(tmp_path, callbacks.SearchPanels(), enabled=False)
    for num_done, panel in original["without autofocusing"].items():
        assert equal(panel, both["without autofocusing"][num_done])
        if num_done:
            model = recorder.search_models[num_done - 1]
            torch.testing.assert_close(panel.density, model.log_prob(model.nodes).exp())
            assert panel.threshold == recorder.iterations[num_done - 1].threshold
    assert not torch.equal(both["with autofocusing"][6].density, panel.density)


def test_retraining_is_named_so(tmp_path: Path, drawn: list[tuple[Problem, Rows, Path]]) -> None:
    toy_run(tmp_path, callbacks.SearchPanels(), alpha=0.0)
    assert list(drawn[0][1]) == ["without autofocusing", "retrained"]


def test_the_users_units(tmp_path: Path, drawn: list[tuple[Problem, Rows, Path]]) -> None:
    data = Toys()
    toy_run(tmp_path, callbacks.SearchPanels(), data=data)
    problem = drawn[0][0]
    assert problem.design_name == "design width (mm)"
    torch.testing.assert_close(problem.designs, 10 * data.designs[:, 0])
    assert problem.positions[[0, -1]].tolist() == [0.0, 99.0]
    truth = data.ground_truth(problem.positions[:, None] / 10)
    torch.testing.assert_close(problem.ground_truth, truth)
    for density in (problem.training_density, drawn[0][1]["with autofocusing"][6].density):
        assert torch.trapezoid(density, problem.positions).item() == pytest.approx(1.0)


def test_state_goes_on(tmp_path: Path, drawn: list[tuple[Problem, Rows, Path]]) -> None:
    panels = callbacks.SearchPanels()
    trainer, _ = toy_run(tmp_path, panels)
    torch.save(panels.state_dict(), tmp_path / "state.pt")
    restored = callbacks.SearchPanels()
    restored.setup(trainer, trainer.lightning_module, "fit")
    restored.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    restored.on_train_end(trainer, trainer.lightning_module)
    (_, rows, _), (_, again, _) = drawn
    assert rows.keys() == again.keys()
    for name, row in rows.items():
        assert row.keys() == again[name].keys()
        assert all(equal(row[num_done], again[name][num_done]) for num_done in row)


def test_of_other_search_models_nothing(
    tmp_path: Path, drawn: list[tuple[Problem, Rows, Path]]
) -> None:
    panels = callbacks.SearchPanels()
    run(tmp_path, panels, data=Quadratic(), num_iterations=1)
    assert panels.state_dict() == {}
    panels.load_state_dict({})
    assert not drawn


def test_the_picture_is_in_the_run_folder_and_in_tensorboard(tmp_path: Path) -> None:
    logger = pl.loggers.TensorBoardLogger(tmp_path, "name", "run")
    images: list[tuple[str, int]] = []
    logger.experiment.add_image = lambda tag, image, step, dataformats: images.append((tag, step))
    trainer = trainer_with(
        tmp_path,
        callbacks.SearchModelUpdate(AnnealedCbAS(), Quadrature(0.0, 9.9, 34), 50, 2),
        callbacks.OracleConvergence(max_epochs=1),
        callbacks.SearchPanels(),
        logger=logger,
    )
    trainer.fit(KernelRidge(), datamodule=Toy())
    assert (tmp_path / "name" / "run" / "search.png").exists()
    assert images == [("design/search", 1)]


def test_expected_ground_truth(tmp_path: Path) -> None:
    _, recorder = toy_run(tmp_path, callbacks.DesignCallback())
    for iteration, model in zip(recorder.iterations, recorder.search_models, strict=True):
        x, truth = model.grid.numpy(), two_bumps(model.nodes).numpy()
        by_simpson = integrate.simpson(model.log_density.exp().numpy() * truth, x=x)
        value = iteration.metrics["expected_ground_truth"]
        assert value == pytest.approx(by_simpson, rel=0.02)
