"""Tasks as data."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import pytorch_lightning as pl
import torch

from lightning_mbo import tasks
from lightning_mbo.cli import main
from lightning_mbo.data import (
    AntMorphology,
    DesignDataModule,
    DKittyMorphology,
    EhrlichFunction,
    Hopper,
    Quadratic,
    Superconductor,
    TaskData,
    TFBind8,
    Toy,
)
from lightning_mbo.errors import ConfigurationError, DataError
from lightning_mbo.random import Stream
from lightning_mbo.robots.motion import Motion
from lightning_mbo.space import DesignSpace
from lightning_mbo.tasks import KnownProblem, Task, boosted_trees
from lightning_mbo.tasks.codecs import Numbers
from tests.tasks.superconductors import shipped_rows
from tests.tasks.test_tf_bind_8 import landscape_rows, written


class Steps(Task):
    """Everything that a task can say, unlike every default."""

    property_name = "level (m)"

    def __init__(self, offset: float = 0.0) -> None:
        self.offset = offset
        self.prepared = 0

    def prepare(self) -> None:
        self.prepared += 1

    def problem(self, generator: torch.Generator) -> KnownProblem:
        designs = torch.rand(30, 2, generator=generator, dtype=torch.float64)
        return KnownProblem(
            designs,
            designs.sum(1) + self.offset,
            DesignSpace(torch.Size([2])),
            Numbers(["a", "b"]),
            lambda found: found.sum(1) + self.offset,
            property_range=(0.0, 2.0),
            least=torch.tensor([0.0, -torch.inf]).double(),
            groups=torch.arange(30) // 2,
            distances=lambda one, other: torch.ones(len(one), len(other)),
            greatest=torch.tensor([torch.inf, 3.5]).double(),
            nearest_known=lambda found: pd.DataFrame({"row": range(len(found))}),
            motions=lambda found: [
                Motion(torch.zeros(1, 1, 2, 3).numpy(), design[:1].numpy())
                for design in found.abs()
            ],
        )


def test_what_a_task_says_is_what_the_data_say() -> None:
    task = Steps()
    data = TaskData(task, batch_size=7, held_out_fraction=0.4)
    assert (data.property_name, data.batch_size) == ("level (m)", 7)
    data.prepare_data()
    assert task.prepared == 1
    data.setup("fit")
    designs = torch.tensor([[-1.0, -2.0], [3.0, 4.0]]).double()
    assert data.property_range == (0.0, 2.0)
    assert data.ground_truth is not None
    assert data.ground_truth(designs).tolist() == [-3.0, 7.0]
    assert data.space.shape == (2,)
    assert data.nearest_allowed(designs).tolist() == [[0.0, -2.0], [3.0, 3.5]]
    assert data.cells(torch.zeros(1, 2).double()).lower.tolist() == [[-torch.inf, 0.0]]
    assert data.cells(torch.full((1, 2), 3.5).double()).upper.tolist() == [[3.5, torch.inf]]
    assert data.motions is not None
    assert [motion.radii.tolist() for motion in data.motions(designs)] == [[1.0], [3.0]]
    assert data.to_user_units(designs).to_dict("list") == {"a": [-1.0, 3.0], "b": [-2.0, 4.0]}
    assert data.nearest_known(designs)["row"].tolist() == [0, 1]
    assert (data.distances(designs, designs) == 1).all()
    # Held out by the task's pairs.
    assert len(data.held_out_designs) == 12
    rows = [data.known_designs.tolist().index(row) for row in data.held_out_designs.tolist()]
    assert {row // 2 for row in rows} == {row // 2 for row in rows[::2]}


def test_the_table_is_a_function_of_the_runs_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    def loaded() -> DesignDataModule:
        data = TaskData(Steps())
        data.setup("fit")
        return data

    first = loaded()
    torch.rand(3)
    assert torch.equal(loaded().designs, first.designs)
    monkeypatch.setenv("PL_GLOBAL_SEED", "1")
    assert not torch.equal(loaded().designs, first.designs)


def test_the_runs_seed_is_that_of_the_moment_of_setting_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = TaskData(Steps())
    pl.seed_everything(12, verbose=False)
    data.setup("fit")
    pl.seed_everything(13, verbose=False)
    data.setup("test")
    assert data.stream == data.problem.stream == data.fits.problem.stream == Stream(12)
    monkeypatch.delenv("PL_GLOBAL_SEED")
    torch.manual_seed(34)
    other = TaskData(Steps())
    other.setup("fit")
    assert other.stream == Stream(34), "torch's own"


def test_setup_does_not_load_again() -> None:
    data = TaskData(Steps())
    data.setup("fit")
    designs = data.designs
    data.setup("test")
    assert data.designs is designs


# Values other than the defaults, and the task that they are options of.
NAMES: list[tuple[type[TaskData], dict[str, Any], Task]] = [
    (Toy, {}, tasks.Toy()),
    (
        Toy,
        {"num_designs": 7, "design_mean": 1.0, "design_std": 2.0, "noise_std": 3.0},
        tasks.Toy(num_designs=7, design_mean=1.0, design_std=2.0, noise_std=3.0),
    ),
    (Quadratic, {}, tasks.Quadratic()),
    (Quadratic, {"num_designs": 7}, tasks.Quadratic(num_designs=7)),
    (TFBind8, {}, tasks.TFBind8()),
    (
        TFBind8,
        {"landscape": Path("a"), "visible_percentile": 7.0},
        tasks.TFBind8(landscape=Path("a"), visible_percentile=7.0),
    ),
    (EhrlichFunction, {}, tasks.EhrlichFunction()),
    (
        EhrlichFunction,
        {
            "num_letters": 7,
            "length": 8,
            "num_motifs": 2,
            "motif_length": 3,
            "quantization": 1,
            "function_seed": 9,
            "num_designs": 10,
            "visible_percentile": 11.0,
        },
        tasks.EhrlichFunction(7, 8, 2, 3, 1, 9, 10, 11.0),
    ),
    (Hopper, {}, tasks.Hopper()),
    (Hopper, {"visible_percentile": 7.0}, tasks.Hopper(visible_percentile=7.0)),
    (AntMorphology, {}, tasks.AntMorphology()),
    (AntMorphology, {"visible_percentile": 7.0}, tasks.AntMorphology(visible_percentile=7.0)),
    (DKittyMorphology, {}, tasks.DKittyMorphology()),
    (DKittyMorphology, {"visible_percentile": 7.0}, tasks.DKittyMorphology(7.0)),
    (Superconductor, {}, tasks.SimulatedSuperconductors()),
    (
        Superconductor,
        {
            "path": Path("a"),
            "representation": "composition",
            "num_features": 7,
            "visible_percentile": 8.0,
            "num_designs": 9,
            "noise_std": 10.0,
            "cache_dir": Path("b"),
        },
        tasks.SimulatedSuperconductors(
            path=Path("a"),
            representation="composition",
            num_features=7,
            visible_percentile=8.0,
            num_designs=9,
            noise_std=10.0,
            cache_dir=Path("b"),
        ),
    ),
    (Superconductor, {"labels": "measured"}, tasks.MeasuredSuperconductors()),
    (
        Superconductor,
        {
            "labels": "measured",
            "path": Path("a"),
            "representation": "composition",
            "visible_percentile": 8.0,
            "cache_dir": Path("b"),
        },
        tasks.MeasuredSuperconductors(
            path=Path("a"),
            representation="composition",
            visible_percentile=8.0,
            cache_dir=Path("b"),
        ),
    ),
]


@pytest.mark.parametrize(("name", "options", "task"), NAMES)
def test_a_names_options_are_its_tasks(
    name: type[TaskData], options: dict[str, Any], task: Task
) -> None:
    data = name(**options, batch_size=7)
    assert data.task == task
    assert data.batch_size == 7


def test_every_name_is_here() -> None:
    names = {name for name, _, _ in NAMES}
    assert names == {
        name for name in TaskData.__subclasses__() if name.__module__ in TaskData.__module__
    }
    for name in names:
        given = {key for used, options, _ in NAMES if used is name for key in options}
        assert given == set(inspect.signature(name).parameters) - {"kwargs"}


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"labels": "guessed"}, "labels"),
        ({"representation": "name"}, "representation"),
        ({"visible_percentile": 0.0}, "visible_percentile"),
        ({"batch_size": 0}, "batch_size"),
        ({"validation_fraction": 0.0}, "validation_fraction"),
        ({"validation_fraction": 1.0}, "validation_fraction"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        Superconductor(**options)


def test_too_few_are_visible(tmp_path: Path) -> None:
    data = TFBind8(written(tmp_path / "landscape.txt", landscape_rows(2)), 20.0)
    with pytest.raises(DataError, match="designs are too few to learn from"):
        data.setup("fit")


@pytest.mark.filterwarnings("ignore:.*constant columns are left out")
def test_materials_without_a_formula_have_no_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(boosted_trees, "_MAX_TREES", 3)
    formulas = [formula for formula, _ in shipped_rows()[:40]]
    features = tasks.materials.superconductor_features(tasks.materials.compositions(formulas))
    frame = pd.DataFrame(features, columns=list(tasks.materials.FEATURE_NAMES))
    frame.assign(critical_temp=range(40)).to_csv(tmp_path / "train.csv", index=False)
    data = Superconductor(tmp_path / "train.csv", labels="measured", cache_dir=tmp_path)
    data.setup("fit")
    assert data.nearest_known(data.designs[:4]).shape == (4, 0)


RUN = [
    "--model=KernelRidge",
    "--search.algorithm=CbAS",
    "--search.num_samples=50",
    "--search.num_iterations=2",
    "--convergence.max_epochs=1",
    "--trainer.enable_progress_bar=false",
]


@pytest.mark.usefixtures("blank_pages")
def test_a_task_of_the_users_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the command line: as its own datamodule's, and as one of those that are known."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    source = inspect.getsource(Steps).replace("class Steps(Task)", "class Mine(Task)")
    imports = """
        import pandas as pd, torch
        from lightning_mbo.robots.motion import Motion
        from lightning_mbo.space import DesignSpace
        from lightning_mbo.tasks import KnownProblem, Task
        from lightning_mbo.tasks.codecs import Numbers
    """
    Path("my_task.py").write_text(inspect.cleandoc(imports) + "\n" + source)
    files = []
    for number, words in enumerate(
        [
            ["--data=TaskData", "--data.task=my_task.Mine", "--data.task.offset=2"],
            ["--data=TaskData", "--data.task=Toy", "--data.task.noise_std=0.3"],
            ["--data=Toy", "--data.noise_std=0.3"],
        ]
    ):
        main(["fit", *RUN, *words, f"--trainer.default_root_dir={number}"])
        (table,) = Path(str(number)).glob("*/version_0/candidates.csv")
        files.append(table.read_text())
    assert files[0].splitlines()[0].endswith(",row,a,b")
    assert files[1] == files[2]


def test_a_misspelt_task_is_named() -> None:
    with pytest.raises(SystemExit) as stop:
        main(["fit", *RUN, "--data=TaskData", "--data.task=Toyy"])
    assert all(part in str(stop.value) for part in ("task: there is no class Toyy", "mean Toy?"))
