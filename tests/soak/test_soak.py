"""Runs that are killed, ended and starved of disk at random moments, until they are done.

A short round by default; `LIGHTNING_MBO_SOAK=500 pytest tests/soak` ends as many processes. The
moments follow from `LIGHTNING_MBO_SOAK_SEED`.
"""

from __future__ import annotations

import itertools
import os
import random
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pandas as pd
import pytest
import yaml

NUM_ENDINGS = int(os.environ.get("LIGHTNING_MBO_SOAK", "10"))
SEED = int(os.environ.get("LIGHTNING_MBO_SOAK_SEED", "0"))
# Of a signal before its handler is there, a shell has the same status.
STATUS = {"SIGKILL": {-9}, "SIGTERM": {143, -15}, "SIGINT": {130, -2}, "full disk": {1}}
SMALL = [
    "--data=CSV",
    "--data.path=table.csv",
    "--data.target=y",
    "--search.num_iterations=3",
    "--convergence.max_epochs=3",
    "--model.hidden_sizes=[8]",
    "--data.batch_size=10",
    "--trainer.log_every_n_steps=1",
]
SAMPLES = ["--search.num_samples=200"]
RUNS = {
    "cbas_af": SAMPLES,
    "dbas_af": SAMPLES,
    "rwr_af": SAMPLES,
    "fb_af": SAMPLES,
    "cem_pi_af": SAMPLES,
    "cma_es_af": SAMPLES,
    "cbas_coms_af": [*SAMPLES, "--model.adversary.num_particles=20"],
    "coms_af": ["--search.num_steps=3", "--model.adversary.num_particles=20"],
}
TWO = ["--trainer.devices=2", "--trainer.accelerator=cpu", "--trainer.strategy=ddp"]
# The runs of one process, one of two, and the benchmark.
SHARE = -(-NUM_ENDINGS // (len(RUNS) + 2))
BENCHMARK = {
    "methods": {"CbAS": "cbas.yaml", "RWR": "rwr.yaml"},
    "arms": {"fixed": {"autofocus.enabled": False}, "autofocused": {"autofocus.alpha": 0.2}},
    "num_trials": 1,
    "num_processes": 1,
    "output_dir": "benchmark",
}


@pytest.fixture(autouse=True)
def _table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    numbers = random.Random(0)
    rows = [[numbers.uniform(0, 10) for _ in range(3)] for _ in range(80)]
    table = pd.DataFrame(rows, columns=["a", "b", "c"])
    table["y"] = table["a"] - table["b"] ** 2 / 10 + table["c"].round() % 3
    table.to_csv("table.csv", index=False)


def command(words: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "lightning_mbo", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # Who starts the tests in the background has SIGINT ignored, and all that they start too.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def end(process: subprocess.Popen[str], kind: str) -> None:
    if process.poll() is not None:
        return
    if kind == "full disk":
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (10, resource.RLIM_INFINITY))
    else:
        process.send_signal(signal.Signals[kind])


def ended_at_random(words: list[str], kind: str, moment: float) -> tuple[int, str]:
    """What becomes of a command that is ended so many seconds after it has begun."""
    process = command(words)
    timer = threading.Timer(moment, end, (process, kind))
    timer.start()
    output, _ = process.communicate(timeout=600)
    timer.cancel()
    return process.returncode, output


def check(status: int, output: str, kind: str) -> None:
    """It came to its end before, or has the right status; nobody sees a traceback."""
    assert "Traceback" not in output, output
    assert status in {0} | STATUS[kind], output
    if status == 1:
        assert output.splitlines()[-1].startswith("error: "), output
    if status > 128:
        assert output.splitlines()[-1].startswith(f"ended by {kind}"), output


def rank_one(process: subprocess.Popen[str]) -> int | None:
    """The second of a run's processes, if it is there."""
    try:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        for child in children:
            if b"\0LOCAL_RANK=1\0" in Path(f"/proc/{child}/environ").read_bytes() + b"\0":
                return int(child)
    except (FileNotFoundError, ProcessLookupError):
        pass
    return None


def lose_rank(process: subprocess.Popen[str], rank: int) -> None:
    lost = process.pid if rank == 0 else rank_one(process)
    if lost is not None and process.poll() is None:
        os.kill(lost, signal.SIGKILL)


def straight(words: list[str]) -> float:
    """Do the whole, and tell how long it takes, in seconds."""
    began = time.monotonic()
    process = command(words)
    output, _ = process.communicate(timeout=600)
    assert process.returncode == 0, output
    return time.monotonic() - began


@pytest.mark.parametrize("name", RUNS)
def test_a_run_ends_as_if_nothing_had_happened(name: str) -> None:
    chance = random.Random(f"{SEED} {name}")
    words = ["fit", f"--config={name}.yaml", *SMALL, *RUNS[name]]
    seconds = straight([*words, "--trainer.default_root_dir=straight"])
    whole = Path("straight") / name / "version_0"
    kinds = itertools.cycle(chance.sample(list(STATUS), len(STATUS)))
    left = SHARE
    for number in itertools.count():
        again = [*words, f"--trainer.default_root_dir=chain{number}", "--ckpt_path=last"]
        folder = Path(f"chain{number}") / name / "version_0"
        may_lack_report = False
        # The seconds that a chain's processes may take grow: it comes to an end.
        for share in itertools.count(1):
            if left == 0:
                check(*ended_at_random(again, "SIGKILL", 600), "SIGKILL")
                break
            kind = next(kinds)
            moment = chance.uniform(0.2, 1) * seconds * (0.8 + 0.1 * share)
            status, output = ended_at_random(again, kind, moment)
            check(status, output, kind)
            left -= 1
            # On a full disk the candidates are what counts.
            may_lack_report |= "goes on without report.html" in output
            if status == 0:
                break
            if kind != "SIGKILL":
                assert not list(folder.rglob("*.partial"))
        for file in ("candidates.csv", "trajectory.csv"):
            assert (folder / file).read_bytes() == (whole / file).read_bytes()
        assert (folder / "report.html").exists() or may_lack_report
        assert not list(folder.rglob("*.partial"))
        if left == 0:
            break


@pytest.mark.skipif(sys.platform != "linux", reason="finds the second process in /proc")
def test_a_run_that_loses_a_rank_ends_as_if_nothing_had_happened() -> None:
    chance = random.Random(f"{SEED} ranks")
    words = ["fit", "--config=cbas_af.yaml", *SMALL, *SAMPLES, *TWO]
    seconds = straight([*words, "--trainer.default_root_dir=straight"])
    whole = Path("straight/cbas_af/version_0")
    ended = 0
    for chain in itertools.count():
        again = [*words, f"--trainer.default_root_dir=chain{chain}", "--ckpt_path=last"]
        for share in itertools.count(1):
            if ended == SHARE:
                straight(again)
                break
            rank = ended % 2
            process = command(again)
            moment = chance.uniform(0.2, 1) * seconds * (0.8 + 0.1 * share)
            timer = threading.Timer(moment, lose_rank, (process, rank))
            timer.start()
            # Both hold the pipe: this waits for the other one's end too.
            output, _ = process.communicate(timeout=600)
            timer.cancel()
            ended += 1
            assert "Traceback" not in output, output
            # Where the first process is slow to notice, Lightning kills it.
            assert process.returncode in {0, 1, -9}, output
            if process.returncode == 1:
                assert output.splitlines()[-1].startswith("error: "), output
            if process.returncode == 0:
                break
        for file in ("candidates.csv", "trajectory.csv"):
            own = Path(f"chain{chain}/cbas_af/version_0", file)
            assert own.read_bytes() == (whole / file).read_bytes()
        if ended == SHARE:
            break


def test_a_benchmark_ends_as_if_nothing_had_happened() -> None:
    chance = random.Random(f"{SEED} benchmark")
    Path("small.yaml").write_text(yaml.safe_dump(BENCHMARK))
    words = ["benchmark", "--config=small.yaml", *SMALL, "--search.num_samples=200"]
    words.append("--data.held_out_fraction=0.2")
    seconds = straight([*words, "--output_dir=straight"])
    kinds = itertools.cycle(chance.sample(list(STATUS), len(STATUS)))
    for _ in range(SHARE):
        kind = next(kinds)
        status, output = ended_at_random(words, kind, chance.uniform(0.2, 1) * seconds)
        check(status, output, kind)
    check(*ended_at_random(words, "SIGKILL", 600), "SIGKILL")
    key = ["method", "arm", "trial"]
    tables = [
        pd.read_csv(f"{folder}/rows.csv", dtype=str)
        .drop(columns=["seconds", "cpu_seconds"])
        .sort_values(key)
        for folder in ("straight", "benchmark")
    ]
    pd.testing.assert_frame_equal(*(table.reset_index(drop=True) for table in tables))
