"""Configs are looked at before anything is made of them."""

from __future__ import annotations

from pathlib import Path

import pytest

import lightning_mbo
from lightning_mbo.config_files import check_command, read_config
from lightning_mbo.errors import ConfigurationError

BOMB = "a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 20)
)
MERGED = "a0: &a0 {x: 1}\n" + "".join(
    f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 10)}]}}\n" for i in range(1, 20)
)


def read(tmp_path: Path, content: str | bytes) -> object:
    path = tmp_path / "mine.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_config(path)


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        ("data: {}\n# °C\n".encode("latin-1"), ["UTF-8", "line 2"]),
        (BOMB, ["100,000 entries by its aliases"]),
        (MERGED, ["100,000 entries by its aliases"]),
        ("model: &a {init_args: *a}", ["alias *a of what it is a part of"]),
        ("x: " + "[" * 60 + "]" * 60, ["deeper than 50"]),
        ("x: " + "y" * 1_000_001, ["more than 1 MB"]),
        ("autofocus:\n", ["autofocus is empty", "leave it out"]),
        ("num_candidates: 3\nmodel:\n", ["model is empty"]),
        ("", ["must hold options"]),
        ("3", ["must hold options"]),
        ("[model]", ["must hold options"]),
        ("model", ["model is empty"]),
        ("a b c", ["must hold options"]),
        ("3: 4", ["3 is no option"]),
        ("x: [\n", ["no YAML", "line 2"]),
        ("x: \x00", ["no YAML"]),
        ("x: !!python/name:os.system y", ["no YAML", "python/name"]),
        ("x: !!timestamp y", ["no YAML"]),
        ("x: " + "9" * 5000, ["no YAML", "4300 digits"]),
        ("x: 1\n---\nx: 2", ["no YAML", "another document"]),
    ],
)
def test_what_is_no_config_is_refused_by_name(
    content: str | bytes, parts: list[str], tmp_path: Path
) -> None:
    with pytest.raises(ConfigurationError) as error:
        read(tmp_path, content)
    for part in ["mine.yaml", *parts]:
        assert part in str(error.value)


def test_what_is_one_is_read(tmp_path: Path) -> None:
    content = "\ufeffdata: &a {target: y °C}\nmodel: *a\nnum_candidates: null\n"
    target = {"target": "y °C"}
    assert read(tmp_path, content) == {"data": target, "model": target, "num_candidates": None}
    assert read(tmp_path, "{}") == {}
    assert len(read(tmp_path, f"x: [{'1, ' * 50_000}]")["x"]) == 50_000


def test_a_folder_is_no_config(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_config(tmp_path)


SHIPPED = sorted((Path(lightning_mbo.__file__).parents[1] / "configs").rglob("*.yaml"))


def test_a_bare_name_is_of_one_shipped_config() -> None:
    names = [path.name for path in SHIPPED]
    assert {"cbas_af.yaml", "table1.yaml"} <= set(names)
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_config_is_of_fit_or_of_benchmark(path: Path) -> None:
    content = read_config(path)
    of_benchmark = "methods" in content
    assert not of_benchmark or path.parent.name == "benchmarks"
    check_command(content, path.name, benchmark=of_benchmark)
    right = "benchmark" if of_benchmark else "fit"
    with pytest.raises(ConfigurationError) as error:
        check_command(content, path.name, benchmark=not of_benchmark)
    command = f"python -m lightning_mbo {right} --config {path.name}"
    assert str(error.value).startswith(f"{path.name} is a config of {right}: {command}")


def test_options_for_either_command_are_left_to_its_parser() -> None:
    for benchmark in (True, False):
        check_command({"num_candidates": 24}, "mine.yaml", benchmark=benchmark)
