"""What is imported, and what only where it is used."""

from __future__ import annotations

import subprocess
import sys

import pytest

import lightning_mbo

LATE = {"cma", "jinja2", "loky", "openpyxl", "pandas", "pyarrow", "ray", "sklearn", "xgboost"}
"""Not among them: torchmetrics, which Lightning imports, imports matplotlib and scipy itself."""


def imported_by(code: str) -> set[str]:
    """The top-level modules of another Python that has run some code."""
    code += "\nimport sys\nprint(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize("module", ["cli", "callbacks", "report.page", "data"])
def test_libraries_are_imported_where_they_are_used(module: str) -> None:
    found = imported_by(f"import lightning_mbo.{module}")
    assert {"lightning_mbo", "torch"} <= found
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
