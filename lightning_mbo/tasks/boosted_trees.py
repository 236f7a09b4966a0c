"""A ground truth made of boosted trees, fitted once and kept."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import platformdirs
from numpy.typing import NDArray
from pytorch_lightning.utilities import rank_zero_warn

from lightning_mbo.console import say
from lightning_mbo.errors import FileError, MBOWarning
from lightning_mbo.files import replacing, write_text

if TYPE_CHECKING:
    import xgboost

_PARAMETERS = {
    "objective": "reg:squarederror",
    "learning_rate": 0.1,
    "max_depth": 16,
    "colsample_bytree": 0.5,
    "subsample": 0.5,
    "tree_method": "hist",
    "seed": 0,
}
_MAX_TREES = 200
_PATIENCE = 20
_HELD_OUT = 0.2


class BoostedTrees:
    """The expected property of a design by gradient-boosted trees.

    Reference: Hamidieh, "A data-driven statistical model for predicting the critical temperature
    of a superconductor", 2018; with the learning rate of Fannjiang and Listgarten, NeurIPS 2020.

    Attributes:
        columns: Which columns of the table the trees look at, ascending.
        holdout_rmse: Root mean squared error on the held-out rows, in the property's units.
    """

    def __init__(self, booster: xgboost.Booster) -> None:
        """Wrap a booster that `fitted` has made."""
        self.booster = booster
        attributes: dict[str, Any] = booster.attributes()
        self.columns = np.array(json.loads(attributes["columns"]), dtype=np.intp)
        self.holdout_rmse = float(attributes["holdout_rmse"])

    def __call__(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """The expected property, shape ``(m,)``, of rows ``(m, len(columns))``."""
        predicted = self.booster.inplace_predict(values.astype(np.float32))
        return np.asarray(predicted, dtype=np.float64)

    @classmethod
    def fitted(
        cls,
        values: NDArray[np.float64],
        properties: NDArray[np.float64],
        num_columns: int | None,
        cache_dir: Path | None,
    ) -> BoostedTrees:
        """Fit the trees, or read them from the cache.

        Args:
            values: Shape ``(n, d)``.
            properties: Shape ``(n,)``.
            num_columns: Fit on all columns, and again on this many that bring the most gain;
                None fits on all only.
            cache_dir: Where fits are kept; None for the user's cache folder. The file's name is
                made of everything that the fit depends on.
        """
        import xgboost

        folder = cache_dir or platformdirs.user_cache_path("lightning_mbo")
        path = folder / f"boosted_trees_{_key(values, properties, num_columns)}.ubj"
        if path.is_file():
            # A torn file can crash xgboost's parser, or keep it for good.
            if _kept_digest(path) == _digest(path):
                return cls(xgboost.Booster(model_file=path))
            say(f"{path} is not what {_digest_path(path).name} beside it says, and is made anew")
        say(
            "Fitting the ground truth, boosted trees that simulate and score designs. This is done "
            f"once and kept in {folder}"
        )
        booster = _fit(values, properties, num_columns)
        content = bytes(booster.save_raw("ubj"))
        try:
            with replacing(path) as file:
                file.write(content)
            digest = hashlib.sha256(content).hexdigest()
            write_text(_digest_path(path), f"{digest}  {path.name}\n")
        except FileError as error:
            rank_zero_warn(
                f"the ground truth is not kept, {folder} cannot be written: {error}",
                category=MBOWarning,
            )
        return cls(booster)


def _digest_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _kept_digest(path: Path) -> str:
    """The digest that was written beside a file; empty where there is none."""
    beside = _digest_path(path)
    return beside.read_bytes()[:64].decode("latin-1") if beside.is_file() else ""


def _key(
    values: NDArray[np.float64], properties: NDArray[np.float64], num_columns: int | None
) -> str:
    import xgboost

    settings = (_PARAMETERS, _MAX_TREES, _PATIENCE, _HELD_OUT, num_columns, values.shape)
    digest = hashlib.sha256(repr((settings, xgboost.__version__)).encode())
    digest.update(np.ascontiguousarray(values).tobytes())
    digest.update(np.ascontiguousarray(properties).tobytes())
    return digest.hexdigest()[:16]


def _fit(
    values: NDArray[np.float64], properties: NDArray[np.float64], num_columns: int | None
) -> xgboost.Booster:
    import xgboost

    rows = np.random.default_rng(0).permutation(len(values))
    held_out, kept = np.split(rows, [round(_HELD_OUT * len(rows))])

    def fit(columns: NDArray[np.intp]) -> xgboost.Booster:
        train, test = (
            xgboost.DMatrix(values[np.ix_(part, columns)].astype(np.float32), properties[part])
            for part in (kept, held_out)
        )
        booster = xgboost.train(
            _PARAMETERS,
            train,
            num_boost_round=_MAX_TREES,
            evals=[(test, "held_out")],
            early_stopping_rounds=_PATIENCE,
            verbose_eval=False,
        )
        best = booster[: booster.best_iteration + 1]
        best.set_attr(columns=json.dumps(columns.tolist()), holdout_rmse=str(booster.best_score))
        return best

    columns = np.arange(values.shape[1])
    booster = fit(columns)
    if num_columns is None or num_columns >= len(columns):
        return booster
    gain = booster.get_score(importance_type="gain")
    ranked = sorted(columns, key=lambda column: -float(gain.get(f"f{column}", 0.0)))  # type: ignore[arg-type]
    return fit(np.sort(np.array(ranked[:num_columns])))
