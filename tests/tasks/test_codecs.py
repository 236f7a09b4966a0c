"""Designs in the user's units, and back."""

from __future__ import annotations

import pandas as pd
import pytest
import torch

from lightning_mbo.errors import DataError
from lightning_mbo.tasks.codecs import Codec, Letters, Numbers, Standardized

MEAN, STD = torch.tensor([10.0, -3.0]).double(), torch.tensor([2.0, 0.5]).double()
CODECS = {
    "numbers": (Numbers(["a", "b"]), [[1.5, 2.0], [0.0, -1.0]], {"a": [1.5, 0.0], "b": [2.0, -1]}),
    "standardised": (
        Standardized(["a", "b"], MEAN, STD),
        [[1.5, 2.0], [0.0, -1.0]],
        {"a": [13.0, 10.0], "b": [-2.0, -3.5]},
    ),
    "letters": (
        Letters("ACG"),
        [[[1, 0, 0], [0, 0, 1]], [[0, 1, 0], [1, 0, 0]]],
        {"sequence": ["AG", "CA"]},
    ),
}


@pytest.mark.parametrize("kind", CODECS)
def test_there_and_back(kind: str) -> None:
    codec, entries, columns = CODECS[kind]
    designs, table = torch.tensor(entries).double(), pd.DataFrame(columns)
    pd.testing.assert_frame_equal(codec.to_user_units(designs), table)
    back = codec.from_user_units(table)
    assert back.dtype == torch.float64
    assert torch.equal(back, designs)


@pytest.mark.parametrize("kind", ["numbers", "standardised"])
def test_columns_go_by_their_names(kind: str) -> None:
    codec, entries, columns = CODECS[kind]
    table = pd.DataFrame(columns).iloc[:, ::-1].assign(other="x")
    assert torch.equal(codec.from_user_units(table), torch.tensor(entries).double())


@pytest.mark.parametrize(
    ("codec", "columns", "message"),
    [
        (Numbers(["a", "b"]), {"a": [1.0]}, "lacks the column 'b'"),
        (Numbers(["a"]), {"a": [1.0, "high"]}, "column 'a', data row 2: 'high'"),
        (Letters("AC"), {"word": ["A"]}, "lacks the column 'sequence'"),
        (Letters("AC"), {"sequence": ["AC", "AG"]}, "data row 2: 'AG' is not a sequence"),
        (Letters("AC"), {"sequence": ["AC", "A"]}, "data row 2: 'A' is not a sequence"),
    ],
)
def test_what_is_no_design(codec: Codec, columns: dict[str, list[object]], message: str) -> None:
    with pytest.raises(DataError, match=message):
        codec.from_user_units(pd.DataFrame(columns))
