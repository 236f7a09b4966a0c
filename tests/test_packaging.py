"""What is installed is what is in the tree, and runs from anywhere."""

from __future__ import annotations

import email
import importlib
import json
import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml

import lightning_mbo

ROOT = Path(lightning_mbo.__file__).parents[1]
SOURCES = ("lightning_mbo", "callbacks", "configs")

pytestmark = pytest.mark.skipif(
    not (ROOT / "pyproject.toml").is_file(), reason="the package is not a checkout"
)


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def installed_name(path: Path) -> str:
    """The name within an installation of a file or folder of the checkout."""
    parts = path.relative_to(ROOT).parts
    return "/".join(parts if parts[0] == "lightning_mbo" else ("lightning_mbo", *parts))


def in_tree(pattern: str) -> set[str]:
    found = (path for source in SOURCES for path in (ROOT / source).rglob(pattern))
    return {installed_name(path) for path in found if "__pycache__" not in path.parts}


def test_packages_are_the_trees(project: dict[str, Any]) -> None:
    folders = {name.removesuffix("/__init__.py") for name in in_tree("__init__.py")}
    listed = project["tool"]["setuptools"]["packages"]
    assert sorted(listed) == sorted(folder.replace("/", ".") for folder in folders)
    assert len(set(listed)) == len(listed)


def test_every_module_is_in_a_package(project: dict[str, Any]) -> None:
    packages = set(project["tool"]["setuptools"]["packages"])
    modules = in_tree("*.py")
    assert {name.rpartition("/")[0].replace("/", ".") for name in modules} == packages


def test_package_folders(project: dict[str, Any]) -> None:
    assert project["tool"]["setuptools"]["package-dir"] == {
        "lightning_mbo.callbacks": "callbacks",
        "lightning_mbo.configs": "configs",
    }


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory, project: dict[str, Any]) -> Path:
    """A wheel of the checkout as it is, made of a copy, so that none of it is left there."""
    if int(version("setuptools").split(".")[0]) < 77:
        pytest.skip("building needs setuptools 77, and is not to download it")
    copy, wheels = tmp_path_factory.mktemp("checkout"), tmp_path_factory.mktemp("wheels")
    ignored = shutil.ignore_patterns("__pycache__")
    for source in (*SOURCES, "tests"):
        shutil.copytree(ROOT / source, copy / source, ignore=ignored)
    for name in ("pyproject.toml", project["project"]["readme"], "LICENSE"):
        shutil.copy(ROOT / name, copy)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    options = ["--no-build-isolation", "--no-deps", "--no-index", "-w", str(wheels)]
    subprocess.run([*pip, "wheel", *options, str(copy)], check=True)
    (built,) = wheels.iterdir()
    return built


@pytest.fixture(scope="module")
def names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_wheel_holds_all_that_is_needed(names: set[str]) -> None:
    expected = in_tree("*.py") | in_tree("*.yaml") | in_tree("py.typed") | in_tree("*.jinja")
    expected |= {name for name in in_tree("*") if name.startswith("lightning_mbo/tasks/tables/")}
    assert {"lightning_mbo/py.typed", "lightning_mbo/configs/cbas_af.yaml"} <= expected
    assert "lightning_mbo/configs/benchmarks/table1.yaml" in expected
    assert "lightning_mbo/tasks/tables/superconductor_subset.csv.gz" in expected
    assert {name for name in names if ".dist-info/" not in name} == expected


def test_wheel_has_one_top_level_name(names: set[str], project: dict[str, Any]) -> None:
    top = {name.partition("/")[0] for name in names}
    info = f"lightning_mbo-{project['project']['version']}.dist-info"
    assert top == {"lightning_mbo", info}


def test_wheel_metadata(wheel: Path, names: set[str], project: dict[str, Any]) -> None:
    (info,) = (name for name in names if name.endswith(".dist-info/METADATA"))
    folder = info.removesuffix("METADATA")
    with zipfile.ZipFile(wheel) as archive:
        metadata = email.message_from_bytes(archive.read(info))
        entry_points = archive.read(f"{folder}entry_points.txt").decode()
    assert metadata["Version"] == project["project"]["version"]
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["License-Expression"] == "Apache-2.0"
    assert "lightning-mbo = lightning_mbo.main:main" in entry_points
    assert f"{folder}licenses/LICENSE" in names
    required = [line for line in metadata.get_all("Requires-Dist", []) if "extra ==" not in line]
    assert len(required) == len(project["project"]["dependencies"])


def test_version(project: dict[str, Any]) -> None:
    assert lightning_mbo.__version__ == project["project"]["version"]


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the wheel is installed into."""
    target = tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    options = ["--no-deps", "--no-index", "--no-compile", "--target", str(target)]
    subprocess.run([*pip, "install", *options, str(wheel)], check=True)
    return target


USERS_CALLBACK = """
import json, pathlib
import lightning_mbo, lightning_mbo.callbacks, lightning_mbo.cli, lightning_mbo.configs
from lightning_mbo.callbacks import DesignCallback, search_model_update
modules = (lightning_mbo, lightning_mbo.callbacks, lightning_mbo.cli, lightning_mbo.configs,
           search_model_update)
found = {"files": [module.__file__ for module in modules], "version": lightning_mbo.__version__}
pathlib.Path("found.json").write_text(json.dumps(found))

class Mine(DesignCallback):
    pass
"""


def test_installed_package_runs_from_another_folder(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "users.py").write_text(USERS_CALLBACK)
    args = ["fit", "--config", "cbas_af.yaml", "--trainer.callbacks+=users.Mine", "--print_config"]
    process = subprocess.run(
        [sys.executable, "-m", "lightning_mbo", *args],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(installed), "PYTHONDONTWRITEBYTECODE": "1"},
        check=True,
        capture_output=True,
        text=True,
    )
    config = yaml.safe_load(process.stdout)
    assert config["model"]["class_path"] == "lightning_mbo.oracles.DeepEnsemble"
    search = config["search"]["init_args"]
    assert search["algorithm"]["class_path"] == "lightning_mbo.CbAS"
    assert config["autofocus"]["alpha"] == "auto"
    assert config["trainer"]["callbacks"] == [{"class_path": "users.Mine"}]
    found = json.loads((tmp_path / "found.json").read_text())
    package = installed / "lightning_mbo"
    assert [Path(path) for path in found["files"]] == [
        package / "__init__.py",
        package / "callbacks" / "__init__.py",
        package / "cli.py",
        package / "configs" / "__init__.py",
        package / "callbacks" / "search_model_update.py",
    ]
    assert found["version"] == lightning_mbo.__version__
    assert {path.name for path in tmp_path.iterdir()} == {"users.py", "found.json"}


def test_callbacks_has_one_name_only() -> None:
    with pytest.raises(ImportError, match=r"import lightning_mbo\.callbacks instead of callbacks"):
        importlib.import_module("callbacks")
    assert "callbacks" not in sys.modules
    module = importlib.import_module("lightning_mbo.callbacks")
    assert module.SearchModelUpdate.__module__ == "lightning_mbo.callbacks.search_model_update"
