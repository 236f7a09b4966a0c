"""What is wanted of a table of the user's own: one property, or several results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Self

from lightning_mbo.errors import ConfigurationError, did_you_mean
from lightning_mbo.goals import Goal, parse_goals


class Wanted(NamedTuple):
    """What is sought after, and how exactly it was measured.

    Attributes:
        goals: Of several results; none where one property is maximised or minimised.
        target: The column of what is measured; of several results what they come to.
        sign: 1, or -1 where the target is to be small.
        error_columns: By what they are the errors of.
    """

    goals: tuple[Goal, ...]
    target: str
    sign: int
    error_columns: dict[str, str]

    @classmethod
    def of(
        cls,
        target: str | None,
        targets: Mapping[str, str] | None,
        maximize: bool,
        error_column: Mapping[str, str] | str | None,
    ) -> Self:
        """Bring together what the user says; see `CSV` for each.

        Raises:
            ConfigurationError: If nothing is wanted, or what is said does not go together.
        """
        from lightning_mbo.tabular.several_results import ADVANCE

        goals = () if targets is None else parse_goals(_with_target(targets, target, maximize))
        error_columns = _error_columns(error_column, target, goals)
        if len(goals) == 1 and not goals[0].is_limit:  # as if said so
            target, maximize = goals[0].name, goals[0].sign > 0
            goals = ()
        if goals:
            target = ADVANCE
        if target is None:
            raise ConfigurationError(
                "give --data.target, the column of what is measured, or for several --data.targets "
                "with what is wanted of each"
            )
        return cls(goals, target, 1 if maximize else -1, error_columns)

    @property
    def property_name(self) -> str:
        """What is maximised, with its unit."""
        if self.goals:
            return f"{self.target} beyond the best rows (standard deviations)"
        return self.target if self.sign > 0 else f"negative {self.target}"

    @property
    def columns_of_goals(self) -> list[str]:
        """Those of several results, which are no part of a design, and of their errors."""
        names = [goal.name for goal in self.goals]
        return [*names, *self.error_columns.values()] if names else []


def _with_target(
    targets: Mapping[str, str], target: str | None, maximize: bool
) -> Mapping[str, str]:
    """What is wanted of each of several results, of which one may be given by itself.

    Raises:
        ConfigurationError: If two things are wanted of it, or one of nothing.
    """
    if target is None and not maximize:
        raise ConfigurationError(
            "data.maximize is of data.target: in data.targets give minimize to what is to be small"
        )
    if target is None or (target in targets and maximize):
        return targets
    if target in targets:
        raise ConfigurationError(
            f"data.targets says what is wanted of {target!r}: leave data.maximize out"
        )
    return {target: "maximize" if maximize else "minimize", **targets}


def _error_columns(
    given: Mapping[str, str] | str | None, target: str | None, goals: Sequence[Goal]
) -> dict[str, str]:
    """The columns of errors, by what they are errors of.

    Raises:
        ConfigurationError: If it is not said of which of several, or of what is no target.
    """
    from lightning_mbo.tabular.column_roles import figures_of_results

    names = [goal.name for goal in goals] or ([] if target is None else [target])
    if isinstance(given, str):
        given = {names[0]: given} if len(names) == 1 else given
    if given is None:
        return {}
    if isinstance(given, str):
        raise ConfigurationError(
            f"data.error_column: say of which of data.targets {given!r} is, as in "
            f"'{{{names[0] if names else 'yield'}: {given}}}'"
        )
    for name, column in given.items():
        if name not in names:
            raise ConfigurationError(
                f"data.error_column: {name!r} is no target{did_you_mean(name, names)}"
            )
        if goals and column in figures_of_results(names):
            raise ConfigurationError(
                f"data.error_column: candidates.csv has a figure of the name {column!r}. Rename "
                "the column"
            )
    return dict(given)
