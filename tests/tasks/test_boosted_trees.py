"""The cached ground truth of boosted trees."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xgboost

from lightning_mbo.tasks import boosted_trees
from lightning_mbo.tasks.boosted_trees import BoostedTrees

N, D = 200, 6
INFORMATIVE = [1, 4]


@pytest.fixture(scope="module")
def values() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(N, D))


@pytest.fixture(scope="module")
def properties(values: np.ndarray) -> np.ndarray:
    return 5.0 + 3.0 * values[:, 1] - 4.0 * values[:, 4]


@pytest.fixture(autouse=True)
def _few_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boosted_trees, "_MAX_TREES", 20)


@pytest.fixture
def no_training(monkeypatch: pytest.MonkeyPatch) -> None:
    def train(*_: Any, **__: Any) -> None:
        pytest.fail("the cache was not used")

    monkeypatch.setattr(xgboost, "train", train)


def cached(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.ubj"))


def test_predictions_follow_the_property(
    values: np.ndarray, properties: np.ndarray, tmp_path: Path
) -> None:
    trees = BoostedTrees.fitted(values, properties, None, tmp_path)
    predicted = trees(values)
    assert predicted.shape == (N,)
    assert predicted.dtype == np.float64
    assert np.corrcoef(predicted, properties)[0, 1] > 0.9
    assert trees.columns.tolist() == list(range(D))


def test_holdout_error_is_that_of_the_rows_held_out(
    values: np.ndarray, properties: np.ndarray, tmp_path: Path
) -> None:
    trees = BoostedTrees.fitted(values, properties, None, tmp_path)
    squared = (trees(values) - properties) ** 2
    rows = np.random.default_rng(0).permutation(N)[: N // 5]
    assert trees.holdout_rmse == pytest.approx(np.sqrt(squared[rows].mean()), rel=1e-4)
    assert np.sqrt(np.delete(squared, rows).mean()) < trees.holdout_rmse


@pytest.mark.parametrize("num_columns", [2, 3])
def test_columns_are_ranked_by_gain(
    values: np.ndarray, properties: np.ndarray, tmp_path: Path, num_columns: int
) -> None:
    trees = BoostedTrees.fitted(values, properties, num_columns, tmp_path)
    chosen = trees.columns.tolist()
    assert len(chosen) == num_columns
    assert chosen == sorted(chosen)
    assert set(INFORMATIVE) <= set(chosen)
    assert trees(values[:, chosen]).shape == (N,)


def test_more_columns_than_there_are_means_all(
    values: np.ndarray, properties: np.ndarray, tmp_path: Path
) -> None:
    trees = BoostedTrees.fitted(values, properties, D + 10, tmp_path)
    assert trees.columns.tolist() == list(range(D))


def test_a_fit_is_kept_and_read_again(
    values: np.ndarray,
    properties: np.ndarray,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    folder = tmp_path / "made" / "on demand"
    first = BoostedTrees.fitted(values, properties, 3, folder)
    assert len(cached(folder)) == 1
    request.getfixturevalue("no_training")
    again = BoostedTrees.fitted(values.copy(), properties.copy(), 3, folder)
    assert again.columns.tolist() == first.columns.tolist()
    assert again.holdout_rmse == first.holdout_rmse
    columns = values[:, first.columns]
    np.testing.assert_array_equal(again(columns), first(columns))


@pytest.mark.parametrize("length", [0, 10, 1000, -1])
@pytest.mark.parametrize("which", ["trees", "digest", "no digest"])
def test_a_file_that_is_not_what_was_written_is_made_anew(
    values: np.ndarray,
    properties: np.ndarray,
    tmp_path: Path,
    length: int,
    which: str,
    request: pytest.FixtureRequest,
    capsys: pytest.CaptureFixture[str],
) -> None:
    first = BoostedTrees.fitted(values, properties, None, tmp_path)
    (path,) = cached(tmp_path)
    digest = path.with_name(f"{path.name}.sha256")
    before = path.read_bytes(), digest.read_bytes()
    if which == "trees":
        path.write_bytes(before[0][:length])
    elif which == "digest":
        digest.write_bytes(b"\xff" + before[1][:length])
    else:
        digest.unlink()
    again = BoostedTrees.fitted(values, properties, None, tmp_path)
    assert f"{path} is not what {digest.name} beside it says" in capsys.readouterr().out
    np.testing.assert_array_equal(again(values), first(values))
    assert (path.read_bytes(), digest.read_bytes()) == before
    request.getfixturevalue("no_training")
    BoostedTrees.fitted(values, properties, None, tmp_path)


def test_the_key_is_made_of_data_and_settings(
    values: np.ndarray,
    properties: np.ndarray,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    changed_values, changed_properties = values.copy(), properties.copy()
    changed_values[3, 2] += 1e-9
    changed_properties[3] += 1e-9
    cases = [
        (values, properties, None),
        (changed_values, properties, None),
        (values, changed_properties, None),
        (values, properties, 3),
        (values[:-1], properties[:-1], None),
    ]
    for number, case in enumerate(cases, start=1):
        BoostedTrees.fitted(*case, tmp_path)
        assert len(cached(tmp_path)) == number
    parameters = {**boosted_trees._PARAMETERS, "learning_rate": 0.3}
    for name, value in [
        ("_MAX_TREES", 5),
        ("_PATIENCE", 3),
        ("_HELD_OUT", 0.5),
        ("_PARAMETERS", parameters),
    ]:
        with monkeypatch.context() as patch:
            patch.setattr(boosted_trees, name, value)
            BoostedTrees.fitted(values, properties, None, tmp_path)
    assert len(cached(tmp_path)) == len(cases) + 4


def test_a_folder_that_cannot_be_made_only_warns(
    values: np.ndarray, properties: np.ndarray, tmp_path: Path
) -> None:
    expected = BoostedTrees.fitted(values, properties, None, tmp_path / "cache")
    in_the_way = tmp_path / "file"
    in_the_way.write_text("not a folder", encoding="utf-8")
    with pytest.warns(UserWarning, match=r"is not kept, .*file cannot be written"):
        trees = BoostedTrees.fitted(values, properties, None, in_the_way)
    np.testing.assert_array_equal(trees(values), expected(values))
    assert in_the_way.read_text(encoding="utf-8") == "not a folder"


def test_a_folder_that_cannot_be_written_only_warns(
    values: np.ndarray,
    properties: np.ndarray,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def replace(partial: Path, path: Path) -> None:
        # As with a folder without permission, also for a user who may do everything.
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr("lightning_mbo.files.os.replace", replace)
    with pytest.warns(UserWarning, match="is not kept"):
        trees = BoostedTrees.fitted(values, properties, None, tmp_path)
    assert trees(values).shape == (N,)


def test_no_folder_means_the_user_s_cache(
    values: np.ndarray,
    properties: np.ndarray,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(boosted_trees.platformdirs, "user_cache_path", lambda name: tmp_path / name)
    BoostedTrees.fitted(values, properties, None, None)
    assert len(cached(tmp_path / "lightning_mbo")) == 1
