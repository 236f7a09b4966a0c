"""What is imported, and what only where it is used."""

from __future__ import annotations

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import lightning_mbo
from tests.readmes import ROOT

CALLBACKS = "lightning_mbo.callbacks"
LATE = {
    *{"cma", "gymnasium", "jinja2", "loky", "mujoco", "openpyxl", "pandas", "pyarrow", "ray"},
    *{"sklearn", "xgboost", "zuko"},
}
"""Not among them: torchmetrics, which Lightning imports, imports matplotlib and scipy itself."""


AT_THE_END = """
import atexit, sys
atexit.register(lambda: print(*{name.partition('.')[0] for name in sys.modules}))
"""


def imported_by(code: str) -> set[str]:
    """The top-level modules of another Python that has run some code."""
    done = subprocess.run(
        [sys.executable, "-c", AT_THE_END + code], capture_output=True, text=True, check=True
    )
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize("module", ["cli", "callbacks", "report.page", "data"])
def test_libraries_are_imported_where_they_are_used(module: str) -> None:
    found = imported_by(f"import lightning_mbo.{module}")
    assert {"lightning_mbo", "torch"} <= found
    assert not LATE & found


def test_a_fit_without_a_table_needs_none_of_them_to_begin(tmp_path: Path) -> None:
    """Lest a signature that the parser reads make it import what only its annotations name."""
    code = (
        "from lightning_mbo.cli import main; main(['fit', '--config=toy.yaml', '--print_config'])"
    )
    found = imported_by(f"import os; os.chdir({str(tmp_path)!r})\n{code}")
    assert "torch" in found
    assert not LATE & found


def test_matplotlib_and_scipy_are_no_burden_of_this_package() -> None:
    of_lightning = imported_by("import torch, pytorch_lightning")
    assert {"matplotlib", "scipy"} <= of_lightning, "then they can be among the late ones"


def test_the_package_alone_imports_no_torch() -> None:
    found = imported_by("import lightning_mbo, lightning_mbo.main")
    assert not LATE & found
    assert not {"torch", "pytorch_lightning", "jsonargparse", "numpy", "yaml"} & found


def test_names_are_found_when_they_are_asked_for() -> None:
    names = lightning_mbo.__all__
    assert sorted(set(names)) == sorted(names)
    assert all(getattr(lightning_mbo, name).__name__ == name for name in names)
    assert set(names) <= set(dir(lightning_mbo))
    with pytest.raises(AttributeError, match="no attribute 'Cbas'"):
        lightning_mbo.Cbas  # noqa: B018


def imports_of(path: Path, name: str) -> set[str]:
    """The modules that one needs before it can be there."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    found: set[str] = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(filter(None, [package if node.level else "", node.module or ""]))
            found |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
    return found - {name}


def test_no_circle_of_imports() -> None:
    paths = {}
    for folder, package in (("lightning_mbo", "lightning_mbo"), ("callbacks", CALLBACKS)):
        for path in (ROOT / folder).rglob("*.py"):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            paths[".".join([package, *parts]).removesuffix(".__init__")] = path
    needed = {name: imports_of(path, name) & paths.keys() for name, path in paths.items()}
    assert sum(map(len, needed.values())) > 500
    TopologicalSorter(needed).prepare()


def test_a_process_that_simulates_imports_no_torch() -> None:
    found = imported_by("from lightning_mbo.robots import ant, dkitty, hopper")
    assert "numpy" in found
    assert not {"torch", "pytorch_lightning", "mujoco", "gymnasium"} & found
