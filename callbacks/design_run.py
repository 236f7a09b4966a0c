"""The callbacks that make a trainer's fit a design run."""

from __future__ import annotations

from pathlib import Path

import pytorch_lightning as pl

from .ascent_plane import AscentPlane
from .ascent_trajectory import AscentTrajectory
from .candidate_writer import CandidateWriter
from .held_out import HeldOut
from .importance_weighting import ImportanceWeighting
from .oracle_convergence import OracleConvergence
from .oracle_gap import OracleGap
from .report import Report
from .scoring import Scoring
from .search import SearchCallback
from .search_panels import SearchPanels
from .summary import Summary
from .trajectory import Trajectory


def design_callbacks(
    search: SearchCallback,
    autofocus: ImportanceWeighting | None = None,
    convergence: OracleConvergence | None = None,
    num_candidates: int | None = None,
    keep_known: bool = False,
) -> list[pl.Callback]:
    """All that a trainer needs for a design run, in the order in which it acts.

    Callbacks that add to an iteration's metrics go before these, which record them. A progress
    bar (`DesignProgress`) and checkpoints (`DesignCheckpoint`) are the trainer's own choice.

    Args:
        search: How designs are sought.
        autofocus: How the oracle follows the search; None fits it once.
        convergence: When an oracle fit is finished; default: by the rule's own defaults.
        num_candidates: As in `CandidateWriter`.
        keep_known: Likewise.
    """
    return [
        search,
        *([] if autofocus is None else [autofocus]),
        OracleConvergence() if convergence is None else convergence,
        *recording_callbacks(num_candidates, keep_known),
    ]


def recording_callbacks(
    num_candidates: int | None = None,
    keep_known: bool = False,
    listed: Path | None = None,
    escape_formulas: bool = False,
    false_share: float | None = None,
) -> list[pl.Callback]:
    """What judges and records a search without having a part in it.

    Args:
        num_candidates: As in `CandidateWriter`.
        keep_known: Likewise.
        listed: Likewise.
        escape_formulas: Likewise.
        false_share: Likewise.
    """
    return [
        HeldOut(),
        OracleGap(),
        Scoring(),
        # Before whatever is drawn: the candidates are what a run is for.
        CandidateWriter(num_candidates, keep_known, listed, escape_formulas, false_share),
        Trajectory(),
        AscentTrajectory(),
        AscentPlane(),
        SearchPanels(),
        Summary(),
        Report(),
    ]
