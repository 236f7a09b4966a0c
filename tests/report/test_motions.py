"""What is seen of robots, in the report and beside it."""

from __future__ import annotations

import re
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest

from lightning_mbo.cli import main
from lightning_mbo.report.motions import draw_motions, write_motions
from lightning_mbo.robots.motion import Motion

LIMBS = np.array([0.1, 0.05])


def walking(to: float, num_moments: int = 3) -> Motion:
    """A ball, and a limb below it, that go along x."""
    ball = np.array([[0.0, 0.0, 1.0]] * 2)
    limb = np.array([[0.0, 0.0, 1.0], [0.3, 0.0, 0.0]])
    gone = np.linspace(0, to, num_moments)[:, None, None, None] * np.array([1.0, 0, 0])
    return Motion(np.stack([ball, limb]) + gone, LIMBS)


def test_every_part_of_every_moment_is_drawn_once_with_an_edge_and_a_shadow() -> None:
    svg = draw_motions({"one": walking(4.0), "another, of 5 $": walking(1.0, 7)})
    assert svg.startswith("<svg")
    assert "another, of 5 $" in svg
    assert svg.count("stroke-linecap: round") == 3 * 2 * (3 + 7)
    assert draw_motions({"one": walking(4.0), "another, of 5 $": walking(1.0, 7)}) == svg
    assert set(re.findall(r'id="(\w+)-', svg)) == {"motions"}


def drawn_rows(motions: dict[str, Motion], path: Path) -> np.ndarray:
    write_motions(motions, path)
    image = matplotlib.image.imread(path)[..., :3]
    return np.ptp(image, axis=2) > 0.2  # all else is grey


def test_strips_are_on_one_scale_and_as_wide_as_what_is_drawn(tmp_path: Path) -> None:
    colored = drawn_rows({"far": walking(8.0), "near": walking(2.0)}, tmp_path / "a.png")
    half = len(colored) // 2
    places = [np.flatnonzero(rows.any(0)) for rows in (colored[:half], colored[half:])]
    far, near = (place.max() - place.min() for place in places)
    # From the ball's left to the foot's right.
    assert near / far == pytest.approx(2.45 / 8.45, rel=0.02)
    assert abs(places[0].min() - places[1].min()) <= 1
    # Of the limb 0.1 m thick, where the ball is above: its foot.
    per_metre = far / 8.45
    rows = np.flatnonzero(colored[:half].any(1))
    assert (rows.max() - rows.min()) / per_metre == pytest.approx(1.15, rel=0.05)


def height_above_shadow(ball: list[float], path: Path) -> float:
    """Between the middles of a ball of .1 m that is seen, and of its shadow, in its sizes."""
    write_motions({"": Motion(np.array([[[ball] * 2]]), LIMBS[:1])}, path)
    image = matplotlib.image.imread(path)[..., :3]
    colored, grey = np.ptp(image, axis=2) > 0.2, np.abs(image - 0xE4 / 0xFF).max(2) < 0.01
    # Letters have a few such pixels too.
    body, shadow = (np.flatnonzero(seen.sum(1) > 10) for seen in (colored, grey))
    return float((shadow.max() + shadow.min() - body.max() - body.min()) / 2 / np.ptp(body))


def test_a_shadow_tells_off_the_floor_from_off_to_the_side(tmp_path: Path) -> None:
    # Seen at the same place: 0.3 m up a metre away.
    high, beside = [0.35, 0.0, 0.8], [0.0, 1.0, 0.5]
    assert height_above_shadow(high, tmp_path / "a.png") == pytest.approx(0.8 / 0.2, rel=0.1)
    assert height_above_shadow(beside, tmp_path / "b.png") == pytest.approx(0.5 / 0.2, rel=0.1)


def test_what_hardly_moves_is_no_tower(tmp_path: Path) -> None:
    image = drawn_rows({"still": walking(0.0, 1)}, tmp_path / "a.png")
    assert image.shape[0] < image.shape[1] / 2


@pytest.mark.filterwarnings("ignore:The number of training batches", "ignore:design iteration")
@pytest.mark.parametrize(
    ("config", "name"), [("ant", "distance (m)"), ("dkitty", "distance less falls (m)")]
)
def test_a_run_shows_the_best_row_and_the_best_candidates(
    config: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("mujoco", reason="needs the extra robots")
    monkeypatch.chdir(tmp_path)
    options = ["--data.visible_percentile=2", "--convergence.max_epochs=1"]
    search = ["--search.num_steps=2", "--search.num_starts=10", "--num_candidates=5"]
    main(["fit", f"--config={config}_morphology.yaml", *options, *search])
    (folder,) = Path("runs").glob("*/version_0")
    page = (folder / "report.html").read_text()
    assert "<h2>How they move</h2>" in page
    assert f"The best row of the table: {name} " in page
    assert f"The most promising candidate: {name} " in page
    assert matplotlib.image.imread(folder / "motions.png").shape[1] == 1200


def test_nothing_is_said_of_designs_that_do_not_move(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    main(["fit", "--config=toy.yaml", "--search.num_iterations=1"])
    (folder,) = Path("runs").glob("*/version_0")
    assert "How they move" not in (folder / "report.html").read_text()
    assert not (folder / "motions.png").exists()
