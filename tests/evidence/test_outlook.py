"""What is expected of a batch, in words."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from lightning_mbo.data import CSV
from lightning_mbo.evidence.outlook import Outlook
from lightning_mbo.metrics.evidence import batch_scores
from lightning_mbo.problem import DesignProblem
from lightning_mbo.results import PredictionOfResults
from lightning_mbo.samples import Prediction
from tests.tables_of_results import table_of_results

GOALS = {
    "front": (
        {"yield": "maximize", "ee": ">= 70", "cost": "minimize"},
        "meet all limits and lie beyond the front of the rows",
    ),
    "one": (
        {"yield": "maximize", "ee": ">= 70"},
        "meet all limits and beat the best row that does",
    ),
    "limits": ({"ee": ">= 70", "cost": "<= 20"}, "meet all limits"),
    "none does": ({"yield": "maximize", "ee": ">= 99"}, "meet all limits, which no row does"),
}


def problem_of(targets: dict[str, str]) -> DesignProblem:
    pytest.importorskip("botorch")
    data = CSV(table_of_results(), targets=targets)
    data.setup("fit")
    return data.problem


@pytest.mark.parametrize("kind", GOALS)
def test_what_several_results_should_come_to(kind: str) -> None:
    targets, feat = GOALS[kind]
    problem = problem_of(targets)
    wanted = {"yield": 200.0, "ee": 100.0, "cost": 1.0}
    good = torch.tensor([[wanted[name] for name in targets]]).double()
    poor = torch.tensor([[-99.0, 0.0, 99.0][: len(targets)]]).double()
    means = torch.cat([good, good, good, poor])
    spread = torch.full_like(means, 1e-3)
    advance = problem.results.advance
    prediction = PredictionOfResults.of(Prediction(means, spread, spread), advance)
    outlook = Outlook.of(problem, prediction, 0.0, None)
    assert outlook.share == pytest.approx(0.75)
    assert outlook.sentence(problem, 4).startswith(f"75 % of the 4 candidates should {feat} (75 to")
    scores = batch_scores(advance.of(means), -1.0, problem)
    assert scores["realised_share"] == 0.75


def test_the_share_were_all_predictions_off_alike() -> None:
    designs = torch.arange(10.0).double()[:, None]
    problem = DesignProblem.of_table(designs, torch.zeros(10).double())
    means = torch.tensor([3.0, 1.0, -1.0, -3.0]).double()
    ones = torch.ones(4).double()
    outlook = Outlook.of(problem, Prediction(means, ones, ones), 0.0, None)
    # By 1.28 deviations, either way.
    assert (outlook.least_share, outlook.greatest_share) == (0.25, 0.75)
    assert outlook.share == pytest.approx(torch.special.ndtr(means).mean().item())
    sharp = Prediction(means, ones, torch.zeros(4).double())
    found = Outlook.of(problem, sharp, 0.0, None)
    assert (found.least_share, found.share, found.greatest_share) == (0.5, 0.5, 0.5)
    assert replace(problem, properties=torch.full((10,), 2.0).double()).beaten == 2.0
