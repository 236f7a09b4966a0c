"""Signals at bad moments, and processes that outlive who started them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

IMPORTING = """
import signal, sys, time
sys.path.insert(0, sys.argv[1])
from lightning_mbo.signals import ended_by_signals
with ended_by_signals(signal.SIGTERM):
    print("begun", flush=True)
    import slow
    time.sleep(60)
"""
ORPHAN = """
import sys, time
from lightning_mbo.signals import end_with
end_with(int(sys.argv[1]), last_words="it has gone")
time.sleep(60)
"""


@pytest.mark.parametrize(("name", "status"), [("SIGTERM", 143), ("SIGINT", 130)])
def test_no_import_is_interrupted(name: str, status: int, tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text("import time\ntime.sleep(1)\nprint('whole', flush=True)\n")
    with subprocess.Popen(
        [sys.executable, "-c", IMPORTING, str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        time.sleep(0.3)
        process.send_signal(signal.Signals[name])
        output, errors = process.communicate(timeout=30)
    assert output == "whole\n"
    assert errors == f"ended by {name}\n"
    assert process.returncode == status


@pytest.mark.parametrize("is_there", [False, True])
def test_who_was_started_by_one_that_has_gone_ends(is_there: bool) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as other:
        other.wait()
    words = [sys.executable, "-c", ORPHAN, str(os.getpid() if is_there else other.pid)]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as process:
        if is_there:
            with pytest.raises(subprocess.TimeoutExpired):
                process.communicate(timeout=6)
            process.kill()
            return
        _, errors = process.communicate(timeout=30)
    assert errors == "it has gone\n"
    assert process.returncode == 1
