"""What is shown on the screen."""

from __future__ import annotations

import numpy as np
import pytest

from lightning_mbo.console import shown_number, with_deviation


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


@pytest.mark.parametrize(
    ("mean", "std", "shown"),
    [
        (47.1976, 1.123, "47.2 ± 1.1"),
        (89.8161, 0.974, "89.82 ± 0.97"),
        (-0.04, 0.0213, "-0.040 ± 0.021"),
        (512.3, 42.4, "512 ± 42"),
        (5.25, 0.0, "5.25 ± 0"),
        (3e9, 2.5e8, "3e+09 ± 2.5e+08"),
    ],
)
def test_a_mean_has_the_digits_of_its_deviation(mean: float, std: float, shown: str) -> None:
    assert with_deviation(mean, std) == shown
