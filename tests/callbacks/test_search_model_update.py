"""The search: what it samples, what it learns from that, when it ends, and that it repeats."""

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import Any

import cma
import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from scipy import stats

from lightning_mbo.algorithms import CMAES, FB, CbAS
from lightning_mbo.data import Toy
from lightning_mbo.errors import ConfigurationError
from lightning_mbo.oracles import KernelRidge
from lightning_mbo.search_models import CMANormal, MultivariateNormal, Quadrature
from lightning_mbo.space import DesignSpace
from tests.callbacks.quadratic import (
    NUM_SAMPLES,
    Indifferent,
    PromisingOracle,
    Quadratic,
    Recorder,
    ScriptedOracle,
    callbacks,
    ensemble,
    equal_states,
    find,
    run,
    search_update,
    trainer_with,
)


def search_of(trainer: pl.Trainer) -> Any:
    return find(trainer, callbacks.SearchModelUpdate)


class Herald(callbacks.DesignCallback):
    """Notes under its name what it is told, and whether the data want a fit by then."""

    def __init__(self, name: str, heard: list[tuple[Any, ...]]) -> None:
        self.name, self.heard = name, heard

    @property
    def state_key(self) -> str:
        return self.name

    def on_oracle_fit_end(self, trainer: pl.Trainer, oracle: Any) -> None:
        self.heard.append((self.name, "fitted", trainer.datamodule.fits.fitting))

    def on_search_model_update(self, trainer: pl.Trainer, oracle: Any, iteration: Any) -> None:
        self.heard.append((self.name, iteration.number, trainer.datamodule.fits.fitting))


def test_order_of_announcements(tmp_path: Path) -> None:
    heard: list[tuple[Any, ...]] = []
    trainer = trainer_with(
        tmp_path,
        Herald("first", heard),
        callbacks.ImportanceWeighting(),
        search_update(num_iterations=2),
        callbacks.OracleConvergence(max_epochs=2),
        Herald("last", heard),
    )
    trainer.fit(ensemble(), datamodule=Quadratic())
    # In the trainer's order; the search, amid the first announcement, makes the second.
    assert heard == [
        ("first", "fitted", False),
        ("first", 0, False),
        ("last", 0, True),
        ("last", "fitted", True),
        ("first", "fitted", False),
        ("first", 1, False),
        ("last", 1, True),
        ("last", "fitted", True),
    ]


@pytest.mark.parametrize("alpha", [None, 0.0])
def test_every_update_is_the_weighted_maximum_likelihood_fit(
    alpha: float | None, tmp_path: Path
) -> None:
    weighting = callbacks.ImportanceWeighting(alpha=alpha, enabled=None)
    trainer, recorder = run(tmp_path, weighting=weighting, algorithm=CbAS(quantile=0.7))
    data = trainer.datamodule.designs.numpy()
    mean, covariance = data.mean(0), np.cov(data.T, bias=True)
    training_distribution = stats.multivariate_normal(mean, covariance)
    threshold = -np.inf
    for t, iteration in enumerate(recorder.iterations):
        designs, means, stds, log_prob, log_prob_training = recorder.numpy(t)
        assert designs.shape == (NUM_SAMPLES, 2)
        sampled = stats.multivariate_normal(mean, covariance)
        np.testing.assert_allclose(log_prob, sampled.logpdf(designs), rtol=1e-9)
        np.testing.assert_allclose(
            log_prob_training, training_distribution.logpdf(designs), rtol=1e-9
        )
        threshold = max(threshold, np.quantile(means, 0.7))
        assert iteration.number == t
        assert iteration.threshold == pytest.approx(threshold)
        log_weights = log_prob_training - log_prob + stats.norm.logsf(threshold, means, stds)
        weights = np.exp(log_weights - log_weights.max())
        weights[weights < 1e-8] = 0
        before = mean, covariance
        mean = np.average(designs, axis=0, weights=weights)
        covariance = np.cov(designs.T, aweights=weights, ddof=0)
        after, sampled_model = recorder.search_models[t], recorder.sampled_models[t]
        np.testing.assert_allclose(after.mean.numpy(), mean, rtol=1e-9)
        np.testing.assert_allclose(after.covariance.numpy(), covariance, rtol=1e-8)
        np.testing.assert_allclose(sampled_model.mean.numpy(), before[0], rtol=1e-9)
        np.testing.assert_allclose(sampled_model.covariance.numpy(), before[1], rtol=1e-8)
        assert not np.allclose(mean, before[0], rtol=1e-3)
    np.testing.assert_allclose(
        recorder.iterations[-1].training_distribution.mean.numpy(), data.mean(0), rtol=1e-9
    )


@pytest.mark.parametrize("alpha", [None, "auto"])
def test_cma_es_is_that_of_cma(alpha: str | None, tmp_path: Path) -> None:
    weighting = callbacks.ImportanceWeighting(alpha=alpha, enabled=None)
    trainer, recorder = run(
        tmp_path, weighting=weighting, algorithm=CMAES(), search_model=CMANormal(0.1)
    )
    data = trainer.datamodule
    mean, covariance = data.designs.numpy().mean(0), np.cov(data.designs.numpy().T, bias=True)
    training_distribution = stats.multivariate_normal(mean, covariance)
    own = cma.CMAEvolutionStrategy(
        mean, 0.1, {"popsize": NUM_SAMPLES, "verbose": -9, "seed": np.nan}
    )
    own.sm.C = covariance
    own.sm.update_now(-1)
    threshold = data.properties.max().item()
    for t, iteration in enumerate(recorder.iterations):
        designs, means, stds, log_prob, log_prob_training = recorder.numpy(t)
        sampled = stats.multivariate_normal(own.mean, own.sigma**2 * own.sm.C)
        np.testing.assert_allclose(log_prob, sampled.logpdf(designs), rtol=1e-7, atol=1e-7)
        expected = training_distribution.logpdf(designs)
        np.testing.assert_allclose(log_prob_training, expected, rtol=1e-9)
        assert iteration.threshold == threshold
        own.ask(1)
        own.tell(designs, -stats.norm.logsf(threshold, means, stds), check_points=False)
        after = recorder.search_models[t]
        np.testing.assert_allclose(after.mean.numpy(), own.mean, rtol=1e-9)
        np.testing.assert_allclose(after.covariance.numpy(), own.sm.C, rtol=1e-8)
        assert after.step_size.item() == pytest.approx(own.sigma)


def test_the_oracle_is_asked_of_the_samples(tmp_path: Path) -> None:
    oracle = ensemble()
    never = callbacks.ImportanceWeighting(enabled=False)
    _, recorder = run(tmp_path, oracle=oracle, weighting=never)
    for iteration in recorder.iterations:
        with torch.no_grad():
            members = oracle.member_predictions(iteration.samples.designs.float())
        means, variances = members.loc.double().numpy(), members.variance.double().numpy()
        prediction = iteration.samples.prediction
        np.testing.assert_allclose(prediction.mean.numpy(), means.mean(0), rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(
            prediction.std.numpy(), np.sqrt(variances.mean(0) + means.var(0)), rtol=1e-5
        )
        np.testing.assert_allclose(
            prediction.epistemic_std.numpy(), means.std(0), rtol=1e-4, atol=1e-5
        )


@pytest.mark.parametrize("num_iterations", [1, 4])
@pytest.mark.parametrize("enabled", [True, False])
def test_stops_after_the_last_iteration(num_iterations: int, enabled: bool, tmp_path: Path) -> None:
    weighting = callbacks.ImportanceWeighting(enabled=enabled)
    trainer, recorder = run(tmp_path, weighting=weighting, num_iterations=num_iterations)
    assert [iteration.number for iteration in recorder.iterations] == list(range(num_iterations))
    search = search_of(trainer)
    assert search.finished
    assert search.search.num_done == num_iterations
    assert trainer.current_epoch == (3 * num_iterations if enabled else 3 + num_iterations - 1)


@pytest.mark.parametrize("value", [-math.inf, math.inf, math.nan])
@pytest.mark.parametrize("until", [0, 2])
def test_ends_when_no_sample_has_a_finite_weight(value: float, until: int, tmp_path: Path) -> None:
    writer = callbacks.CandidateWriter()
    with pytest.warns(UserWarning, match=f"the search ends after design iteration {until}: no sa"):
        trainer, recorder = run(
            tmp_path, writer, algorithm=Indifferent(until, then=value), num_iterations=5
        )
    assert len(recorder.iterations) == until + 1
    search = search_of(trainer)
    assert search.finished
    # The last model that could be fitted is kept; so are the best samples, also of the last draw.
    assert equal_states(
        search.search.search_model.state_dict(), search.search.sampled_model.state_dict()
    )
    if until:
        kept = recorder.search_models[until - 1]
        assert equal_states(search.search.search_model.state_dict(), kept.state_dict())
    assert torch.isfinite(search.search.search_model.covariance).all()
    assert len((tmp_path / "candidates.csv").read_text().splitlines()) == NUM_SAMPLES // 5 + 1


def test_an_ended_search_stays_ended(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="the search ends"):
        trainer, _ = run(tmp_path, algorithm=Indifferent(0, math.nan), num_iterations=5)
    state = copy.deepcopy(search_of(trainer).state_dict())
    search = search_update(Indifferent(), num_iterations=5)
    recorder = Recorder()
    again = trainer_with(tmp_path, search, callbacks.OracleConvergence(max_epochs=1), recorder)
    again.fit(ensemble(), datamodule=Quadratic())
    assert len(recorder.iterations) == 5
    search.load_state_dict(state)
    assert search.finished


@pytest.mark.parametrize(
    ("promises", "is_best", "best"),
    [
        ([1.0, 3.0, 2.0], [True, True, False], 1),
        ([3.0, 1.0, 2.0], [True, False, False], 0),
        ([-3.0, -2.0, -1.0], [True, True, True], 2),
        ([2.0, 2.0, 2.0], [True, False, False], 0),
        ([math.nan, 1.0, math.nan], [False, True, False], 1),
        # Further apart than float64's precision and less than float32's, in which figures are kept.
        ([1.0, 1.0 + 1e-12, 0.5], [True, False, False], 0),
    ],
)
def test_best_iteration(
    promises: list[float], is_best: list[bool], best: int, tmp_path: Path
) -> None:
    oracle = PromisingOracle(promises)
    trainer, recorder = run(tmp_path, oracle=oracle, algorithm=Indifferent(), max_epochs=1)
    assert [iteration.is_best for iteration in recorder.iterations] == is_best
    search = search_of(trainer)
    assert search.selector.best_iteration == best
    assert search.selector.best_score == pytest.approx(promises[best], rel=1e-7)


def trajectory(folder: Path, seed: int, disturb: bool = False) -> list[torch.Tensor]:
    pl.seed_everything(seed)
    if disturb:
        torch.rand(7)
        np.random.rand(7)  # noqa: NPY002
    _, recorder = run(folder)
    tensors = [iteration.samples.prediction.mean for iteration in recorder.iterations]
    return [*tensors, *recorder.last_samples, *recorder.weights]


def test_a_seed_is_a_trajectory(tmp_path: Path) -> None:
    one = trajectory(tmp_path, seed=0)
    same = trajectory(tmp_path, seed=0, disturb=True)
    other = trajectory(tmp_path, seed=1)
    assert len(one) == len(same) == len(other) == 9
    assert all(torch.equal(a, b) for a, b in zip(one, same, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_samples_are_drawn_again(tmp_path: Path) -> None:
    trainer, recorder = run(tmp_path)
    drawn = [iteration.samples.designs for iteration in recorder.iterations]
    # The recorder asks within the iteration, before the next; the search afterwards.
    assert torch.equal(recorder.last_samples[2], drawn[2])
    assert torch.equal(search_of(trainer).search.last_samples(trainer.lightning_module), drawn[2])
    assert not torch.equal(drawn[1], drawn[2])
    more = search_of(trainer).search.more_samples(trainer.lightning_module, 50).designs
    assert more.shape == (50, 2)
    assert not torch.isin(more, drawn[2]).any()


def test_samples_are_drawn_again_from_the_saved_state(tmp_path: Path) -> None:
    trainer, recorder = run(tmp_path, num_iterations=2)
    state = copy.deepcopy(search_of(trainer).state_dict())
    search = search_update()
    other = trainer_with(tmp_path, search, max_epochs=1)
    other.fit(ScriptedOracle([[[1.0]]]), datamodule=Quadratic())
    search.load_state_dict(state)
    assert torch.equal(
        search.search.last_samples(trainer.lightning_module), recorder.iterations[1].samples.designs
    )
    assert search.search.num_done == 2
    assert not search.finished


def test_evaluation_by_the_same_trainer_keeps_the_search_model(tmp_path: Path) -> None:
    trainer, recorder = run(tmp_path)
    trainer.validate(trainer.lightning_module, datamodule=trainer.datamodule, verbose=False)
    search = search_of(trainer)
    assert equal_states(
        search.search.search_model.state_dict(), recorder.search_models[-1].state_dict()
    )
    assert torch.equal(
        search.search.last_samples(trainer.lightning_module),
        recorder.iterations[-1].samples.designs,
    )


@pytest.mark.parametrize("counts", [{"num_samples": 1}, {"num_iterations": 0}])
def test_refused_counts(counts: dict[str, int]) -> None:
    with pytest.raises(ConfigurationError, match=f"search.{next(iter(counts))} must be at least"):
        callbacks.SearchModelUpdate(CbAS(), MultivariateNormal(), **counts)


@pytest.mark.parametrize(
    ("algorithm", "search_model"), [(CMAES, MultivariateNormal), (CbAS, CMANormal)]
)
def test_cma_es_needs_its_own_search_model(algorithm: type, search_model: type) -> None:
    names = f"{algorithm.__name__} does not go with search.search_model {search_model.__name__}"
    with pytest.raises(ConfigurationError, match=names):
        callbacks.SearchModelUpdate(algorithm(), search_model())


def test_needs_a_design_problem(tmp_path: Path) -> None:
    trainer = trainer_with(tmp_path, search_update(), callbacks.OracleConvergence())
    loader = torch.utils.data.DataLoader(torch.zeros(4, 2))
    with pytest.raises(ConfigurationError, match="DesignDataModule"):
        trainer.fit(ensemble(), train_dataloaders=loader, val_dataloaders=loader)


def on_a_grid(folder: Path, algorithm: Any, num_samples: int = 30) -> tuple[pl.Trainer, Recorder]:
    recorder = Recorder()
    trainer = trainer_with(
        folder,
        callbacks.SearchModelUpdate(algorithm, Quadrature(0.0, 10.0, 41), num_samples, 3),
        recorder,
        callbacks.ImportanceWeighting(alpha=1.0),
        callbacks.OracleConvergence(max_epochs=1),
    )
    trainer.fit(KernelRidge(), datamodule=Toy())
    return trainer, recorder


def test_a_density_on_a_grid_is_updated_at_its_nodes(tmp_path: Path) -> None:
    trainer, recorder = on_a_grid(tmp_path, CbAS(0.8))
    data, search = trainer.datamodule, search_of(trainer)
    nodes = np.linspace(0.0, 10.0, 41)
    designs = data.designs[:, 0].numpy()
    p_0 = stats.norm.pdf(nodes, designs.mean(), designs.std())
    threshold = -math.inf
    for iteration, model, state in zip(
        recorder.iterations, recorder.search_models, recorder.oracles, strict=True
    ):
        oracle = KernelRidge()
        oracle.build(DesignSpace.of_shape(torch.Size([1])))
        oracle.start(data.problem.training)
        oracle.load_state_dict(state)
        prediction = oracle(torch.from_numpy(nodes)[:, None])
        mean, std = prediction.loc.numpy(), prediction.scale.numpy()
        threshold = max(threshold, np.quantile(mean, 0.8))
        assert iteration.threshold == pytest.approx(threshold, rel=1e-9)
        expected = p_0 * stats.norm.sf(threshold, mean, std)
        np.testing.assert_allclose(
            model.log_prob(torch.from_numpy(nodes)[:, None]).exp().numpy(),
            expected / np.trapezoid(expected, nodes),
            rtol=1e-7,
        )
        # What is recorded, and handed out, are draws of the model before the update.
        assert iteration.samples.designs.shape == (30, 1)
        assert not np.isin(iteration.samples.designs.numpy(), nodes).any()
        assert iteration.candidate_threshold == pytest.approx(
            np.quantile(iteration.samples.prediction.mean.numpy(), 0.8)
        )
    assert torch.equal(
        search.search.last_samples(trainer.lightning_module),
        recorder.iterations[-1].samples.designs,
    )


def test_the_number_of_draws_does_not_matter_on_a_grid(tmp_path: Path) -> None:
    (_, few), (_, many) = (on_a_grid(tmp_path, CbAS(0.8), m) for m in (2, 200))
    for one, other in zip(few.search_models, many.search_models, strict=True):
        assert torch.equal(one.log_density, other.log_density)


def test_collected_samples_do_not_go_with_a_grid(tmp_path: Path) -> None:
    message = "FB collects samples, of which Quadrature makes none: give --search.search_model"
    with pytest.raises(ConfigurationError, match=message):
        on_a_grid(tmp_path, FB())


def test_metrics_can_be_monitored(tmp_path: Path) -> None:
    trainer, recorder = on_a_grid(tmp_path, CbAS(0.8))
    metrics = recorder.iterations[-1].metrics
    monitored = {
        name.removeprefix("design/"): value.item()
        for name, value in trainer.callback_metrics.items()
        if name.startswith("design/")
    }
    assert monitored == pytest.approx(metrics, rel=1e-6)


class Single(Indifferent):
    """Weighs one sample alone."""

    def log_weights(self, samples: Any) -> torch.Tensor:
        weights = super().log_weights(samples)
        return weights.where(torch.arange(len(weights)) == 7, -torch.inf)


def test_too_few_samples_by_their_weights_are_mixed_with_the_model_before(tmp_path: Path) -> None:
    with pytest.warns(
        UserWarning, match=r"iteration 0: the 100 samples count for 1\.0 .* the 3 th"
    ):
        _, recorder = run(tmp_path, algorithm=Single(), num_iterations=4)
    for t, iteration in enumerate(recorder.iterations):
        assert iteration.metrics["search_effective_sample_size"] == 1
        before, after = recorder.sampled_models[t], recorder.search_models[t]
        # A point has no spread: this has one, and has come nearer to the one sample.
        assert (after.covariance.diagonal() > 0.2 * before.covariance.diagonal()).all()
        sample = iteration.samples.drawn[7]
        assert (after.mean - sample).norm() < 0.7 * (before.mean - sample).norm()
