"""What is handed out of a search's samples: after a climb, and only what is likely enough."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from lightning_mbo.algorithms import CbAS
from lightning_mbo.batch import promises
from lightning_mbo.choice import Choice
from lightning_mbo.data import CSV
from lightning_mbo.errors import ConfigurationError, MBOWarning
from lightning_mbo.oracles import GaussianProcess, Stack
from lightning_mbo.problem import DesignProblem
from lightning_mbo.samples import DesignIteration, Prediction
from lightning_mbo.searches import SamplingSearch
from lightning_mbo.searches.run import design
from tests.callbacks.quadratic import callbacks, read_table, run


def sphere() -> DesignProblem:
    designs = torch.randn(60, 6, generator=torch.Generator().manual_seed(0)).double()
    noise = torch.randn(60, generator=torch.Generator().manual_seed(1)).double()
    return DesignProblem.of_table(designs, 0.3 * noise - (designs - 1).square().sum(1))


@pytest.fixture(scope="module")
def searched() -> tuple[GaussianProcess, SamplingSearch, DesignIteration]:
    oracle, search = GaussianProcess(), SamplingSearch(CbAS(), num_samples=2000)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*samples count for", category=MBOWarning)
        *_, last = design(sphere(), oracle, search, 6)
    return oracle, search, last


def test_a_batch_is_better_for_a_climb(
    searched: tuple[GaussianProcess, SamplingSearch, DesignIteration],
) -> None:
    oracle, search, last = searched
    choice = Choice(search, True, sphere(), sphere().designs, 10, None)
    assert choice.climbs
    assert not Choice(search, True, sphere(), None, None, None).climbs
    assert not Choice(search, False, sphere(), None, 10, None).climbs
    threshold = last.candidate_threshold
    more = choice.climbed(last.samples, threshold, oracle, 3)
    assert torch.equal(more.designs[:2000], last.samples.designs)
    said = oracle.predict(more.designs[2000:])
    assert torch.equal(more.prediction.mean[2000:], said.mean)
    promised = promises(last.samples.prediction)
    assert (promises(said) > promised.quantile(0.95)).double().mean() > 0.9
    rows = choice.of(more, threshold)
    assert len(rows) == 10
    assert (rows >= 2000).any()


def said_of_rows(correlation: float) -> Prediction:
    labels = sphere().properties
    standard = (labels - labels.mean()) / labels.std()
    noise = torch.randn(60, generator=torch.Generator().manual_seed(2)).double()
    mean = correlation * standard + (1 - correlation) * noise
    return Prediction(mean, torch.ones(60).double(), torch.ones(60).double())


def test_where_nothing_is_known_the_batch_is_like_the_designs_of_the_table(
    searched: tuple[GaussianProcess, SamplingSearch, DesignIteration],
) -> None:
    oracle, search, _ = searched
    choice = Choice(search, True, sphere(), sphere().designs, 200, None)
    reason = choice.ignorance(said_of_rows(0.0))
    assert reason is not None
    assert "of 60 rows" in reason
    batch = choice.blind(oracle)
    assert batch is not None
    assert len(batch.designs.unique(dim=0)) == 200
    assert torch.equal(batch.prediction.mean, oracle.predict(batch.designs).mean)
    # The table's are standard normal, and the search has gone to where all numbers are about one.
    assert batch.designs.mean(0).abs().max() < 0.4
    assert torch.equal(choice.blind(oracle).designs, batch.designs)


def test_a_batch_is_chosen_where_something_is_known(
    searched: tuple[GaussianProcess, SamplingSearch, DesignIteration],
) -> None:
    _, search, _ = searched
    choice = Choice(search, True, sphere(), None, 10, None)
    assert choice.ignorance(said_of_rows(0.5)) is None
    assert choice.ignorance(None) is None
    few = Choice(search, True, sphere().of_rows(torch.arange(20)), None, 10, None)
    assert few.ignorance(said_of_rows(0.0)[:20]) is None
    listed = Choice(search, False, sphere(), None, 10, None)
    assert listed.ignorance(said_of_rows(0.0)) is None


def test_a_table_that_tells_nothing(tmp_path: Path) -> None:
    """Shuffled labels, from a run to its candidates."""
    draw = np.random.default_rng(1)
    table = pd.DataFrame(draw.normal(size=(60, 3)), columns=["a", "b", "y"])
    writer = callbacks.CandidateWriter(12)
    oracle = Stack([GaussianProcess()], num_folds=3)
    with pytest.warns(MBOWarning, match="the table does not tell where better designs are"):
        run(tmp_path, writer, oracle=oracle, num_iterations=2, data=CSV(path=table, target="y"))
    candidates = pd.read_csv(tmp_path / "candidates.csv")
    assert len(candidates) == 12
    far = (candidates["a"] - table["a"].mean()) / table["a"].std()
    assert abs(far.mean()) < 1
    assert far.std() > 0.5


@pytest.mark.parametrize("false_share", [0.5, 0.1, 0.001])
def test_no_candidate_is_likelier_to_fail_than_is_asked(
    searched: tuple[GaussianProcess, SamplingSearch, DesignIteration], false_share: float
) -> None:
    _, search, last = searched
    best = last.samples.prediction.mean.sort().values[-40].item()  # of which about 40 are better
    problem = replace(sphere(), properties=torch.full((60,), best, dtype=torch.float64))
    choice = Choice(search, True, problem, None, 60, false_share)
    rows = choice.of(last.samples, last.candidate_threshold)
    likely = last.samples.prediction.better_than(best)
    assert (likely[rows] >= 1 - false_share).all()
    assert len(rows) == min(60, int((likely >= 1 - false_share).sum()))
    if len(rows) < 60:
        with pytest.warns(MBOWarning, match=f"{len(rows)} candidates are handed out: of no more"):
            choice.warn_of_few(len(rows))


def test_where_nothing_is_likely_enough_nothing_is_handed_out(tmp_path: Path) -> None:
    oracle = GaussianProcess()
    writer = callbacks.CandidateWriter(5, false_share=1e-12)
    with pytest.warns(MBOWarning, match="0 candidates are handed out: of no more it is likely"):
        run(tmp_path, writer, oracle=oracle, num_iterations=2)
    assert len(read_table(tmp_path / "candidates.csv")) == 0
    assert writer.outlook is None


def test_an_oracle_that_cannot_tell_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="false_share needs an oracle that tells"):
        run(tmp_path, callbacks.CandidateWriter(5, false_share=0.2), num_iterations=1)
    with pytest.raises(ConfigurationError, match="between 0 and 1, not 1"):
        callbacks.CandidateWriter(5, false_share=1.0)
