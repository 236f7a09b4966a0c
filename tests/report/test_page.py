"""The report: what it says is what the run has."""

from __future__ import annotations

import math
import re
from html import unescape
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats
from torch import Tensor

from lightning_mbo.data import CSV, DesignDataModule
from lightning_mbo.designs import hamming, nearest_others
from lightning_mbo.evidence.outlook import Outlook
from lightning_mbo.report.page import render
from lightning_mbo.report.run_evidence import Evidence
from lightning_mbo.sequences import letters, one_hot

NUM_HELD_OUT = 40


class Table(DesignDataModule):
    """200 points in the plane and a category, 40 of them held out."""

    property_name = "yield (%)"

    def __init__(
        self, sign: float = 1.0, held_out_fraction: float = 0.2, held_out: Any = "random"
    ) -> None:
        super().__init__(held_out_fraction=held_out_fraction, held_out=held_out)
        self.sign = sign

    def load(self) -> tuple[Tensor, Tensor]:
        designs = torch.randn(200, 2, generator=torch.Generator().manual_seed(1)).double()
        return designs, 50 + designs.sum(1)

    def to_user_units(self, designs: Tensor) -> pd.DataFrame:
        solvent = np.where(designs[:, 0].numpy() > 1, "<water>", "ethanol")
        return pd.DataFrame({"heat": 10 * designs[:, 1].numpy(), "solvent": solvent})


class Words(DesignDataModule):
    """Sequences of three letters."""

    distances = staticmethod(hamming)

    def load(self) -> tuple[Tensor, Tensor]:
        tokens = torch.cartesian_prod(*[torch.arange(3)] * 3)
        return one_hot(tokens, 3), tokens.double().sum(1)

    def to_user_units(self, designs: Tensor) -> pd.DataFrame:
        return pd.DataFrame({"word": letters(designs, "abc")})


def loaded(data: DesignDataModule) -> DesignDataModule:
    data.setup("fit")
    return data


def evidence(data: DesignDataModule, densities: bool = True, **changed: Any) -> Evidence:
    candidates = data.designs[:30] + (0.01 if len(data.design_shape) == 1 else 0)
    mean = torch.linspace(55, 50, 30, dtype=torch.float64)
    figures = {"oracle_mean": mean, "oracle_std": torch.full((30,), 2.0).double()}
    rows: list[dict[str, float]] = [
        {"design_iteration": t, "oracle_p80": p, "ensemble_disagreement": 0.1 * (t + 1)}
        for t, p in enumerate([50.0, 57.0, 53.0])
    ]
    held_out = {}
    if len(data.held_out_designs):
        noise = torch.randn(NUM_HELD_OUT, generator=torch.Generator().manual_seed(2)).double()
        held_out = {
            "mean": data.held_out_properties + noise,
            "std": torch.full((NUM_HELD_OUT,), 0.8).double(),
        }
        middle = data.sign * mean
        figures |= {"lower_95": middle - 3} if data.sign > 0 else {"upper_95": middle + 3}
    if densities:
        for row, overlap, likelihood in zip(rows, [160, 20, 4], [-2.0, -1.5, -1.0], strict=True):
            row["overlap"] = overlap
            if held_out:
                row["held_out_weighted_log_likelihood"] = likelihood
                row["held_out_weighted_log_likelihood_original"] = likelihood - 0.1
                row["held_out_effective_sample_size"] = overlap / 4
    options: dict[str, Any] = {
        "data": data,
        "candidates": candidates,
        "figures": figures,
        "iterations": rows,
        "chosen": 1,
        "select": "promise",
        "disagreement": {"candidates": 0.2, "others": 0.1},
        "held_out": held_out,
        "configs": {"config.yaml": "search: <CbAS>"},
    }
    return Evidence(**(options | changed))


def text(page: str) -> str:
    """What is to be read, without the figures."""
    page = re.sub(r"<(svg|style).*?</\1>", " ", page, flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", page)).split())


def rules(page: str) -> list[list[str]]:
    body = re.search(r'class="rules">.*?<tbody>(.*?)</tbody>', page, re.DOTALL)
    assert body
    rows = re.findall(r"<tr>(.*?)</tr>", body[1], re.DOTALL)
    return [[unescape(c) for c in re.findall(r"<td[^>]*>(.*?)</td>", row)] for row in rows]


def table(page: str) -> pd.DataFrame:
    body = re.search(r'id="candidates">(.*?)</table>', page, re.DOTALL)
    assert body
    header = re.findall(r"<th>(.*?)</th>", body[1])
    rows = re.findall(r"<tr>(<td>.*?)</tr>", body[1])
    cells = [[unescape(c) for c in re.findall(r"<td>(.*?)</td>", row)] for row in rows]
    return pd.DataFrame(cells, columns=header)


@pytest.fixture(scope="module")
def page() -> str:
    """Of a run that has everything."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PL_GLOBAL_SEED", "0")
        return render(evidence(loaded(Table())))


def test_the_page_stands_alone(page: str) -> None:
    assert page.startswith("<!DOCTYPE html>")
    assert "<script" not in page
    # The names of XML's own language are no addresses that a browser fetches.
    fetched = re.findall(r'(?:src|href)="([^"]*)"', page) + re.findall(r"url\(([^)]*)\)", page)
    assert all(target.startswith("#") for target in fetched)
    ids = re.findall(r'\bid="([^"]*)"', page)
    assert len(ids) == len(set(ids)) > 100
    assert all(target[1:] in ids for target in fetched)
    assert "<water>" not in page
    assert "search: &lt;CbAS&gt;" in page
    assert len(page) < 600_000


def test_equal_runs_have_equal_pages(page: str) -> None:
    assert render(evidence(loaded(Table()))) == page


def test_the_verdict_is_of_the_figures(page: str) -> None:
    data = loaded(Table())
    errors = evidence(data).held_out["mean"] - data.held_out_properties
    own = (errors.abs() / 0.8 <= stats.norm.ppf(0.95)).double().mean().item()
    rho = stats.spearmanr(evidence(data).held_out["mean"], data.held_out_properties).statistic
    found = {row[0][:12]: row[1:] for row in rules(page)}
    assert found["Share of the"] == ["12.5 %", "≥ 10 %", "< 1 %", "trust"]
    assert found["Candidates f"][0] == "0 %"
    assert found["Rank correla"][:3] == [f"{rho:.2f}", "≥ 0.80", "< 0.50"]
    assert found["Designs that"][0] == f"{100 * own:.3g} %"
    assert found["Disagreement"] == ["2.00", "≤ 1.50", "> 3.00", "caution"]
    assert 'class="verdict is-caution"' in page


def test_far_candidates_are_outside() -> None:
    data = loaded(Table())
    near = evidence(data)
    candidates = near.candidates.clone()
    candidates[:12] += 100
    page = render(evidence(data, candidates=candidates))
    assert rules(page)[1][1:] == ["40 %", "≤ 10 %", "> 50 %", "caution"]


def test_held_out_figures(page: str) -> None:
    data = loaded(Table())
    shown = evidence(data)
    errors = (shown.held_out["mean"] - data.held_out_properties).numpy()
    quantile = np.sort(np.abs(errors) / 0.8)[math.ceil(0.9 * 41) - 1]
    own = np.mean(np.abs(errors) / 0.8 <= stats.norm.ppf(0.95))
    words = text(page)
    assert "On 40 held-out designs the rank correlation is" in words
    assert f"root mean squared error {np.sqrt(np.mean(errors**2)):.4g}" in words
    assert f"(± 1.645 standard deviations) hold for {100 * own:.1f} % of them" in words
    assert f"to hold for nine in ten they would have to be ± {quantile:.3f}." in words
    # Those whose own interval does not hold are drawn as outside; the legend has one more.
    figure = page[page.index('id="heldout-') : page.index('id="coverage"')]
    colors = re.findall(r'<use xlink:href="[^"]*"[^>]*fill: (#\w+)', figure)
    assert colors.count("#c0392b") == round(40 * (1 - own)) + 1


def test_candidates_are_listed(page: str) -> None:
    listed = table(page)
    assert list(listed.columns) == [
        "", "predicted", "± std", "lower 95 % bound", "distance from the data",
        "heat", "solvent",
    ]  # fmt: skip
    assert len(listed) == 25
    assert listed["predicted"].astype(float).tolist() == pytest.approx(
        np.linspace(55, 50, 30)[:25].tolist(), abs=0.05
    )
    assert listed["lower 95 % bound"][0] == "52.0"
    assert listed["distance from the data"].astype(float).max() <= 0.01 * math.sqrt(2) + 1e-3
    assert "Best measured: " in text(page)


def test_what_the_batch_is_expected_to_come_to() -> None:
    data = loaded(Table(sign=-1.0))
    assert 'id="outlook"' not in render(evidence(data))
    outlook = Outlook(-2.5, 0.75, 0.4, 0.9, 1.0, -2.5, 0.75)
    words = text(render(evidence(data, outlook=outlook)))
    assert "Caution Predictions that lie together err together: most of" in words
    assert (
        "75 % of the 30 candidates should beat the best row, measured at 2.5 (40 to 90 %, as "
        "predictions that lie together err together); the best should come out at -1 or less."
        in words
    )


def test_what_the_bounds_rest_on(page: str) -> None:
    told = "learnt from the most promising fifth of the rows that it has not seen"
    assert told in text(page)
    assert told not in text(render(evidence(loaded(Table(held_out_fraction=0.0)))))


def test_designs_that_choose_and_judge_are_told_of(page: str) -> None:
    told = "The held-out designs have chosen this iteration and also judge it"
    assert told not in text(page)
    assert told in text(render(evidence(loaded(Table()), select="held_out_likelihood")))


def test_both_choices_are_told(page: str) -> None:
    words = text(page)
    assert "Iteration of the greatest promise: 1" in words
    assert "Iteration of the greatest held-out likelihood: 2" in words
    assert "The candidates are of iteration 1 ( search.select: promise )" in words
    assert "the 160 training designs count for 20.0" in words


def test_how_the_table_was_read(page: str) -> None:
    assert "How the table was read" not in page
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"<temp>": rng.uniform(20, 90, 60).round(1), "run": range(1, 61)})
    frame["yield"] = (frame["<temp>"] + rng.normal(0, 1, 60)).round(2)
    text = render(evidence(loaded(CSV(frame, target="yield"))))
    section = text.partition('id="columns"')[2].partition("<details>")[0]
    rows = re.findall(r"<tr>(.*?)</tr>", section, re.DOTALL)
    cells = [[unescape(cell) for cell in re.findall(r"<td>(.*?)</td>", row)] for row in rows]
    assert [row[:2] for row in cells if row] == [
        ["<temp>", "number"],
        ["run", ""],
        ["yield", "target"],
    ]
    assert "counts the rows" in cells[2][2]
    (remark,) = re.findall(r"<li>(.*?)</li>", section)
    assert "'run' counts the rows and is left out" in unescape(remark)


def test_a_property_that_is_to_be_small() -> None:
    page = render(evidence(loaded(Table(sign=-1.0))))
    listed = table(page)
    assert listed["predicted"].astype(float).max() == -50.9
    assert listed["upper 95 % bound"][0] == "-52.0"
    assert "the smaller the better" in text(page)
    data = loaded(Table(sign=-1.0))
    best = -torch.cat([data.properties, data.held_out_properties]).max().item()
    assert f"Best measured: {best:.4g}." in text(page)
    # The measured values on the axis are the user's.
    figure = page[page.index("Predicted and measured") :]
    ticks = re.findall(r">([−-]?\d+)</text>", figure[: figure.index("</svg>")])
    assert ticks
    assert all(tick[0] in "−-" for tick in ticks)


def test_without_held_out_designs() -> None:
    page = render(evidence(loaded(Table(held_out_fraction=0.0))))
    found = rules(page)
    assert [row[1] for row in found[3:5]] == ["not known"] * 2
    assert [row[4] for row in found[3:5]] == ["unknown"] * 2
    assert 'class="verdict is-caution"' in page
    assert "--data.held_out_fraction 0.1" in text(page)
    assert "Predicted and measured" not in page
    assert "bound" not in " ".join(table(page).columns)


def test_without_densities_and_with_one_member() -> None:
    alone = {"candidates": 0.0, "others": 0.0}
    page = render(evidence(loaded(Table()), densities=False, disagreement=alone))
    assert [row[0][:10] for row in rules(page)] == [
        "Candidates",
        "How far th",
        "Rank corre",
        "Designs th",
    ]
    assert "How many designs count" not in page
    assert "members agree" not in page


def test_one_iteration_has_no_curves() -> None:
    shown = evidence(loaded(Table()))
    page = render(evidence(shown.data, iterations=shown.iterations[1:2]))
    assert "Is the oracle getting better" not in page
    assert "the 160 training designs count for 20.0" in text(page)


def test_sequences() -> None:
    page = render(evidence(loaded(Words())))
    assert table(page)["word"][:3].tolist() == ["aaa", "aab", "aac"]
    for place in (1, 2, 3):
        assert f"place {place}" in page


def test_distances_of_nearest_others() -> None:
    designs = torch.tensor([[0.0], [1.0], [1.5], [9.0], [9.0]])
    found = nearest_others(designs, torch.tensor([0, 2, 3]), Table.distances)
    assert found.tolist() == [1.0, 0.5, 0.0]


def test_small_numbers_are_not_shown_as_zero() -> None:
    data = loaded(Table())
    shown = evidence(data)
    stds = torch.full((30,), 2.0).double()
    stds[1] = 6.4e-4
    listed = table(render(evidence(data, figures=shown.figures | {"oracle_std": stds})))
    assert listed["± std"].astype(float).tolist()[:3] == [2.0, 6.4e-4, 2.0]


def test_how_far_the_oracle_may_be_off() -> None:
    data = loaded(Table(sign=-1.0))
    unknown = "How far the oracle is off where the search is, is not known"
    assert unknown in text(render(evidence(data)))
    shown = evidence(data)
    gaps = {"oracle_gap": 0.123, "oracle_gap_bound": 0.456}
    biases = {"threshold": 55.0, "oracle_bias": -1.25, "oracle_bias_bound": 2.5}
    for row in shown.iterations:
        row |= gaps | biases
    page = render(shown)
    told = (
        "Where the search is in iteration 1, the oracle's probability of at most -55 is off by "
        "about 12 percentage points, and by at most 46 nine times in ten; in the mean it promises "
        "about 1.25 too little, and at most 2.5 too much"
    )
    assert f"{told}." in text(page)
    assert "gap-" in page
    assert ">its bound<" in page
    for row in shown.iterations:
        row["oracle_gap_proposition_1"] = 0.71
    words = text(render(shown))
    assert f"{told}. From the known errors of the labels follow 71 points." in words
    for row in shown.iterations:
        row |= dict.fromkeys(gaps, math.nan)
    page = render(shown)
    assert unknown in text(page)
    assert ">its bound<" not in page
