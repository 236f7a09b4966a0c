"""When members are frozen, what that does to them, and when a fit is over."""

from __future__ import annotations

import copy
import itertools
import math
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch

from lightning_mbo.errors import ConfigurationError
from lightning_mbo.oracles import Oracle
from tests.callbacks.quadratic import (
    Quadratic,
    ScriptedOracle,
    callbacks,
    ensemble,
    run,
    trainer_with,
)

NAN, INF = math.nan, math.inf


class Probe(callbacks.DesignCallback):
    """Notes the state after every epoch; asks for refits, and stops after the last fit."""

    def __init__(self, num_fits: int = 1) -> None:
        self.num_fits = num_fits
        self.frozen: list[list[bool]] = []
        self.frozen_at_end: list[list[bool]] = []
        self.parameters: list[list[torch.Tensor]] = []
        self.losses: list[list[float]] = []
        self.optimizer_steps: list[set[int]] = []
        self.validated: list[torch.Tensor] = []
        self.fit_ends: list[int] = []

    def on_train_start(self, trainer: pl.Trainer, oracle: Any) -> None:
        self.parameters.append([p.detach().clone() for p in oracle.parameters()])

    def on_validation_epoch_end(self, trainer: pl.Trainer, oracle: Any) -> None:
        state = trainer.optimizers[0].state
        self.optimizer_steps.append({int(s["step"]) for s in state.values()})

    def on_train_epoch_end(self, trainer: pl.Trainer, oracle: Any) -> None:
        self.frozen.append(oracle.frozen.tolist())
        self.losses.append(oracle.validation_losses.tolist())
        self.parameters.append([p.detach().clone() for p in oracle.parameters()])

    def on_oracle_fit_end(self, trainer: pl.Trainer, oracle: Oracle) -> None:
        data = trainer.datamodule
        self.fit_ends.append(trainer.current_epoch)
        self.frozen_at_end.append(oracle.frozen.tolist())
        self.validated.append(torch.cat([b.designs for b in data.val_dataloader()], dim=1))
        if len(self.fit_ends) < self.num_fits:
            data.fits.begin()
        else:
            trainer.should_stop = True


def probed(folder: Path, oracle: Oracle, num_fits: int = 1, **rule: int) -> Probe:
    probe = Probe(num_fits)
    trainer = trainer_with(folder, callbacks.OracleConvergence(**rule), probe)
    trainer.fit(oracle, datamodule=Quadratic())
    return probe


@pytest.mark.parametrize(
    ("rule", "losses", "frozen"),
    [
        # The first member's later, better loss does not thaw it; an equal loss is no improvement.
        (
            {"patience": 2},
            [[3.0, 3.0], [2.0, 2.9], [2.5, 2.8], [2.1, 2.7], [1.0, 2.7], [1.0, 2.7]],
            ["--", "--", "--", "F-", "F-", "FF"],
        ),
        ({"patience": 1}, [[3.0, 3.0], [2.0, 3.5], [2.5, 1.0]], ["--", "-F", "FF"]),
        # An improvement starts the count afresh, and is one on the best, not on the last.
        (
            {"patience": 2},
            [[3.0], [4.0], [2.0], [3.0], [2.5], [9.0]],
            ["-", "-", "-", "-", "F"],
        ),
        ({"patience": 3}, [[3.0], [3.0], [3.0], [3.0], [0.0]], ["-", "-", "-", "F"]),
        ({"max_epochs": 3}, [[3.0, 1.0], [2.0, 2.0], [1.0, 3.0]], ["--", "--", "-F"]),
        ({"max_epochs": 1}, [[3.0, 3.0]], ["--"]),
        # A loss that is no number is no improvement.
        ({"patience": 2}, [[NAN, 3.0], [NAN, 2.0], [0.0, 1.0]], ["--", "F-"]),
        ({"patience": 2}, [[3.0], [NAN], [1.0], [NAN], [NAN]], ["-", "-", "-", "-", "F"]),
        ({"patience": 2}, [[INF], [INF]], ["-", "F"]),
        ({"patience": 2}, [[-INF], [-INF], [-INF]], ["-", "-", "F"]),
    ],
)
def test_rule(
    rule: dict[str, int], losses: list[list[float]], frozen: list[str], tmp_path: Path
) -> None:
    num_epochs = len(frozen)
    if "max_epochs" not in rule and "F" * len(losses[0]) != frozen[-1]:
        rule = rule | {"max_epochs": num_epochs}
    probe = probed(tmp_path, ScriptedOracle([losses]), **rule)
    assert ["".join("-F"[f] for f in row) for row in probe.frozen] == frozen
    assert probe.fit_ends == [num_epochs - 1]


def test_refits_may_be_shorter(tmp_path: Path) -> None:
    losses = [[[float(-epoch)] for epoch in range(5)]] * 3
    rule = {"max_epochs": 4, "max_refit_epochs": 2}
    probe = probed(tmp_path, ScriptedOracle(losses), 3, **rule)
    assert probe.fit_ends == [3, 5, 7]
    probe = probed(tmp_path, ScriptedOracle(losses), 3, max_epochs=4)
    assert probe.fit_ends == [3, 7, 11]


@pytest.mark.parametrize(
    "rule", [{"patience": 0}, {"max_epochs": 0}, {"patience": -1}, {"max_refit_epochs": 0}]
)
def test_refused_rules(rule: dict[str, int]) -> None:
    with pytest.raises(ConfigurationError, match=r"convergence\.patience, max_epochs and max_r"):
        callbacks.OracleConvergence(**rule)


def test_frozen_members_stand_still_while_the_others_learn(tmp_path: Path) -> None:
    # Members 0, 1, 2 improve for 1, 3 and 5 epochs.
    losses = [[float(max(-e, 1 - n)) for n in (1, 3, 5)] for e in range(7)]
    probe = probed(tmp_path, ScriptedOracle([losses]), patience=2)
    num_epochs = 7
    assert probe.fit_ends == [num_epochs - 1]
    for member, last_epoch in enumerate((2, 4, 6)):
        history = [parameters[0][member].item() for parameters in probe.parameters]
        trained, after = history[: last_epoch + 2], history[last_epoch + 1 :]
        assert len(set(trained)) == len(trained)
        assert set(after) == {trained[-1]}


def test_frozen_members_are_validated_as_they_are(tmp_path: Path) -> None:
    oracle = ensemble()
    oracle.learning_rate = 0.1
    probe = probed(tmp_path, oracle, patience=1)
    order = [next(e for e, row in enumerate(probe.frozen) if row[m]) for m in range(3)]
    assert len(set(order)) > 1
    for member, epoch in enumerate(order):
        losses = [row[member] for row in probe.losses]
        assert len(set(losses[epoch:])) == 1
        assert len(set(losses[: epoch + 1])) == epoch + 1


def test_a_refit_starts_over(tmp_path: Path) -> None:
    first, second = [[3.0, 3.0], [4.0, 4.0]], [[9.0, 9.0], [8.0, 10.0], [9.0, 11.0]]
    third = [[1.0, 1.0], [1.0, 1.0]]
    probe = probed(tmp_path, ScriptedOracle([first, second, third]), num_fits=3, patience=1)
    assert probe.fit_ends == [1, 4, 6]
    assert probe.frozen_at_end == [[True, True]] * 3
    # Thawed already when the epoch's checkpoint is written.
    assert probe.frozen == [
        [False, False],
        [False, False],
        [False, False],
        [False, True],
        [False, False],
        [False, False],
        [True, True],
    ]
    # 48 training points in batches of 20 are three steps an epoch, counted anew in each fit.
    assert probe.optimizer_steps == [{3}, {6}, {3}, {6}, {9}, {3}, {6}]
    one, two, three = probe.validated
    assert one.shape == two.shape == three.shape == (2, 12, 2)
    assert not torch.equal(one, two)
    assert not torch.equal(two, three)
    # The oracle goes on from where it was: towards zero, by about 0.1 a step, never back.
    steps = [after[0] - before[0] for before, after in itertools.pairwise(probe.parameters)]
    assert all((step <= 0).all() and -0.4 < step.min() < 0 for step in steps)


def test_validation_points_stay_within_a_fit(tmp_path: Path) -> None:
    class Validated(callbacks.DesignCallback):
        def __init__(self) -> None:
            self.points: list[torch.Tensor] = []

        def on_validation_batch_start(self, trainer, oracle, batch, *args) -> None:
            self.points.append(batch.designs.clone())

    validated, probe = Validated(), Probe()
    trainer = trainer_with(tmp_path, callbacks.OracleConvergence(max_epochs=3), validated, probe)
    trainer.fit(ScriptedOracle([[[3.0, 3.0], [2.0, 2.0], [1.0, 1.0]]]), datamodule=Quadratic())
    assert len(validated.points) == 3
    assert all(torch.equal(points, validated.points[0]) for points in validated.points)
    assert torch.equal(validated.points[0], probe.validated[0])
    assert not torch.equal(validated.points[0][0], validated.points[0][1])


def test_announces_once_a_fit_and_once_an_idle_epoch(tmp_path: Path) -> None:
    trainer, recorder = run(tmp_path / "refitted", num_iterations=4)
    # Four fits of three epochs; the last iteration stops the run.
    assert recorder.num_oracle_fits == 4
    assert trainer.current_epoch == 4 * 3
    never = callbacks.ImportanceWeighting(enabled=False)
    trainer, recorder = run(tmp_path / "idle", num_iterations=4, weighting=never)
    assert recorder.num_oracle_fits == 4
    assert trainer.current_epoch == 3 + 3
    # Idle epochs have no optimiser step: 48 training points in batches of 20, three epochs.
    assert trainer.global_step == 3 * 3


def test_state_survives_saving(tmp_path: Path) -> None:
    losses = [[3.0, 3.0], [2.0, 3.5], [1.0, 4.0]]
    convergence = callbacks.OracleConvergence()
    trainer = trainer_with(tmp_path, convergence, max_epochs=3)
    trainer.fit(ScriptedOracle([losses]), datamodule=Quadratic())
    state = copy.deepcopy(convergence.state_dict())
    assert state["num_epochs"] == 3
    assert state["best_losses"].tolist() == [1.0, 3.0]
    assert state["epochs_since_best"].tolist() == [0, 2]
    other = callbacks.OracleConvergence()
    other.load_state_dict(state)
    assert str(other.state_dict()) == str(state)
