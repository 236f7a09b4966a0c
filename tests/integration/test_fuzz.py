"""Configs and checkpoints at random: each ends in a run or in one line, and soon.

`LIGHTNING_MBO_FUZZ=100000` in the environment makes so many of each; a failure names its seed.
"""

from __future__ import annotations

import copy
import os
import random
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
import yaml

from lightning_mbo.cli import main

NUMBER = int(os.environ.get("LIGHTNING_MBO_FUZZ", "25"))
SECONDS = 120
ODD = [
    *(None, True, 0, -1, 1, 10**30, 0.5, -1e300, float("nan"), float("inf")),
    *(
        "",
        "auto",
        "y",
        "CSV",
        "CbAS",
        "a.b",
        "lightning_mbo.CSV",
        "°",
        "\x00",
        "[",
        "{a: 1}",
        "x" * 99,
    ),
    *([], {}, [None], [1, "a"], {"class_path": "CbAS"}, {"class_path": None}, {"init_args": None}),
]
# What sets how long a run takes, or where it writes.
KEPT = {"num_samples", "num_iterations", "max_epochs", "hidden_sizes", "default_root_dir", "path"}
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("fuzz")
    table = pd.DataFrame(
        {"a": range(30), "b": [i * 7 % 11 for i in range(30)], "c": ["x", "y"] * 15}
    )
    table["y"] = table["a"] * table["b"]
    table.to_csv(root / "t.csv", index=False)
    words = f"""fit --config=my_data.yaml --data.path={root}/t.csv --data.target=y
        --search.num_samples=40 --search.num_iterations=1
        --model=DeepEnsemble --model.hidden_sizes=[4]
        --convergence.max_epochs=1 --trainer.default_root_dir={root}/runs --num_candidates=3
        --trainer.enable_progress_bar=false --trainer.logger=false"""
    main(words.split())
    return root / "runs" / "my_data" / "version_0"


@contextmanager
def in_time() -> Iterator[None]:
    def late(*_: object) -> None:
        raise TimeoutError(f"not done in {SECONDS} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def ends_well(words: list[str]) -> None:
    code: object = None
    try:
        with in_time():
            main(words)
    except SystemExit as stop:
        code = stop.code
    assert not code or (str(code).startswith("error: ") and "\n" not in str(code))


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every entry of mappings and lists in a value, as what holds it and its key."""
    if isinstance(value, dict):
        own = [(value, key) for key in value if key not in KEPT]
    else:
        own = [(value, key) for key in range(len(value))] if isinstance(value, list) else []
    return own + [inner for held, key in own for inner in places(held[key])]


def changed(value: Any, chance: random.Random, odd: list[Any]) -> Any:
    value = copy.deepcopy(value)
    for _ in range(chance.choice([1, 1, 1, 2, 5])):
        held, key = chance.choice(places(value))
        if chance.random() < 0.15:
            del held[key]
        elif chance.random() < 0.15 and isinstance(held, dict):
            held[chance.choice(["x", "class_path", 3, "a.b", "config"])] = chance.choice(odd)
        else:
            held[key] = chance.choice(odd)
        if not places(value):
            break
    return value


def bytes_changed(content: bytes, chance: random.Random) -> bytes:
    content = bytearray(content)
    for _ in range(chance.choice([0, 0, 1, 5])):
        content[chance.randrange(len(content))] = chance.randrange(256)
    return bytes(content[: chance.choice([len(content)] * 3 + [chance.randrange(len(content))])])


@pytest.mark.parametrize("seed", range(NUMBER))
def test_config(seed: int, finished: Path) -> None:
    chance = random.Random(seed)
    config = yaml.safe_load((finished / "config.yaml").read_text())
    config["trainer"]["default_root_dir"] = "runs"
    text = yaml.safe_dump(changed(config, chance, ODD), allow_unicode=True)
    Path("mine.yaml").write_bytes(bytes_changed(text.encode(), chance))
    ends_well(["fit", "--config=mine.yaml"])


@pytest.mark.parametrize("seed", range(NUMBER))
def test_found_config(seed: int, finished: Path) -> None:
    chance = random.Random(seed)
    shutil.copytree(finished, "run")
    config = yaml.safe_load((finished / "config.yaml").read_text())
    text = yaml.safe_dump(changed(config, chance, [*ODD, "os.getcwd"]), allow_unicode=True)
    Path("run/config.yaml").write_bytes(bytes_changed(text.encode(), chance))
    ends_well(["predict", "--ckpt_path=run", "--num_candidates=3"])


@pytest.mark.parametrize("seed", range(NUMBER))
def test_checkpoint(seed: int, finished: Path) -> None:
    chance = random.Random(seed)
    shutil.copytree(finished, "run")
    path = Path("run/checkpoints/last.ckpt")
    tensors = [torch.zeros(()), torch.zeros(3, 2), torch.tensor(torch.nan), torch.ones(0)]
    checkpoint = changed(torch.load(path, weights_only=True), chance, [*ODD[:20], *tensors])
    torch.save(checkpoint, path)
    if chance.random() < 0.2:
        path.write_bytes(bytes_changed(path.read_bytes(), chance))
    command = chance.choice([["predict", "--num_candidates=3"], ["validate"], ["fit"]])
    more = ["--search.num_iterations=2"] if command == ["fit"] else []
    ends_well([*command, f"--ckpt_path={path}", *more])
