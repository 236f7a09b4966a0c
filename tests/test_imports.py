"""What is imported, and what only where it is used."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import lightning_mbo

LATE = {"cma", "jinja2", "loky", "openpyxl", "pandas", "pyarrow", "ray", "sklearn", "xgboost"}
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
