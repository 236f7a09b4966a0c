"""TF Bind 8: find DNA that a transcription factor binds to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lightning_mbo.designs import hamming, nearest
from lightning_mbo.errors import DataError
from lightning_mbo.sequences import letters, one_hot, tokens
from lightning_mbo.space import DesignSpace
from lightning_mbo.tabular.types import DataFrame, Series
from lightning_mbo.tasks.base import KnownProblem, Task, check_percentile
from lightning_mbo.tasks.codecs import Letters

ALPHABET = "ACGT"
"""The complement of letter number t is letter number 3 - t."""

SCORE = "E-score"


@dataclass(frozen=True)
class TFBind8(Task):
    """All DNA sequences of 8 letters, and how strongly a transcription factor binds to them.

    The property is the measured E-score, normalised to [0, 1] over all sequences, and its own
    exact ground truth. A sequence and its reverse complement are the same DNA, read from either
    strand: both are designs, so that a palindrome is there twice, and they are held out together.
    Only the weaker half is visible. Without a file the transcription factor is SIX6 (reference
    allele, first replicate).

    Reference: Barrera et al., "Survey of variation in human transcription factors reveals
    prevalent DNA binding changes", Science 351, 2016; Trabucco, Geng, Kumar and Levine,
    "Design-Bench", ICML 2022, whose designs and labels these are, to the last bit.

    Attributes:
        landscape: A tab-separated file, plain or compressed: all sequences of one length, in each
            row one, its reverse complement, and a column E-score.
        visible_percentile: Sequences above this percentile of the property are hidden.
    """

    landscape: Path | None = None
    visible_percentile: float = 50.0

    property_name = "normalised E-score"

    def __post_init__(self) -> None:
        """Check the options.

        Raises:
            ConfigurationError: If a value is out of its range.
        """
        check_percentile(self.visible_percentile)

    def problem(self, generator: torch.Generator) -> KnownProblem:
        """The visible sequences, all first strands before all second ones; nothing is drawn."""
        strands, scores = shipped() if self.landscape is None else read_landscape(self.landscape)
        sequences = np.concatenate([strands, reverse_complements(strands)])
        normalized = (scores - scores.min()) / (scores.max() - scores.min())
        # The benchmark's labels are in single precision.
        properties = np.tile(normalized.astype(np.float32), 2).astype(np.float64)
        visible = properties <= np.percentile(properties, self.visible_percentile)
        designs = one_hot(torch.from_numpy(sequences[visible]), len(ALPHABET))
        labels = torch.from_numpy(properties[visible])
        return KnownProblem(
            designs,
            labels,
            DesignSpace.of_shape(designs.shape[1:]),
            Letters(ALPHABET),
            _looked_up(sequences, properties),
            property_range=(float(properties.min()), float(properties.max())),
            groups=torch.from_numpy(molecule_numbers(sequences[visible])),
            distances=hamming,
            nearest_known=lambda others: _nearest_known(others, designs, labels),
        )


def _looked_up(
    sequences: NDArray[np.int64], properties: NDArray[np.float64]
) -> Callable[[Tensor], Tensor]:
    """The ground truth of all sequences ``(4^l, l)`` and more, with their properties."""
    by_number = torch.empty(4 ** sequences.shape[1], dtype=torch.float64, device="cpu")
    by_number[sequence_numbers(sequences)] = torch.from_numpy(properties)

    def ground_truth(designs: Tensor) -> Tensor:
        found = by_number[sequence_numbers(tokens(designs.cpu()).numpy())]
        return found.to(designs.device)

    return ground_truth


def _nearest_known(designs: Tensor, known: Tensor, labels: Tensor) -> DataFrame:
    """The known sequence that differs in the fewest places, which may be the design, and its label.

    Held-out ones are known too.
    """
    import pandas as pd

    _, rows = nearest(designs, known, hamming)
    return pd.DataFrame(
        {
            "nearest_sequence": letters(known[rows], ALPHABET),
            "nearest_score": labels[rows].numpy(),
        }
    )


class Landscape(NamedTuple):
    """Measured binding to all DNA sequences of one length.

    Attributes:
        strands: Tokens of one sequence of each pair of reverse complements, ``(r, l)``.
        scores: Their E-scores, ``(r,)``.
    """

    strands: NDArray[np.int64]
    scores: NDArray[np.float64]


def shipped() -> Landscape:
    """The landscape of SIX6, whose scores alone are shipped: the sequences are in their order."""
    table = files("lightning_mbo.tasks") / "tables" / "tf_bind_8_six6_ref_r1.npz"
    with as_file(table) as path, np.load(path) as arrays:
        scores = arrays["e_scores_1e5"] / 1e5
    length = 8
    sequences = np.stack(np.unravel_index(np.arange(4**length), (4,) * length), axis=1)
    first = sequence_numbers(sequences) <= sequence_numbers(reverse_complements(sequences))
    return Landscape(sequences[first], scores)


def read_landscape(path: Path) -> Landscape:
    """Read a landscape from a file.

    Args:
        path: See `TFBind8`.

    Raises:
        DataError: If it is none, or an entry cannot be used.
    """
    from lightning_mbo.tabular.reading import numbers, read_csv

    table = read_csv(path, separator="\t", option="data.landscape")
    if SCORE not in table.columns[2:]:
        raise DataError(
            f"{path} is not a binding landscape: its columns should be a sequence, its reverse "
            f"complement and {SCORE}, separated by tabs, not {', '.join(table.columns[:5])}"
        )
    strands, others = (_sequences(table[column], path) for column in table.columns[:2])
    if strands.shape != others.shape:
        raise DataError(f"{path}: the first two columns have sequences of different lengths")
    bad = np.flatnonzero((reverse_complements(strands) != others).any(1))
    if len(bad):
        raise DataError(
            f"{path}, column {table.columns[1]!r}, data row {bad[0] + 1}: "
            f"{_word(others[bad[0]])} is not the reverse complement of {_word(strands[bad[0]])}"
        )
    _check_complete(strands, path)
    scores = numbers(table, [SCORE], path)[:, 0]
    if np.ptp(scores) == 0:
        raise DataError(f"{path}, column {SCORE!r}: all entries are equal")
    return Landscape(strands, scores)


def _sequences(column: Series[str], path: Path) -> NDArray[np.int64]:
    words = column.fillna("").astype(str)
    length = len(words.iloc[0])
    bad = np.flatnonzero(~words.str.fullmatch(f"[{ALPHABET}]{{{length or 1}}}"))
    if len(bad):
        shown = repr(words.iloc[bad[0]][:40]) if words.iloc[bad[0]] else "empty"
        raise DataError(
            f"{path}, column {column.name!r}, data row {bad[0] + 1}: {shown} is not a sequence of "
            f"the letters {ALPHABET}, of the same length as the first ({len(bad)} such entries)"
        )
    characters = np.frombuffer("".join(words).encode("ascii"), dtype=np.uint8)
    number_of = np.zeros(128, dtype=np.int64)
    number_of[list(ALPHABET.encode("ascii"))] = np.arange(len(ALPHABET))
    found: NDArray[np.int64] = number_of[characters].reshape(len(words), length)
    return found


def _check_complete(strands: NDArray[np.int64], path: Path) -> None:
    import pandas as pd

    num_rows, length = strands.shape
    num_palindromes = 4 ** (length // 2) if length % 2 == 0 else 0
    expected = (4**length + num_palindromes) // 2
    if num_rows != expected:
        raise DataError(
            f"{path} has {num_rows:,} rows, which cannot be all sequences of {length} letters, "
            "each once with its reverse complement: the ground truth is looked up in it"
        )
    repeated = pd.Series(molecule_numbers(strands)).duplicated()
    if repeated.any():
        row = int(repeated.argmax())
        raise DataError(f"{path}, data row {row + 1}: {_word(strands[row])} was there before")


def _word(sequence: NDArray[np.int64]) -> str:
    return "".join(ALPHABET[token] for token in sequence)


def reverse_complements(sequences: NDArray[np.int64]) -> NDArray[np.int64]:
    """The other strands of sequences ``(m, l)``, read in their own direction."""
    return 3 - sequences[:, ::-1]


def molecule_numbers(sequences: NDArray[np.int64]) -> NDArray[np.int64]:
    """One number for each molecule, whichever strand of it is read: sequences ``(m, l)``: ``(m,)``.

    It is the smaller one of the two strands' `sequence_numbers`.
    """
    numbers: NDArray[np.int64] = np.minimum(
        sequence_numbers(sequences), sequence_numbers(reverse_complements(sequences))
    )
    return numbers


def sequence_numbers(sequences: NDArray[np.int64]) -> NDArray[np.int64]:
    """The places of sequences ``(m, l)`` in the alphabetical order of all 4^l: ``(m,)``."""
    length = sequences.shape[1]
    numbers: NDArray[np.int64] = sequences @ 4 ** np.arange(length - 1, -1, -1)
    return numbers
