"""Where candidates lie among the data."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from lightning_mbo.report.places import kolmogorov_distance


@pytest.mark.parametrize("decimals", [0, 1, 8])
@pytest.mark.parametrize("shift", [0.0, 0.4, 9.0])
def test_how_far_two_distributions_are_apart(shift: float, decimals: int) -> None:
    draw = np.random.default_rng(0)
    one, other = draw.normal(size=90).round(decimals), draw.normal(shift, size=7).round(decimals)
    expected = stats.ks_2samp(one, other, method="asymp").statistic
    assert kolmogorov_distance(one, other) == expected
