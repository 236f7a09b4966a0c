"""What the page says of columns, and of the oracles that spoke."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd
import torch

from lightning_mbo.data import CSV
from lightning_mbo.oracles import AdditiveRegression, GaussianProcess, Oracle
from lightning_mbo.report.dependence import dependences
from lightning_mbo.report.page import render
from tests.report.test_page import Table, Words, evidence, loaded, text

LIGANDS = [f"L{i:02d}" for i in range(14)]


def table(num_rows: int = 120) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"<heat>": rng.uniform(20, 90, num_rows).round(1)})
    frame["ligand"] = rng.choice(LIGANDS, num_rows)
    frame["resin"] = rng.uniform(0, 1, num_rows).round(3)
    frame["oil"] = (1 - frame["resin"]).round(3)
    for i in range(6):
        frame[f"idle {i}"] = rng.uniform(0, 1, num_rows).round(2)
    frame["yield"] = frame["<heat>"] + 2 * frame["ligand"].str[1:].astype(int)
    frame["yield"] += 3 * frame["resin"] + rng.normal(0, 0.5, num_rows)
    return frame


def page_of(oracle: Oracle, **options: Any) -> str:
    data = loaded(CSV(table(), "yield", **options))
    oracle.prepare(data.problem.training)
    oracle.fit(data.fits)
    shown = evidence(data, candidates=data.designs[:30])
    found = dependences(oracle, data, shown.candidates)
    return render(
        evidence(data, candidates=data.designs[:30], dependences={data.measured_name: found})
    )


def test_the_most_important_columns_are_drawn() -> None:
    page = page_of(AdditiveRegression())
    section = page[page.index("What matters, and how") :]
    names = re.findall(r"<figcaption><strong>(.*?)</strong> moves the prediction by", section)
    assert names[0] == "&lt;heat&gt;"
    assert names[1] == "ligand"
    assert len(names) <= 6
    assert "<heat>" not in page
    words = text(section)
    assert "Shown are the best 12 of 14 levels." in words
    assert "the other parts of its total are rescaled" in words
    assert "An effect is what the level adds" in words
    left = re.search(r"(\d+) other columns move it by ± [\d.e-]+ at most", words)
    assert left
    assert len(names) + int(left[1]) == len(table().columns) - 1
    figure = section[section.index("dependence1-") :]
    figure = figure[: figure.index("</svg>")]
    assert sorted(re.findall(r">(L\d\d)</text>", figure)) == LIGANDS[2:]
    ids = re.findall(r'\bid="([^"]*)"', page)
    assert len(ids) == len(set(ids))


def test_what_another_oracle_says() -> None:
    words = text(page_of(GaussianProcess(), maximize=False))
    assert "What matters, and how" in words
    assert "An effect is" not in words


def test_designs_without_columns_have_none() -> None:
    for data in (Table(), Words()):
        page = render(evidence(loaded(data)))
        assert "What matters" not in page
        assert "Which oracle spoke" not in page


def test_which_oracle_spoke() -> None:
    shown = evidence(loaded(Table()))
    rows = [dict(row) for row in shown.iterations]
    for share, row in zip((0.5, 0.8, 0.1), rows, strict=True):
        row |= {"share_GaussianProcess": share, "share_TreeEnsemble": 1 - share}
        row |= {"score_GaussianProcess": -1.25, "score_TreeEnsemble": -1.5}
        row |= {"share_KernelRidge": 0.0, "score_KernelRidge": -torch.inf}
    words = text(render(evidence(shown.data, iterations=rows)))
    assert "share in iteration 1 score on left-out rows GaussianProcess" in words
    assert "GaussianProcess (smooth curves, all columns together) 80 % -1.250" in words
    assert "TreeEnsemble (boosted trees) 20 % -1.500" in words
    assert "KernelRidge 0 % cannot be fitted" in words


def test_rows_that_were_left_out_are_no_held_out_ones() -> None:
    data = loaded(Table(held_out_fraction=0.0, held_out="top"))
    noise = torch.randn(200, generator=torch.Generator().manual_seed(2)).double()
    held_out = {"mean": data.properties + noise, "std": torch.full((200,), 0.8).double()}
    rows = [dict(row) for row in evidence(data).iterations]
    for row in rows:
        row["held_out_weighted_log_likelihood"] = -row["design_iteration"]
        row["held_out_weighted_log_likelihood_original"] = -1.0
        row["held_out_effective_sample_size"] = row["overlap"]
        row |= {"oracle_gap": 0.1, "oracle_gap_bound": 0.2, "threshold": 1.0}
        row |= {"oracle_bias": 0.1, "oracle_bias_bound": 0.2}
    page = render(evidence(data, held_out=held_out, iterations=rows))
    words = text(page)
    assert "No designs were held out: each was predicted by a fit without it" in words
    assert "On 200 left-out designs the rank correlation is" in words
    assert "on left-out designs" in page
    settings = words.index("Settings:")
    assert "held-out" not in words[:settings]
    assert "Iteration of the greatest left-out likelihood: 0" in words
    assert "what changes are the shares of its oracles" in words
    assert "n_e on the held-out" not in page
    assert "--data.held_out_fraction" not in words
