"""Benchmark problems as data: one datamodule for all, and a name for each."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from lightning_mbo import tasks
from lightning_mbo.data.base import DesignDataModule
from lightning_mbo.errors import ConfigurationError
from lightning_mbo.space import Cells, DesignSpace
from lightning_mbo.tabular.types import DataFrame


class TaskData(DesignDataModule):
    """The designs and labels of a task, which the run's seed draws.

    Its subclasses are nothing but tasks whose options are this datamodule's own.
    """

    def __init__(self, task: tasks.Task, **kwargs: Any) -> None:
        """Choose the task.

        Args:
            task: What the designs are, and their property.
            **kwargs: Of `DesignDataModule`.
        """
        super().__init__(**kwargs)
        self.task = task
        self.property_name = task.property_name

    def prepare_data(self) -> None:
        """Make what takes long and is kept in a file, on one process."""
        self.task.prepare()

    def load(self) -> tuple[Tensor, Tensor]:
        """Draw or read the table."""
        known = self._known = self.task.problem(self.stream.generator("training designs"))
        self.ground_truth, self.property_range = known.ground_truth, known.property_range
        self.noise_std, self.motions = known.noise_std, known.motions
        self.most_scored = known.most_scored
        self.groups, self.distances = known.groups, known.distances
        return known.designs, known.properties

    @property
    def space(self) -> DesignSpace:
        """What the entries of a design mean."""
        return self._known.space

    def nearest_allowed(self, designs: Tensor) -> Tensor:
        """The nearest designs ``(m, *design_shape)`` that can be made."""
        return self._known.nearest_allowed(designs)

    @property
    def has_constraints(self) -> bool:
        """Whether some designs cannot be at all, by the task, once it is read, or a subclass."""
        known: tasks.KnownProblem | None = getattr(self, "_known", None)
        by_task = known is not None and known.feasible is not None
        return by_task or type(self).feasible is not TaskData.feasible

    def feasible(self, designs: Tensor) -> Tensor:
        """Which of the designs ``(m, *design_shape)`` can be at all, bool, ``(m,)``."""
        find = self._known.feasible
        return super().feasible(designs) if find is None else find(designs)

    def cells(self, designs: Tensor) -> Cells:
        """Which draws become each of the designs ``(n, *design_shape)``."""
        return self._known.cells(designs)

    def to_user_units(self, designs: Tensor) -> DataFrame:
        """Designs ``(m, *design_shape)`` as the user knows them, one a row."""
        return self._known.codec.to_user_units(designs)

    def by_entry(self, designs: Tensor) -> DataFrame:
        """What each number and each one-hot group of designs ``(m, *design_shape)`` is."""
        is_sequences = self.space.is_sequences
        return super().by_entry(designs) if is_sequences else self._known.codec.by_entry(designs)

    def nearest_known(self, designs: Tensor) -> DataFrame:
        """What the user may recognise each design ``(m, *design_shape)`` by; or no columns."""
        find = self._known.nearest_known
        return super().nearest_known(designs) if find is None else find(designs)


class Toy(TaskData):
    """Two bumps on a line, with few designs on the higher one: see `lightning_mbo.tasks.Toy`."""

    def __init__(
        self,
        num_designs: int = 100,
        design_mean: float = 3.0,
        design_std: float = 1.6,
        noise_std: float = 0.04,
        **kwargs: Any,
    ) -> None:
        """Set what is measured where.

        Args:
            num_designs: n.
            design_mean: Of the distribution that designs are drawn from.
            design_std: Its standard deviation, σ_0.
            noise_std: Standard deviation of the labels' noise, σ_ε.
            **kwargs: Of `DesignDataModule`.
        """
        super().__init__(tasks.Toy(num_designs, design_mean, design_std, noise_std), **kwargs)


class Quadratic(TaskData):
    """A paraboloid, known far from its top only: see `lightning_mbo.tasks.Quadratic`."""

    def __init__(self, num_designs: int = 1000, **kwargs: Any) -> None:
        """Set how much is known.

        Args:
            num_designs: n.
            **kwargs: Of `DesignDataModule`.
        """
        super().__init__(tasks.Quadratic(num_designs), **kwargs)


class TFBind8(TaskData):
    """DNA that a transcription factor binds to: see `lightning_mbo.tasks.TFBind8`."""

    def __init__(
        self, landscape: Path | None = None, visible_percentile: float = 50.0, **kwargs: Any
    ) -> None:
        """Choose the landscape.

        Args:
            landscape: A tab-separated file, plain or compressed: all sequences of one length,
                in each row one, its reverse complement, and a column E-score.
            visible_percentile: Sequences above this percentile of the property are hidden.
            **kwargs: Of `DesignDataModule`.
        """
        super().__init__(tasks.TFBind8(landscape, visible_percentile), **kwargs)


class EhrlichFunction(TaskData):
    """Sequences in which hidden motifs are sought: see `lightning_mbo.tasks.EhrlichFunction`."""

    def __init__(
        self,
        num_letters: int = 32,
        length: int = 32,
        num_motifs: int = 4,
        motif_length: int = 4,
        quantization: int = 4,
        function_seed: int = 0,
        num_designs: int = 2000,
        visible_percentile: float = 80.0,
        **kwargs: Any,
    ) -> None:
        """Set how hard it is, and how much is known.

        Args:
            num_letters: Of the alphabet.
            length: Of the sequences.
            num_motifs: All of which are to be in one sequence.
            motif_length: Letters of each.
            quantization: In how many steps more of a motif counts for more: a divisor of
                motif_length.
            function_seed: Of the motifs, and of what may follow what; the run's draws the table.
            num_designs: n.
            visible_percentile: Sequences above this percentile of the property are hidden.
            **kwargs: Of `DesignDataModule`.
        """
        task = tasks.EhrlichFunction(
            num_letters,
            length,
            num_motifs,
            motif_length,
            quantization,
            function_seed,
            num_designs,
            visible_percentile,
        )
        super().__init__(task, **kwargs)


class Hopper(TaskData):
    """Policies of a robot with one leg: see `lightning_mbo.tasks.Hopper`."""

    def __init__(self, visible_percentile: float = 80.0, **kwargs: Any) -> None:
        """Set how much is known.

        Args:
            visible_percentile: Policies above this percentile of the return are hidden.
            **kwargs: Of `DesignDataModule`.
        """
        super().__init__(tasks.Hopper(visible_percentile), **kwargs)


class AntMorphology(TaskData):
    """The legs of a robot with four of them: see `lightning_mbo.tasks.AntMorphology`."""

    def __init__(self, visible_percentile: float = 80.0, **kwargs: Any) -> None:
        """Set how much is known.

        Args:
            visible_percentile: Designs above this percentile of the distance are hidden.
            **kwargs: Of `DesignDataModule`.
        """
        super().__init__(tasks.AntMorphology(visible_percentile), **kwargs)


class DKittyMorphology(TaskData):
    """The legs of a robot after the D'Kitty: see `lightning_mbo.tasks.DKittyMorphology`."""

    def __init__(self, visible_percentile: float = 80.0, **kwargs: Any) -> None:
        """Set how much is known.

        Args:
            visible_percentile: Designs above this percentile of the distance are hidden.
            **kwargs: Of `DesignDataModule`.
        """
        super().__init__(tasks.DKittyMorphology(visible_percentile), **kwargs)


class Superconductor(TaskData):
    """Superconductors, by 81 features of their composition or by the composition itself.

    See `lightning_mbo.tasks.SimulatedSuperconductors` and `MeasuredSuperconductors`.
    """

    def __init__(
        self,
        path: Path | None = None,
        representation: Literal["features", "composition"] = "features",
        labels: Literal["simulated", "measured"] = "simulated",
        num_features: int = 60,
        visible_percentile: float | None = None,
        num_designs: int | None = None,
        noise_std: float = 1.0,
        cache_dir: Path | None = None,
        **kwargs: Any,
    ) -> None:
        """Choose the table and what is made of it.

        Args:
            path: UCI's train.csv (81 features) or unique_m.csv (amounts of 86 elements), or a
                table of the columns formula and critical_temp; plain or compressed. Default: the
                shipped subset.
            representation: What a design is: 81 features of its composition, or the composition.
            labels: `simulated` draws designs and labels them by the ground truth; `measured`
                trains on the table's own rows.
            num_features: With simulated labels of the features, how many of them make a design:
                those that bring the ground truth the most gain.
            visible_percentile: Rows above this percentile of the property are hidden. Default 80
                with simulated labels, 100 (no row is hidden) with measured ones.
            num_designs: How many designs are drawn; default: as many as visible rows.
            noise_std: Standard deviation of the simulated labels' noise, K.
            cache_dir: Where the fitted ground truth is kept; default: the user's cache folder.
            **kwargs: Of `DesignDataModule`.

        Raises:
            ConfigurationError: If the labels are of no such kind.
        """
        task: tasks.Task
        if labels == "measured":
            percentile = 100.0 if visible_percentile is None else visible_percentile
            task = tasks.MeasuredSuperconductors(path, representation, percentile, cache_dir)
        elif labels == "simulated":
            task = tasks.SimulatedSuperconductors(
                path,
                representation,
                80.0 if visible_percentile is None else visible_percentile,
                cache_dir,
                num_features,
                num_designs,
                noise_std,
            )
        else:
            raise ConfigurationError(f"data.labels must not be {labels!r}")
        super().__init__(task, **kwargs)
