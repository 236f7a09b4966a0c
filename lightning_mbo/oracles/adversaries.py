"""Where a conservative model looks for designs that it overestimates."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from lightning_mbo.distributed import gather_shards, shard
from lightning_mbo.errors import ConfigurationError
from lightning_mbo.oracles.ascent import Objective, ascend


class Adversary(nn.Module, ABC):
    """Finds adversarial designs by gradient ascent on the present model, from its training points.

    All state is in buffers, so that a resumed run goes on with it.
    """

    def __init__(self, num_steps: int = 50, step_size: float = 0.05) -> None:
        """Set the ascent.

        Args:
            num_steps: Steps from a training point to an adversarial design, T.
            step_size: s; a step is s √(number of inputs) times the gradient.

        Raises:
            ConfigurationError: If there is no step, or it has no size.
        """
        super().__init__()
        if num_steps < 1 or step_size <= 0:
            raise ConfigurationError(
                "model.adversary: num_steps must be at least 1 and step_size positive, not "
                f"{num_steps} and {step_size}"
            )
        self.num_steps = num_steps
        self.step_size = step_size

    def build(self, num_members: int, num_inputs: int) -> None:
        """Allocate what is kept. Called once, before all else."""

    @abstractmethod
    def find(self, objective: Objective, inputs: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        """Find what the model overestimates.

        Args:
            objective: The model, from inputs ``(k, p, inputs)`` to values ``(k, p)``.
            inputs: A batch of training points, shape ``(k, b, inputs)``.
            weights: Theirs, shape ``(k, b)``.

        Returns:
            Adversarial inputs ``(k, p, inputs)``, without a graph, and the weights ``(k, p)`` of
            the training points that they come from.
        """


class BatchAscent(Adversary):
    """All steps from every point of the batch, in every training step: as published.

    Reference: Trabucco, Kumar, Geng and Levine, ICML 2021, algorithm 1.
    """

    def find(self, objective: Objective, inputs: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        """Climb from the batch; one adversarial design for each of its points."""
        return ascend(objective, inputs, self.num_steps, self.step_size), weights


class PersistentParticles(Adversary):
    """Particles that are carried from one training step to the next, and climb a little in each.

    A particle starts at a point of the batch, and has its weight, until it has made `num_steps`
    steps on the changing model; then it starts anew. The particles are of all ages at any time,
    so that the model is held down along the whole way of the ascent, not at its end only.

    Reference: Tieleman, "Training restricted Boltzmann machines using approximations to the
    likelihood gradient", ICML 2008, for persistent chains.
    """

    particles: Tensor
    particle_weights: Tensor
    ages: Tensor

    def __init__(
        self,
        num_particles: int = 128,
        steps_at_once: int = 1,
        num_steps: int = 50,
        step_size: float = 0.05,
    ) -> None:
        """Set the ascent.

        Args:
            num_particles: How many there are of each member, p, over all processes.
            steps_at_once: Steps of all particles in a training step.
            num_steps: Steps after which a particle starts anew, T.
            step_size: s; a step is s √(number of inputs) times the gradient.

        Raises:
            ConfigurationError: If a number is too small.
        """
        super().__init__(num_steps, step_size)
        if num_particles < 1 or not 1 <= steps_at_once <= num_steps:
            raise ConfigurationError(
                "model.adversary: num_particles must be at least 1 and steps_at_once lie between "
                f"1 and num_steps, not {num_particles} and {steps_at_once}"
            )
        self.num_particles = num_particles
        self.steps_at_once = steps_at_once

    def build(self, num_members: int, num_inputs: int) -> None:
        """Have particles that weigh nothing yet, and start one after the other."""
        num_particles, num_turns = self.num_particles, -(-self.num_steps // self.steps_at_once)
        turns = torch.arange(num_particles) % num_turns
        particles = torch.zeros(num_particles, num_members, num_inputs, dtype=torch.float32)
        self.register_buffer("particles", particles)
        self.register_buffer("particle_weights", torch.zeros_like(particles[..., 0]))
        self.register_buffer("ages", self.num_steps - self.steps_at_once * turns)

    def find(self, objective: Objective, inputs: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        """Start the oldest particles anew, and let all climb."""
        mine = shard(self.num_particles)
        particles = self.particles[mine]
        particle_weights, ages = self.particle_weights[mine], self.ages[mine]
        if inputs.shape[1] > 0:
            due = ages >= self.num_steps
            points = torch.arange(len(ages), device=ages.device) % inputs.shape[1]
            starts = inputs[:, points].transpose(0, 1).detach()
            particles = torch.where(due[:, None, None], starts, particles)
            particle_weights = torch.where(due[:, None], weights[:, points].mT, particle_weights)
            ages = torch.where(due, 0, ages)
        found = ascend(objective, particles.transpose(0, 1), self.steps_at_once, self.step_size)
        for kept, changed in (
            (self.particles, found.transpose(0, 1)),
            (self.particle_weights, particle_weights),
            (self.ages, ages + self.steps_at_once),
        ):
            kept.copy_(gather_shards(changed, self.num_particles))
        return found, particle_weights.mT
