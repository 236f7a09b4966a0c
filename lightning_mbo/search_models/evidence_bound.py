"""Fitting an autoencoder to weighted designs."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn.utils import parameters_to_vector

from lightning_mbo.search_models.autoencoder import Autoencoder
from lightning_mbo.search_models.base import Reduce
from lightning_mbo.search_models.latent_entries import Entries, EntryLayout
from lightning_mbo.search_models.weighted_batches import WeightedBatches

FIRST_STEPS = 2000
"""From random networks."""

BATCH_SIZE = 256

PENALTY = 3.0
"""Of half the squares of all parameters, in the loss of one design."""

_LEARNING_RATE = 0.01


def maximise_bound(
    network: Autoencoder,
    layout: EntryLayout,
    entries: Entries,
    batches: WeightedBatches,
    generator: torch.Generator,
    num_steps: int,
    penalty: Tensor,
    beta: float = 1.0,
    given: Tensor | None = None,
    reduce: Reduce = lambda x: x,
) -> None:
    """Go on towards the greatest weighted evidence bound, with a normal prior of the weights.

    Reference: Kingma and Welling, "Auto-encoding variational Bayes", ICLR 2014.

    Args:
        network: What is fitted, in place.
        layout: What the entries are like by themselves.
        entries: Of m designs.
        batches: Of these.
        generator: Of z, on the designs' device.
        num_steps: Of Adam; the rate falls to nothing as a cosine does.
        penalty: Of half the sum of all squared parameters, a scalar.
        beta: Of the divergence of q(z | x) from p(z).
        given: Of what else the network is told, ``(m, given)``.
        reduce: Sums a tensor over processes.
    """
    with torch.inference_mode(False):
        vector = parameters_to_vector(network.parameters()).detach().clone()
        optimizer = torch.optim.Adam([vector])
        for step in range(num_steps):
            share = (1 + math.cos(math.pi * step / num_steps)) / 2
            optimizer.param_groups[0]["lr"] = _LEARNING_RATE * share
            rows, weights, draws = batches.draw()
            noise = vector.new_empty(batches.batch_size, network.num_latent)
            noise = noise.normal_(generator=generator)[draws]
            known = None if given is None else given[rows]
            with torch.enable_grad():
                vector.requires_grad_(True)
                some = entries.at(rows)
                loss = weights @ _losses(network, layout, vector, some, noise, beta, known)
                slope = torch.autograd.grad(loss, vector)[0]
            vector.requires_grad_(False)
            vector.grad = reduce(slope) + penalty * vector
            optimizer.step()
    parameters = list(network.parameters())
    sizes = [place.numel() for place in parameters]
    for place, part in zip(parameters, vector.split(sizes), strict=True):
        place.copy_(part.view_as(place))


def _losses(
    network: Autoencoder,
    layout: EntryLayout,
    vector: Tensor,
    entries: Entries,
    noise: Tensor,
    beta: float,
    given: Tensor | None,
) -> Tensor:
    """The negative evidence bound of m designs, ``(m,)``, nats."""
    shapes = {name: value.shape for name, value in network.named_parameters()}
    parts = vector.split([shape.numel() for shape in shapes.values()])
    named = {
        name: part.view(shape) for (name, shape), part in zip(shapes.items(), parts, strict=True)
    }
    outputs, divergences, log_deviations = functional_call(
        network, named, (entries.features, noise, given)
    )
    losses: Tensor = beta * divergences - layout.log_likelihood(entries, outputs, log_deviations)
    return losses
