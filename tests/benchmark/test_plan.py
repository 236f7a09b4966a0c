"""Which runs a benchmark has, and what tells them apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from lightning_mbo.benchmark.plan import Benchmark, Run
from lightning_mbo.errors import ConfigurationError

METHODS = {"A": "a.yaml", "B": {"config": "b.yaml", "search.num_samples": 9}}
ARMS = {"off": {"autofocus.enabled": False}, "on": {"autofocus.alpha": 0.2}}


def parse_fit(words: Sequence[str]) -> dict[str, Any]:
    """Options as they were given, in groups; the last of a name wins."""
    options: dict[str, Any] = {}
    for word in words:
        name, _, value = word.removeprefix("--").partition("=")
        group, _, rest = name.partition(".")
        options.setdefault(group, {})[rest] = value
    # What a config file would bring.
    options["search"] = {"algorithm": options["config"][""]} | options.get("search", {})
    return options


def runs_of(**settings: Any) -> list[Run]:
    return Benchmark(**{"methods": METHODS, "arms": ARMS, "num_trials": 2} | settings).runs(
        parse_fit
    )


def test_all_combinations_trial_by_trial() -> None:
    runs = runs_of(grid={"data.n": [10, 20]})
    seen = [(run.trial, run.method, run.cell["data.n"], run.arm) for run in runs]
    assert seen == [
        (trial, method, n, arm)
        for trial in (0, 1)
        for method in ("A", "B")
        for n in (10, 20)
        for arm in ("off", "on")
    ]
    assert len({run.name for run in runs}) == len(runs)


def test_words_of_a_run() -> None:
    runs = runs_of(grid={"model.sizes": [[4, 4]]}, options={"data.path": "x.csv"}, num_trials=3)
    assert runs[-1].words == [
        "--config=b.yaml",
        "--search.num_samples=9",
        "--data.path=x.csv",
        "--autofocus.alpha=0.2",
        "--model.sizes=[4, 4]",
        "--seed_everything=2",
    ]
    assert runs[-1].cell == {"model.sizes": "[4, 4]"}


@pytest.mark.parametrize("several", [["a.yaml", "b.yaml"], {"config": ["a.yaml", "b.yaml"]}])
def test_a_method_of_several_configs(several: Any) -> None:
    runs = runs_of(methods={"AB": several}, arms={"off": ARMS["off"]}, num_trials=1)
    assert runs[0].words[:2] == ["--config=a.yaml", "--config=b.yaml"]


def test_the_key_follows_options_and_not_names_or_trials() -> None:
    keys = {run.key for run in runs_of()}
    assert len(keys) == 4
    renamed = runs_of(
        methods={"C": METHODS["A"], "D": METHODS["B"]},
        arms={"0": ARMS["off"], "1": ARMS["on"]},
    )
    assert {run.key for run in renamed} == keys
    assert not keys & {run.key for run in runs_of(options={"search.num_iterations": 3})}


def test_the_size_of_the_batch_is_part_of_the_key() -> None:
    keys = {run.key for run in runs_of()}
    assert not keys & {run.key for run in runs_of(options={"num_candidates": 24})}
    assert keys == {run.key for run in runs_of(options={"escape_formulas": True})}


def test_some_of_the_methods() -> None:
    methods = {"a, 50 rows": "a.yaml", "a, 200 rows": "b.yaml", "b, 50 rows": "c.yaml"}
    runs = runs_of(methods=methods, only="*, 50 rows", num_trials=1)
    assert {run.method for run in runs} == {"a, 50 rows", "b, 50 rows"}
    whole = runs_of(methods=methods, num_trials=1)
    assert {run.key for run in runs} < {run.key for run in whole}


TASKS = {
    "easy": {"data.n": 1},
    "hard": {"data.n": 2, "methods": {"A": ["a.yaml", "letters.yaml"], "B": None}},
}


def test_each_method_on_each_task_where_nothing_else_is_said() -> None:
    plan = Benchmark(METHODS, TASKS, num_trials=1)
    assert plan.cell_names == ["task"]
    runs = {(run.method, run.cell["task"]): run.words[:-1] for run in plan.runs(parse_fit)}
    assert runs == {
        ("A", "easy"): ["--config=a.yaml", "--data.n=1"],
        ("A", "hard"): ["--config=a.yaml", "--config=letters.yaml", "--data.n=2"],
        ("B", "easy"): ["--config=b.yaml", "--search.num_samples=9", "--data.n=1"],
    }


def test_tasks_go_with_arms_and_a_grid_and_the_command_line_wins() -> None:
    runs = runs_of(tasks=TASKS, grid={"search.k": [1, 2]}, options={"data.n": 7}, num_trials=1)
    assert len(runs) == 3 * 2 * 2
    assert [list(run.cell) for run in runs] == [["task", "search.k"]] * len(runs)
    for run in runs:
        own = TASKS[run.cell["task"]]["data.n"]
        assert run.words.index("--data.n=7") > run.words.index(f"--data.n={own}")
    assert len({run.name for run in runs}) == len(runs)


def test_some_methods_on_some_tasks() -> None:
    runs = runs_of(tasks=TASKS, only="*, hard", num_trials=1)
    assert {(run.method, run.cell["task"]) for run in runs} == {("A", "hard")}
    with pytest.raises(ConfigurationError, match="only B, hard: no method"):
        runs_of(tasks=TASKS, only="B, hard")


def test_a_task_cannot_change_a_method_that_is_not_there() -> None:
    with pytest.raises(ConfigurationError, match=r"tasks\.easy\.methods: there is no method C"):
        Benchmark(METHODS, {"easy": {"methods": {"C": "c.yaml"}}})


def test_a_group_is_the_first_that_fits() -> None:
    plan = Benchmark(METHODS, groups={"cliff": "*, cliff", "smooth": "f*"})
    assert [plan.group_of(name) for name in ("f, cliff", "f", "g")] == ["cliff", "smooth", ""]
    assert Benchmark(METHODS).group_of("A") == ""


def test_methods_and_arms_share_an_initial_oracle_unless_model_or_data_differ() -> None:
    assert len({run.oracle_key for run in runs_of()}) == 1
    for option in ("model.num_members", "data.batch_size", "convergence.patience"):
        assert len({run.oracle_key for run in runs_of(grid={option: [1, 2]})}) == 2
    assert len({run.oracle_key for run in runs_of(grid={"search.num_iterations": [1, 2]})}) == 1


def test_two_runs_that_are_the_same_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="A off trial 0 and A again trial 0"):
        runs_of(arms=ARMS | {"again": ARMS["off"]})


@pytest.mark.parametrize("option", ["seed_everything", "ckpt_path"])
def test_what_a_trial_decides_cannot_be_given(option: str) -> None:
    with pytest.raises(ConfigurationError, match=f"--{option} does not go with benchmark"):
        runs_of(options={option: 1})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"methods": {}}, "needs methods"),
        ({"only": "C*"}, r"only C\*: no method has such a name"),
        ({"num_trials": 0}, "num_trials must be at least 1, not 0"),
        ({"num_processes": 0}, "num_processes must be at least 1, not 0"),
    ],
)
def test_impossible_settings(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        runs_of(**settings)
