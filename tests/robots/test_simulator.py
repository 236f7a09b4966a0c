"""MuJoCo of one release, and simulations in processes."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from lightning_mbo.cli import main
from lightning_mbo.errors import ConfigurationError
from lightning_mbo.robots import hopper, hopper_search
from lightning_mbo.robots.ant import ANT
from lightning_mbo.robots.simulator import RELEASE, Simulated, check_release, in_processes
from lightning_mbo.tasks import AntMorphology, DKittyMorphology, Hopper
from tests.readmes import ROOT

pytestmark = pytest.mark.skipif(find_spec("mujoco") is None, reason="needs the extra robots")


def test_the_release_is_the_one_that_is_installed() -> None:
    import mujoco

    check_release("--data Hopper")
    assert mujoco.__version__ == RELEASE
    for file in ("pyproject.toml", "constraints.txt"):
        assert f"mujoco=={RELEASE}" in (ROOT / file).read_text()


def test_another_release_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mujoco.__version__", "3.3.2")
    with pytest.raises(
        ConfigurationError,
        match=r"--data AntMorphology needs MuJoCo 4.0.0, .* not 3.3.2: pip install mujoco==4.0.0",
    ):
        AntMorphology().prepare()


@pytest.mark.parametrize("package", ["mujoco", "gymnasium"])
def test_without_the_extra_a_run_is_refused_in_a_line(
    package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        main(["fit", "--config=ant_morphology.yaml"])
    message = str(stop.value)
    assert f"needs the package {package}: pip install 'lightning-mbo[robots]'" in message
    assert "--data AntMorphology" in message
    assert "\n" not in message.strip()
    assert not list(tmp_path.rglob("*.csv"))


@pytest.mark.parametrize("num_processes", [1, 2, 3])
def test_processes_give_the_same_to_the_last_bit(num_processes: int) -> None:
    policies = hopper_search.visited(0, np.ones((2, 16), np.float32)).reshape(-1, 5123)[:9]
    expected = [hopper.returned(policy) for policy in policies]
    assert in_processes(hopper.returned, policies, num_processes) == expected
    designs = ANT.designs(9)
    expected = [ANT.distance(design) for design in designs]
    assert in_processes(ANT.distance, designs, num_processes) == expected


def test_a_design_is_simulated_once() -> None:
    asked: list[float] = []

    def simulate(design: np.ndarray) -> float:
        asked.append(float(design[0]))
        return 2 * float(design[0])

    simulated = Simulated(simulate, num_processes=1)
    assert simulated(np.array([[1.0], [2.0], [1.0]])).tolist() == [2.0, 4.0, 2.0]
    assert simulated(np.array([[3.0], [2.0]])).tolist() == [6.0, 4.0]
    assert simulated(np.empty((0, 1))).tolist() == []
    assert sorted(asked) == [1.0, 2.0, 3.0]


@pytest.mark.parametrize("task", [Hopper, AntMorphology, DKittyMorphology])
def test_the_top_is_hidden(task: type[Hopper | AntMorphology | DKittyMorphology]) -> None:
    generator = torch.Generator()
    every, usual = task(100.0).problem(generator), task().problem(generator)
    assert len(usual.designs) == round(0.8 * len(every.designs))
    assert usual.properties.max() < every.properties.max() / 2
    assert usual.property_range == every.property_range
    assert usual.property_range is not None
    assert usual.property_range[1] == every.properties.max()
    hidden = every.properties > usual.properties.max()
    assert torch.equal(every.properties[~hidden], usual.properties)


@pytest.mark.parametrize("percentile", [0.0, 101.0])
def test_refused_percentiles(percentile: float) -> None:
    with pytest.raises(ConfigurationError, match="visible_percentile must lie in"):
        Hopper(percentile)


def _processes() -> tuple[set[int], int]:
    """Where simulations run, and who asked."""
    return set(in_processes(lambda _: os.getpid(), np.zeros((20, 1)))), os.getpid()


def test_one_of_many_processes_starts_no_others() -> None:
    import loky

    where, asked = loky.get_reusable_executor(2).submit(_processes).result()
    assert where == {asked}
    assert asked != os.getpid()
