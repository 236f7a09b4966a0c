"""Where a conservative model looks for designs that it overestimates."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor, nn

from lightning_mbo.distributed import all_reduce_sum, gather_shards, shard
from lightning_mbo.errors import ConfigurationError
from lightning_mbo.oracles.ascent import Objective, ascend


class Adversarial(NamedTuple):
    """What the model overestimates.

    Attributes:
        inputs: Shape ``(k, p, inputs)``, without a graph.
        weights: Those of the training points that the inputs come from, shape ``(k, p)``.
        overestimation: What the constraint limits, shape ``(k,)``, without a graph; None: how much
            the model overestimates these very inputs.
    """

    inputs: Tensor
    weights: Tensor
    overestimation: Tensor | None = None


class Adversary(nn.Module, ABC):
    """Finds adversarial designs by gradient ascent on the present model, from its training points.

    All state is in its `state_dict`, so that a resumed run goes on with it.
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
    def find(self, objective: Objective, inputs: Tensor, weights: Tensor) -> Adversarial:
        """Find what the model overestimates.

        Args:
            objective: The model, from inputs ``(k, p, inputs)`` to values ``(k, p)``.
            inputs: A batch of training points, shape ``(k, b, inputs)``.
            weights: Theirs, shape ``(k, b)``.
        """


class BatchAscent(Adversary):
    """All steps from every point of the batch, in every training step: as published.

    Reference: Trabucco, Kumar, Geng and Levine, ICML 2021, algorithm 1.
    """

    def find(self, objective: Objective, inputs: Tensor, weights: Tensor) -> Adversarial:
        """Climb from the batch; one adversarial design for each of its points."""
        return Adversarial(ascend(objective, inputs, self.num_steps, self.step_size), weights)


class PersistentParticles(Adversary):
    """Particles that are carried from one training step to the next, and climb a little in each.

    A particle starts at a point of the batch, and has its weight, until it has made `num_steps`
    steps on the changing model; then it is an adversarial design, once, and starts anew. The
    particles are of all ages at any time, so that some end in every training step.

    A particle that has climbed while the model changed under it ends lower than an ascent on the
    model as it is. What the constraint limits is therefore measured by a whole ascent from every
    point of the batch, once in as many training steps as a particle takes, and held in between.

    Reference: Tieleman, "Training restricted Boltzmann machines using approximations to the
    likelihood gradient", ICML 2008, for persistent chains.
    """

    particles: Tensor
    particle_weights: Tensor
    overestimation: Tensor

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
        self._num_turns = -(-num_steps // steps_at_once)
        self._turn = 0  # not a buffer: on a GPU, to ask for it would make the host wait

    def get_extra_state(self) -> Tensor:
        """Which training step of a generation is next."""
        return torch.tensor(self._turn, device="cpu")

    def set_extra_state(self, state: Tensor) -> None:
        """Go on with the generation."""
        self._turn = int(state)

    def build(self, num_members: int, num_inputs: int) -> None:
        """Have particles that weigh nothing until they have started, one after the other."""
        shape = (self.num_particles, num_members, num_inputs)
        particles = torch.zeros(shape, dtype=torch.float32)
        self.register_buffer("particles", particles)
        self.register_buffer("particle_weights", torch.zeros_like(particles[..., 0]))
        self.register_buffer("overestimation", torch.zeros(num_members, dtype=torch.float32))

    def find(self, objective: Objective, inputs: Tensor, weights: Tensor) -> Adversarial:
        """Start particles anew and let all climb; those that end are adversarial designs."""
        if self._turn == 0:
            self._measure(objective, inputs, weights)
        particles, particle_weights = self._started(inputs, weights)
        climbed = ascend(objective, particles.transpose(0, 1), self.steps_at_once, self.step_size)
        self.particles.copy_(gather_shards(climbed.transpose(0, 1), self.num_particles))
        self.particle_weights.copy_(gather_shards(particle_weights, self.num_particles))
        self._turn = (self._turn + 1) % self._num_turns
        ended = self._due()
        return Adversarial(climbed[:, ended], particle_weights[ended].mT, self.overestimation)

    def _measure(self, objective: Objective, inputs: Tensor, weights: Tensor) -> None:
        """Take f(x⁻) - f(x) of whole ascents from all processes' points, by their weights."""
        found = ascend(objective, inputs, self.num_steps, self.step_size)
        with torch.no_grad():
            gaps = objective(found) - objective(inputs)
        sums = torch.stack([(weights * gaps).sum(1), weights.sum(1)])
        total, weight = all_reduce_sum(sums)
        # Of a batch that weighs nothing there is nothing to measure.
        self.overestimation.copy_(torch.where(weight > 0, total / weight, self.overestimation))

    def _started(self, inputs: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        """This process's particles ``(p, k, inputs)`` and weights; those due are points again."""
        mine, due = shard(self.num_particles), self._due()
        particles = self.particles[mine].clone()
        particle_weights = self.particle_weights[mine].clone()
        if inputs.shape[1] == 0:
            particle_weights[due] = 0.0
            return particles, particle_weights
        points = torch.arange(len(particles), device=inputs.device)[due] % inputs.shape[1]
        particles[due] = inputs[:, points].transpose(0, 1).detach()
        particle_weights[due] = weights[:, points].mT
        return particles, particle_weights

    def _due(self) -> slice:
        """Which of this process's particles have ended, and start anew in the next step."""
        first = shard(self.num_particles).start
        return slice((self._turn - first) % self._num_turns, None, self._num_turns)
