"""An autofocused CbAS run as a bare PyTorch loop: no Lightning, callbacks, logs or checkpoints.

It draws the same random numbers as a run of the library, takes the same steps, and so must end
with the same figures; it is what the library's overhead is measured against.
"""

from __future__ import annotations

import copy
from typing import NamedTuple

import torch
from torch import Tensor
from torch.distributions import Normal
from torch.nn import functional

from lightning_mbo.algorithms import CbAS
from lightning_mbo.data import DesignDataModule
from lightning_mbo.data.loading import split_rows
from lightning_mbo.importance import importance_weights, normalized_weights
from lightning_mbo.oracles.deep_ensemble import StackedMLP
from lightning_mbo.samples import Prediction, Samples
from lightning_mbo.search_models import MultivariateNormal
from lightning_mbo.space import DesignSpace

K, HIDDEN, LEARNING_RATE, ALPHA, PATIENCE = 3, (100, 100, 100, 100, 10), 5e-4, 0.2, 2


class Outcome(NamedTuple):
    """The oracle's 80th percentile by design iteration, and the epochs that it took."""

    oracle_p80: list[float]
    num_epochs: int


def bare_run(data: DesignDataModule, num_iterations: int, num_samples: int) -> Outcome:
    """Run autofocused CbAS on a datamodule that has been set up."""
    designs, properties = data.designs, data.properties
    centre, spread = properties.mean().float(), properties.std(correction=0).float()
    table = designs.float(), properties.float(), torch.ones(len(designs))
    network = StackedMLP((designs.shape[1], *HIDDEN, 2), K, data.stream)

    def outputs(inputs: Tensor) -> tuple[Tensor, Tensor]:
        raw = network(inputs)
        return raw[..., 0], functional.softplus(raw[..., 1]) + 1e-6

    def losses(rows: Tensor) -> tuple[Tensor, Tensor]:
        inputs, targets, weights = (tensor[rows] for tensor in table)
        mean, variance = outputs(inputs)
        target = (targets - centre) / spread
        return weights * -Normal(mean, variance.sqrt(), validate_args=False).log_prob(
            target
        ), weights

    search = MultivariateNormal()
    search.build(DesignSpace.of_shape(designs.shape[1:]))
    search.fit(designs, torch.ones(len(designs)))
    training = copy.deepcopy(search)
    algorithm = CbAS()
    reference = training.log_prob(designs)
    epoch, oracle_p80, stream = 0, [], data.stream
    for iteration in range(num_iterations):
        optimizer = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE, fused=True)
        generator = stream.generator("split", iteration + 1)
        rows, held_out = split_rows(len(designs), K, data.validation_fraction, generator)
        best, since = torch.full((K,), torch.inf), torch.zeros(K, dtype=torch.long)
        while True:
            frozen = since >= PATIENCE
            kept = [p.data[frozen].clone() for p in network.parameters()]
            generator = stream.generator("shuffle", epoch)
            order = torch.stack([torch.randperm(rows.shape[1], generator=generator) for _ in rows])
            for chunk in rows.gather(1, order).split(data.batch_size, dim=1):
                optimizer.zero_grad()
                (losses(chunk)[0].sum() / chunk.shape[1]).backward()
                optimizer.step()
            with torch.no_grad():
                for parameter, values in zip(network.parameters(), kept, strict=True):
                    parameter[frozen] = values
                loss, weight = losses(held_out)
                loss = loss.sum(1) / weight.sum(1)
            epoch += 1
            improved, running = loss < best, ~frozen
            best = torch.where(improved, loss, best)
            since = torch.where(running & improved, 0, since + running.long())
            if (since >= PATIENCE).all():
                break
        generator = stream.generator("design", iteration)
        samples = search.sample(num_samples, generator)
        with torch.no_grad():
            parts = [outputs(part) for part in samples.float().split(2048)]
        means = torch.cat([p[0] for p in parts], 1) * spread + centre
        stds = torch.cat([p[1] for p in parts], 1).sqrt() * spread
        means, stds = means.double(), stds.double()
        variance = stds.square().mean(0) + means.var(0, correction=0)
        weights = normalized_weights(
            algorithm.log_weights(
                Samples(
                    samples,
                    Prediction(means.mean(0), variance.sqrt(), means.std(0, correction=0)),
                    samples,
                    search.log_prob(samples),
                    training.log_prob(samples),
                )
            )
        )
        search.fit(samples, weights)
        oracle_p80.append(means.mean(0).quantile(0.8).item())
        ratios = search.log_prob(designs) - reference
        table = table[0], table[1], importance_weights(ratios, ALPHA).float()
    return Outcome(oracle_p80, epoch)
