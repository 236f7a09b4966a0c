"""What happens between oracle fits, one callback a file."""

from __future__ import annotations

if __name__ != "lightning_mbo.callbacks":
    # Imported under two names, every class would exist twice, and isinstance would fail.
    raise ImportError("import lightning_mbo.callbacks instead of callbacks")

from .ascent_plane import AscentPlane
from .ascent_trajectory import AscentTrajectory
from .base import DesignCallback, announce
from .batch_scoring import BatchScoring
from .best_samples import BestSamples
from .candidate_writer import CandidateWriter, candidates_of
from .design_checkpoint import DesignCheckpoint
from .design_run import design_callbacks, recording_callbacks
from .gradient_ascent import GradientAscent
from .held_out import HeldOut
from .importance_weighting import ImportanceWeighting
from .initial_oracle import InitialOracle
from .model_inversion import ModelInversion
from .oracle_convergence import OracleConvergence
from .oracle_gap import OracleGap
from .pool_search import PoolSearch
from .progress import DesignProgress
from .report import Report
from .scoring import Scoring
from .search import SearchCallback
from .search_model_update import SearchModelUpdate
from .search_panels import SearchPanels
from .summary import Summary
from .trajectory import Trajectory

__all__ = [
    "AscentPlane",
    "AscentTrajectory",
    "BatchScoring",
    "BestSamples",
    "CandidateWriter",
    "DesignCallback",
    "DesignCheckpoint",
    "DesignProgress",
    "GradientAscent",
    "HeldOut",
    "ImportanceWeighting",
    "InitialOracle",
    "ModelInversion",
    "OracleConvergence",
    "OracleGap",
    "PoolSearch",
    "Report",
    "Scoring",
    "SearchCallback",
    "SearchModelUpdate",
    "SearchPanels",
    "Summary",
    "Trajectory",
    "announce",
    "candidates_of",
    "design_callbacks",
    "recording_callbacks",
]
