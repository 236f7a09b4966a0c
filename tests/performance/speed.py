"""What the work costs beside the least that it could cost, and how its cost grows.

`python tests/performance/speed.py` prints one table of ratios, each of two jobs that are run one
after the other, again and again, and draws how seconds and memory grow with rows, samples, columns
and members, with the exponents fitted. `--against COMMIT` runs every job by that commit's code as
well. Seconds are of the processor, beyond what the imports take; so is memory. Nothing else should
run meanwhile.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
TABLE_COLUMNS, TABLE_ROWS = 20, 300


class Cost(NamedTuple):
    """Of a process: seconds of the processor, and the most memory at once, MiB."""

    seconds: float
    memory: float


@dataclass(frozen=True)
class Ratio:
    """A figure of a job over that of another, or over a figure that is known."""

    name: str
    job: tuple[str, int]
    base: tuple[str, int] | None = None
    of: str = "seconds"
    scale: float = 1.0


RATIOS = (
    Ratio("a run / the bare loop of its steps", ("design_run", 0), ("bare_loop", 0)),
    Ratio("a conservative step / its products", ("conservative_steps", 0), ("products", 0)),
    Ratio("a member of 30 / a member of 3", ("members", 30), ("members", 3), scale=0.1),
    Ratio("setup of 5,000 columns / a second", ("columns", 5000)),
    Ratio(
        "a million rows / their float32",
        ("rows", 1_000_000),
        of="memory",
        scale=2**20 / (1_000_000 * TABLE_COLUMNS * 4),
    ),
)
GROWTH = {
    "rows": (10_000, 30_000, 100_000, 300_000),
    "samples": (3_000, 10_000, 30_000, 100_000),
    "columns": (300, 1000, 3000, 10_000),
    "columns_fitted": (30, 100, 300, 1000),
    "members": (3, 10, 30, 100),
}


def write_table(folder: Path, job: str, size: int) -> None:
    """The table of a job, if it has one: so many rows or columns."""
    if job not in {"rows", "samples", "columns", "columns_fitted"}:
        return
    shape = {"rows": (size, TABLE_COLUMNS), "samples": (1000, TABLE_COLUMNS)}
    rows, columns = shape.get(job, (TABLE_ROWS, size))
    generator = np.random.default_rng(0)
    designs = generator.random((rows, columns), dtype=np.float32)
    frame = pd.DataFrame(designs, columns=[f"x{j}" for j in range(columns)])
    frame["y"] = designs[:, :5].sum(1) + generator.normal(0, 0.1, rows)
    frame.to_csv(folder / "table.csv", index=False, float_format="%.6g")


def cost(job: str, size: int, checkout: Path) -> Cost:
    """Run a job by the code of a checkout, in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        write_table(Path(folder), job, size)
        process = subprocess.Popen(
            [sys.executable, HERE / "speed_jobs.py", job, str(size)],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stderr is not None
        errors = process.stderr.read()
        _, status, used = os.wait4(process.pid, 0)
        if status:
            raise SystemExit(f"{job} of {size} in {checkout}:\n{errors}")
    return Cost(used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def beyond_imports(job: str, size: int, checkout: Path) -> Cost:
    """Of a job, without what its imports take."""
    whole, imports = cost(job, size, checkout), cost("imports", 0, checkout)
    return Cost(whole.seconds - imports.seconds, whole.memory - imports.memory)


def ratios(chosen: list[str], repetitions: int, checkouts: dict[str, Path]) -> pd.DataFrame:
    """The median of each ratio over repetitions, with the least and the greatest, by checkout."""
    found = []
    for ratio in RATIOS:
        if chosen and ratio.job[0] not in chosen:
            continue
        for repetition in range(repetitions):
            for name, checkout in checkouts.items():
                value = getattr(beyond_imports(*ratio.job, checkout), ratio.of)
                base = (
                    getattr(beyond_imports(*ratio.base, checkout), ratio.of) if ratio.base else 1.0
                )
                row = {"code": name, "job": value, "base": base}
                found.append({"ratio": ratio.name} | row | {"is": ratio.scale * value / base})
                print(f"{ratio.name}, {repetition + 1}: {found[-1]['is']:.3g} ({name})", flush=True)
    table = pd.DataFrame(found, columns=["ratio", "code", "job", "base", "is"])
    by_ratio = table.groupby(["ratio", "code"], sort=False)["is"]
    summary = by_ratio.agg(["median", "min", "max"])
    if len(checkouts) > 1 and len(table):
        # Of the job itself, this code's over the other's.
        medians = table.groupby(["ratio", "code"], sort=False)["job"].median().unstack()
        here, there = checkouts
        summary = summary.join((medians[here] / medians[there]).rename("this / other"))
    return summary


def growth(chosen: list[str], checkouts: dict[str, Path]) -> pd.DataFrame:
    """Seconds and memory of each job by its size."""
    found = []
    for job, sizes in GROWTH.items():
        if chosen and job not in chosen:
            continue
        for size in sizes:
            for name, checkout in checkouts.items():
                used = beyond_imports(job, size, checkout)
                found.append({"job": job, "code": name, "size": size} | used._asdict())
                print(f"{job} {size:,}: {used.seconds:.2f} s ({name})", flush=True)
    return pd.DataFrame(found, columns=["job", "code", "size", *Cost._fields])


def exponents(measured: pd.DataFrame) -> pd.DataFrame:
    """Slopes in logarithms, of the larger half of the sizes: below, what is constant prevails."""
    found = {}
    for key, rows in measured.groupby(["job", "code"], sort=False):
        large = rows[rows["size"] >= rows["size"].median()]
        steps = np.log(large["size"])
        found[key] = {
            f"exponent of {of}": np.polyfit(steps, np.log(large[of].clip(lower=1e-3)), 1)[0]
            for of in Cost._fields
        }
    return pd.DataFrame.from_dict(found, orient="index").rename_axis(["job", "code"])


def draw(measured: pd.DataFrame, path: Path) -> None:
    """Two panels: seconds and mebibytes by size."""
    figure, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    for (job, code), rows in measured.groupby(["job", "code"], sort=False):
        axes[0].loglog(rows["size"], rows["seconds"], marker="o", label=f"{job}, {code}")
        axes[1].loglog(rows["size"], rows["memory"], marker="o")
    axes[0].set(xlabel="size", ylabel="processor's seconds beyond imports")
    axes[1].set(xlabel="size", ylabel="MiB beyond imports")
    axes[0].legend(frameon=False)
    figure.savefig(path)


@contextmanager
def checked_out(commit: str | None) -> Iterator[dict[str, Path]]:
    """This checkout, and that of a commit beside it, which is gone afterwards."""
    if commit is None:
        yield {"here": ROOT}
        return
    with tempfile.TemporaryDirectory() as folder:
        other = Path(folder) / "checkout"
        worktree = ["git", "-C", str(ROOT), "worktree"]
        subprocess.run([*worktree, "add", "-q", "--detach", other, commit], check=True)
        try:
            yield {"here": ROOT, commit: other}
        finally:
            subprocess.run([*worktree, "remove", "--force", other], check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--against", metavar="COMMIT", help="also run the code of this commit")
    parser.add_argument("--only", nargs="+", default=[], metavar="JOB", help="of the first of two")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--figure", type=Path, default=Path("growth.png"))
    arguments = parser.parse_args()
    with checked_out(arguments.against) as checkouts:
        table = ratios(arguments.only, arguments.repetitions, checkouts)
        measured = growth(arguments.only, checkouts)
    if len(table):
        print("\n" + table.round(3).to_string())
    if len(measured):
        by_size = measured.pivot_table(index=["job", "size"], columns="code", sort=False)
        print("\n" + by_size.round(2).to_string())
        print("\n" + exponents(measured).round(2).to_string())
        draw(measured, arguments.figure)
        print(f"\nDrawn: {arguments.figure}")


if __name__ == "__main__":
    main()
