"""What is shown on the screen."""

from __future__ import annotations

import numpy as np
import pytest

from lightning_mbo.console import shown_number


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (6.4e-4, "0.00064"),
        (np.float64(0.123456), "0.1235"),
        (np.float32(2.5), "2.5"),
        (1234.56, "1235"),
        (-56789.0, "-56789"),
        (1.5e9, "1.5e+09"),
        (0.0, "0"),
        (np.int64(1234567), "1234567"),
        (7, "7"),
        (True, "True"),
        ("ethanol", "ethanol"),
        (float("nan"), "nan"),
    ],
)
def test_numbers(value: object, shown: str) -> None:
    assert shown_number(value) == shown
