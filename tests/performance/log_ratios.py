"""Log-ratios p_θ/p_0 as each search model estimates them, beside the exact ones, by distance.

`python tests/performance/log_ratios.py` fits every search model that has a density to 1,000 designs
of a known p_0, updates it with as many samples of a known p_θ, and prints how far the ratio of the
two fits is from that of the laws on 1,000 other designs of p_0: the mean error in nats, up to a
constant, and in brackets the rank correlation. `--help` lists what can be chosen. It takes some
three minutes.
"""

from __future__ import annotations

import argparse
import copy
import math
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pandas as pd
import torch
from scipy import stats
from torch import Tensor
from torch.nn.functional import normalize

from lightning_mbo import search_models
from lightning_mbo.importance import ClassifierRatio
from lightning_mbo.problem import DesignProblem
from lightning_mbo.random import Stream
from lightning_mbo.search_models import SearchModel
from lightning_mbo.space import Amounts, DesignSpace

NUM_DESIGNS = 1000
DISTANCES = (0.5, 2.0, 8.0)
LETTERS = DesignSpace.of_shape(torch.Size([8, 4]))
AMOUNTS = Amounts(tuple(range(6)), (-0.6,) * 6, (0.25,) * 6).by_itself()

OF_NUMBERS: dict[str, tuple[str, dict[str, Any]]] = {
    "MultivariateNormal": ("MultivariateNormal", {}),
    "GaussianMixture": ("GaussianMixture", {}),
    "GaussianMixture, rank 3": ("GaussianMixture", {"rank": 3}),
    "NormalizingFlow": ("NormalizingFlow", {}),
    "VariationalAutoencoder": ("VariationalAutoencoder", {}),
}
OF_LETTERS: dict[str, tuple[str, dict[str, Any]]] = {
    name: (name, {})
    for name in (
        *("Categorical", "CategoricalMixture", "Potts", "HiddenMarkov"),
        "VariationalAutoencoder",
    )
}
OF_AMOUNTS: dict[str, tuple[str, dict[str, Any]]] = {"SparseAmounts": ("SparseAmounts", {})}


class Law:
    """Distributions of one kind, of known densities, that move away from p_0 with t."""

    def __init__(
        self, space: DesignSpace, at: Callable[[float], SearchModel], models: dict[str, Any]
    ) -> None:
        self.space, self.at, self.models = space, at, models
        self.p_0 = at(0.0)

    def at_distance(self, nats: float) -> SearchModel | None:
        """The one of so great a Kullback-Leibler divergence from p_0; None if there is none."""

        def distance(t: float) -> float:
            p_theta = self.at(t)
            samples = p_theta.sample(4000, torch.Generator().manual_seed(0))
            return float((p_theta.log_prob(samples) - self.p_0.log_prob(samples)).mean())

        low, high = 0.0, 0.1
        while distance(high) < nats:
            low, high = high, 2 * high
            if high > 1000:
                return None
        for _ in range(20):
            middle = (low + high) / 2
            low, high = (middle, high) if distance(middle) < nats else (low, middle)
        return self.at(high)


def built(model: SearchModel, space: DesignSpace, **buffers: Tensor) -> Any:
    """A model of such designs with these parameters."""
    model.build(space)
    for name, value in buffers.items():
        getattr(model, name).copy_(value)
    return model


def noise(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def narrowed(t: float) -> float:
    """A standard deviation that falls with the distance from p_0."""
    return 1 - 0.4 * min(t, 1.0)


def normal(t: float) -> SearchModel:
    root = torch.linalg.cholesky(noise(6, 6, seed=0).cov() + 0.05 * torch.eye(6))
    space, cholesky = DesignSpace.of_shape(torch.Size([6])), root * narrowed(t)
    mean = t * root.sum(1) / math.sqrt(6)
    return built(search_models.MultivariateNormal(), space, mean=mean, cholesky=cholesky)


def mixture(t: float) -> SearchModel:
    means, roots = 2.5 * noise(3, 6, seed=1), noise(3, 6, 6, seed=2).tril() / 2
    roots.diagonal(dim1=1, dim2=2).copy_(0.5 + noise(3, 6, seed=3).abs() / 2)
    return built(
        search_models.GaussianMixture(3),
        DesignSpace.of_shape(torch.Size([6])),
        log_shares=(t * torch.tensor([1.0, 0.0, -1.0])).double().log_softmax(0),
        means=means + t * normalize(noise(6, seed=4), dim=0),
        choleskys=roots * narrowed(t),
    )


def factors(t: float) -> SearchModel:
    loadings, own = noise(30, 3, seed=5), 0.1 + noise(30, seed=6).abs() / 2
    return built(
        search_models.GaussianMixture(1, rank=3),
        DesignSpace.of_shape(torch.Size([30])),
        means=t * loadings.sum(1, keepdim=True).mT / math.sqrt(3),
        loadings=loadings * narrowed(t),
        own=own.square(),
    )


class Valley(SearchModel):
    """Normal numbers that are bent, at no change of volume."""

    def __init__(self, t: float) -> None:
        super().__init__()
        self.straight = normal(0.0)
        self.straight.mean[:4] = t / 2
        self.straight.cholesky.copy_(torch.diag(torch.tensor([1.0, 0.3] * 3)) * narrowed(t))

    def build(self, space: DesignSpace) -> None:
        """There is nothing to build."""

    def fit(self, designs: Tensor, weights: Tensor, reduce: Any = None) -> None:
        raise NotImplementedError("its parameters are given")

    @staticmethod
    def _bent(designs: Tensor, sign: int) -> Tensor:
        bent = designs.clone()
        bent[:, 1::2] += sign * torch.stack(
            [designs[:, 0].square(), (2 * designs[:, 2]).sin(), designs[:, 4].square()], dim=1
        )
        return bent

    def sample(self, num_samples: int, generator: torch.Generator) -> Tensor:
        return self._bent(self.straight.sample(num_samples, generator), 1)

    def log_prob(self, designs: Tensor) -> Tensor:
        return self.straight.log_prob(self._bent(designs, -1))


def motifs(t: float) -> SearchModel:
    logits = 1.5 * noise(3, 8, 4, seed=7) + t * noise(8, 4, seed=8)
    return built(
        search_models.CategoricalMixture(3),
        LETTERS,
        log_shares=(t * torch.tensor([1.0, 0.0, -1.0])).double().log_softmax(0),
        log_probabilities=logits.log_softmax(2).flatten(1),
    )


def machine(t: float) -> SearchModel:
    letters = 2 * noise(4, 4, seed=9) + t * noise(4, 4, seed=10)
    moves = 2 * noise(4, 4, seed=11) + t * noise(4, 4, seed=12)
    return built(
        search_models.HiddenMarkov(4),
        LETTERS,
        starts=torch.full((4,), 0.25),
        moves=moves.softmax(1),
        letters=letters.softmax(1),
    )


def recipes(t: float) -> SearchModel:
    """What is there, of two kinds, and how much of it."""
    kinds = torch.tensor([[2.0, 2.0, 2.0, -2.0, -2.0, -2.0], [-2.0, -2.0, 2.0, 2.0, 2.0, -2.0]])
    return built(
        search_models.SparseAmounts(2),
        AMOUNTS,
        log_shares=(t * torch.tensor([0.5, -0.5])).double().log_softmax(0),
        presences=(kinds + 0.3 * t * noise(6, seed=13)).sigmoid(),
        means=noise(2, 6, seed=14) / 2 + 0.3 * t * noise(6, seed=15),
        stds=torch.full((2, 6), 0.4),
    )


LAWS: dict[str, tuple[Callable[[float], SearchModel], DesignSpace, dict[str, Any]]] = {
    "normal": (normal, DesignSpace.of_shape(torch.Size([6])), OF_NUMBERS),
    "mixture": (mixture, DesignSpace.of_shape(torch.Size([6])), OF_NUMBERS),
    "valley": (Valley, DesignSpace.of_shape(torch.Size([6])), OF_NUMBERS),
    "factors": (factors, DesignSpace.of_shape(torch.Size([30])), OF_NUMBERS),
    "motifs": (motifs, LETTERS, OF_LETTERS),
    "machine": (machine, LETTERS, OF_LETTERS),
    "recipes": (recipes, AMOUNTS, OF_AMOUNTS),
}


def estimates(law: Law, seed: int) -> list[dict[str, Any]]:
    """By each model at each distance: the mean error, and the rank correlation."""
    stream = Stream(seed)
    training, fresh = (
        law.p_0.sample(NUM_DESIGNS, stream.generator(name)) for name in ("training", "fresh")
    )
    p_thetas = [(nats, law.at_distance(nats)) for nats in DISTANCES]
    found = []

    def compare(name: str, nats: float, p_theta: SearchModel, log_ratios: Tensor) -> None:
        exact = p_theta.log_prob(fresh) - law.p_0.log_prob(fresh)
        errors = log_ratios - exact
        error = (errors - errors.median()).abs().mean().item()
        rank = stats.spearmanr(log_ratios.numpy(), exact.numpy())[0]
        found.append({"model": name, "nats": nats, "error": error, "rank": rank})

    for name, (cls, options) in law.models.items():
        if not hasattr(search_models, cls):
            continue
        model = getattr(search_models, cls)(**options)
        model.stream = stream
        model.build(law.space)
        model.fit(training, torch.ones(NUM_DESIGNS))
        before = model.log_prob(fresh)
        for nats, p_theta in p_thetas:
            if p_theta is not None:
                updated = copy.deepcopy(model)
                samples = p_theta.sample(NUM_DESIGNS, stream.generator("search"))
                updated.update(samples, torch.ones(NUM_DESIGNS))
                compare(name, nats, p_theta, updated.log_prob(fresh) - before)
    problem = replace(
        DesignProblem.of_table(training, training.flatten(1)[:, 0], seed), space=law.space
    )
    for nats, p_theta in p_thetas:
        if p_theta is not None:
            log_ratios = ClassifierRatio(problem).of_designs(fresh, p_theta, law.p_0)
            compare("ClassifierRatio", nats, p_theta, log_ratios)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--laws", nargs="+", default=list(LAWS), choices=list(LAWS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    for name in args.laws:
        start = time.process_time()
        at, space, models = LAWS[name]
        law = Law(space, at, models)
        found = pd.DataFrame([row for seed in args.seeds for row in estimates(law, seed)])
        means = found.groupby(["model", "nats"], sort=False)[["error", "rank"]].mean()
        told = means.apply(lambda row: f"{row['error']:.2f} ({row['rank']:.2f})", axis=1)
        print(f"{name}, {time.process_time() - start:.0f} s")
        print(told.unstack("nats").to_string(), end="\n\n", flush=True)


if __name__ == "__main__":
    main()
