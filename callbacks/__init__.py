"""What happens between oracle fits, one callback a file."""

from __future__ import annotations

if __name__ != "lightning_mbo.callbacks":
    # Imported under two names, every class would exist twice, and isinstance would fail.
    raise ImportError("import lightning_mbo.callbacks instead of callbacks")

from .base import DesignCallback, DesignIteration, announce
from .candidate_writer import CandidateWriter
from .design_checkpoint import DesignCheckpoint
from .importance_weighting import ImportanceWeighting
from .oracle_convergence import OracleConvergence
from .progress import DesignProgress
from .scoring import Scoring
from .search_model_update import SearchModelUpdate
from .search_panels import SearchPanels
from .trajectory import Trajectory

__all__ = [
    "CandidateWriter",
    "DesignCallback",
    "DesignCheckpoint",
    "DesignIteration",
    "DesignProgress",
    "ImportanceWeighting",
    "OracleConvergence",
    "Scoring",
    "SearchModelUpdate",
    "SearchPanels",
    "Trajectory",
    "announce",
]
