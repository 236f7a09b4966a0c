"""A small table with several results, some of which are missing."""

from __future__ import annotations

import numpy as np
import pandas as pd

TARGETS = {"yield": "maximize", "ee": ">= 70", "cost": "minimize"}


def table_of_results(num_rows: int = 60, num_missing: int = 5) -> pd.DataFrame:
    """Rows whose yield and cost are at odds; the first ones lack an `ee`."""
    draw = np.random.default_rng(0)
    frame = pd.DataFrame(draw.uniform(size=(num_rows, 2)).round(4), columns=["heat", "load"])
    frame["solvent"] = draw.choice(["DMF", "THF"], num_rows)
    noise = draw.normal(size=(3, num_rows))
    frame["yield"] = 80 * frame["heat"] * frame["load"] + 5 * (frame["solvent"] == "THF") + noise[0]
    frame["ee"] = 95 - 40 * frame["heat"] ** 2 + noise[1]
    frame["cost"] = 10 + 20 * frame["load"] + noise[2]
    frame.loc[: num_missing - 1, "ee"] = np.nan
    return frame
