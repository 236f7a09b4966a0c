"""TF Bind 8: the shipped landscape, and others by path."""

from __future__ import annotations

import gzip
import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from lightning_mbo.errors import ConfigurationError, DataError
from lightning_mbo.tasks import KnownProblem, TFBind8
from lightning_mbo.tasks.tf_bind_8 import shipped

COMPLEMENT = str.maketrans("ACGT", "TGCA")
NUM_ROWS, NUM_SEQUENCES, NUM_PALINDROMES = 32_896, 4**8, 4**4


def words(length: int) -> list[str]:
    return ["".join(word) for word in itertools.product("ACGT", repeat=length)]


def other_strand(word: str) -> str:
    return word.translate(COMPLEMENT)[::-1]


def landscape_rows(length: int) -> list[list[str]]:
    """Each sequence once with its reverse complement, and columns that nobody needs."""
    pairs = [(word, other_strand(word)) for word in words(length) if word <= other_strand(word)]
    scores = np.random.default_rng(0).uniform(-0.5, 0.5, size=len(pairs))
    return [
        [*pair, f"{score:.5f}", "38994.81", "0.4"]
        for pair, score in zip(pairs, scores, strict=True)
    ]


def written(path: Path, rows: list[list[str]], header: str = "8-mer\t8-mer\tE-score\tM\tZ") -> Path:
    text = "".join("\t".join(row) + "\n" for row in [[header], *rows])
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def problem(landscape: Path | None = None, percentile: float = 50.0) -> KnownProblem:
    return TFBind8(landscape, percentile).problem(torch.Generator())


@pytest.fixture(scope="module")
def data() -> KnownProblem:
    return problem()


@pytest.fixture(scope="module")
def everything() -> KnownProblem:
    return problem(percentile=100.0)


def truth(data: KnownProblem, designs: torch.Tensor) -> np.ndarray:
    return data.ground_truth(designs).numpy()


def test_the_visible_half(data: KnownProblem) -> None:
    assert data.designs.shape == (32_898, 8, 4)
    assert data.designs.dtype == data.properties.dtype == torch.float64
    assert (data.designs.sum(2) == 1).all()
    # The published label, which is in single precision.
    assert data.properties.max().item() == np.float32(0.43929616)
    assert data.properties.min().item() == 0.0
    assert data.property_range == (0.0, 1.0)


def test_everything(everything: KnownProblem) -> None:
    sequences = everything.codec.to_user_units(everything.designs)["sequence"]
    assert len(sequences) == 2 * NUM_ROWS == 65_792
    counts = sequences.value_counts()
    assert set(counts.index) == set(words(8))
    palindromes = {word for word in words(8) if word == other_strand(word)}
    assert len(palindromes) == NUM_PALINDROMES
    assert set(counts[counts == 2].index) == palindromes
    assert counts.max() == 2
    # All first strands in alphabetical order, then all second ones.
    first, second = sequences[:NUM_ROWS], sequences[NUM_ROWS:]
    assert first.is_monotonic_increasing
    assert [other_strand(word) for word in first] == second.tolist()
    assert (first.to_numpy() <= second.to_numpy()).all()
    labels = everything.properties.numpy()
    np.testing.assert_array_equal(labels[:NUM_ROWS], labels[NUM_ROWS:])


def test_the_visible_half_is_the_lower_one(data: KnownProblem, everything: KnownProblem) -> None:
    labels = everything.properties.numpy()
    visible = labels <= np.median(labels)
    np.testing.assert_array_equal(data.properties.numpy(), labels[visible])
    assert torch.equal(data.designs, everything.designs[torch.from_numpy(visible)])


def test_shipped_scores() -> None:
    """Some rows of the measured table, by hand, and its extremes."""
    strands, scores = shipped()
    found = ["".join("ACGT"[token] for token in strand) for strand in strands]
    by_word = dict(zip(found, scores, strict=True))
    assert by_word["AAAAAAAA"] == 0.03
    assert by_word["AAAAAAAC"] == -0.12351
    assert (scores.min(), scores.max()) == (-0.47907, 0.49105)


def test_labels_are_normalised_in_double_and_kept_in_single_precision(
    everything: KnownProblem,
) -> None:
    labels = everything.properties.numpy()[:2]
    expected = (np.array([0.03, -0.12351]) + 0.47907) / (0.49105 + 0.47907)
    np.testing.assert_array_equal(labels, expected.astype(np.float32))


def test_the_ground_truth_is_the_label(everything: KnownProblem) -> None:
    np.testing.assert_array_equal(
        truth(everything, everything.designs), everything.properties.numpy()
    )
    assert truth(everything, everything.designs[:0]).shape == (0,)


def test_the_ground_truth_knows_what_is_hidden(
    data: KnownProblem, everything: KnownProblem
) -> None:
    best = everything.designs[everything.properties.argmax()][None]
    assert truth(data, best).item() == 1.0


def test_nearest_known(data: KnownProblem, everything: KnownProblem) -> None:
    some = torch.cat([data.designs[[100]], everything.designs[::9000]])
    found = data.nearest_known(some)
    visible = data.codec.to_user_units(data.designs)["sequence"].tolist()
    labels = dict(zip(visible, data.properties.tolist(), strict=True))
    for word, near, score in zip(
        data.codec.to_user_units(some)["sequence"],
        found["nearest_sequence"],
        found["nearest_score"],
        strict=True,
    ):
        least = min(sum(a != b for a, b in zip(word, v, strict=True)) for v in visible)
        assert sum(a != b for a, b in zip(word, near, strict=True)) == least
        assert labels[near] == score
    assert found["nearest_sequence"][0] == visible[100]


@pytest.mark.parametrize("length", [3, 4])
@pytest.mark.parametrize("name", ["landscape.txt", "landscape.txt.gz"])
def test_other_landscapes(length: int, name: str, tmp_path: Path) -> None:
    rows = landscape_rows(length)
    data = problem(written(tmp_path / name, rows), percentile=100.0)
    scores = np.array([float(row[2]) for row in rows])
    sequences = data.codec.to_user_units(data.designs)["sequence"].tolist()
    assert sequences == [row[0] for row in rows] + [row[1] for row in rows]
    expected = ((scores - scores.min()) / np.ptp(scores)).astype(np.float32)
    np.testing.assert_array_equal(data.properties.numpy(), np.tile(expected, 2))
    np.testing.assert_array_equal(truth(data, data.designs), np.tile(expected, 2))


def test_rows_may_be_in_any_order(tmp_path: Path) -> None:
    rows = landscape_rows(3)
    turned = [[row[1], row[0], *row[2:]] for row in reversed(rows)]
    one, other = problem(written(tmp_path / "a", rows)), problem(written(tmp_path / "b", turned))
    every = torch.from_numpy(np.eye(4)[[["ACGT".index(x) for x in word] for word in words(3)]])
    np.testing.assert_array_equal(truth(one, every), truth(other, every))


@pytest.mark.parametrize("percentile", [10.0, 37.5, 90.0])
def test_visible_percentile(percentile: float, tmp_path: Path) -> None:
    path = written(tmp_path / "landscape.txt", landscape_rows(4))
    labels = problem(path, 100.0).properties.numpy()
    visible = problem(path, percentile)
    expected = labels[labels <= np.percentile(labels, percentile)]
    np.testing.assert_array_equal(visible.properties.numpy(), expected)
    assert visible.property_range == (0.0, 1.0)


def edited(row: int, column: int, entry: str) -> Callable[[list[list[str]]], None]:
    return lambda rows: rows[row].__setitem__(column, entry)


@pytest.mark.parametrize(
    ("edit", "parts"),
    [
        (edited(4, 0, "AACN"), ["column '8-mer'", "data row 5", "'AACN'", "letters ACGT"]),
        (edited(4, 1, "cgtt"), ["column '8-mer.1'", "data row 5", "'cgtt'"]),
        (edited(4, 0, ""), ["column '8-mer'", "data row 5", "empty"]),
        (edited(4, 0, "ÄÖÜß"), ["column '8-mer'", "data row 5", "'ÄÖÜß'"]),
        (edited(4, 0, "AACAA"), ["column '8-mer'", "data row 5", "same length"]),
        (edited(4, 1, "AAAA"), ["column '8-mer.1'", "data row 5", "AAAA is not the reverse"]),
        (edited(4, 2, "high"), ["column 'E-score'", "data row 5", "'high'"]),
        (edited(4, 2, ""), ["column 'E-score'", "data row 5", "empty"]),
        (edited(4, 2, "inf"), ["column 'E-score'", "data row 5", "'inf'"]),
        (lambda rows: rows.pop(), ["has 135 rows", "all sequences of 4 letters"]),
        (lambda rows: rows.append(rows[3]), ["has 137 rows", "all sequences of 4 letters"]),
        (lambda rows: rows.__setitem__(7, rows[3]), ["data row 8", "AAAT was there before"]),
        (
            lambda rows: rows.__setitem__(7, [rows[4][1], rows[4][0], *rows[4][2:]]),
            ["data row 8", "TGTT was there before"],
        ),
        (lambda rows: [row.__setitem__(2, "0.1") for row in rows], ["'E-score'", "are equal"]),
        (lambda rows: [row.__setitem__(1, row[1][1:]) for row in rows], ["different lengths"]),
        (lambda rows: rows.clear(), ["a header and no rows"]),
        (lambda rows: rows[4].append("1"), ["cannot be read as a tab-separated file", "line 6"]),
    ],
)
def test_a_landscape_that_cannot_be_used(
    edit: Callable[[list[list[str]]], object], parts: list[str], tmp_path: Path
) -> None:
    rows = landscape_rows(4)
    edit(rows)
    path = written(tmp_path / "edited.txt", rows)
    with pytest.raises(DataError) as caught:
        problem(path)
    message = str(caught.value)
    assert all(part in message for part in [str(path), *parts]), message
    assert "\n" not in message


@pytest.mark.parametrize(
    "header", ["8-mer\t8-mer\tscore\tM\tZ", "E-score\ta\tb\tc\td", "8-mer,8-mer,E-score,M,Z"]
)
def test_a_table_of_something_else(header: str, tmp_path: Path) -> None:
    separator = "," if "," in header else "\t"
    rows = [[separator.join(row)] for row in landscape_rows(2)]
    path = written(tmp_path / "other.txt", rows, header)
    with pytest.raises(DataError, match=r"other\.txt is not a binding landscape: its columns"):
        problem(path)


def test_a_missing_landscape(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere is missing: data\.landscape must name a tab"):
        problem(tmp_path / "nowhere")


@pytest.mark.parametrize("percentile", [0.0, -1.0, 100.5, float("nan")])
def test_refused_percentiles(percentile: float) -> None:
    with pytest.raises(ConfigurationError, match=r"data\.visible_percentile must lie in"):
        TFBind8(visible_percentile=percentile)
