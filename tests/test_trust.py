"""Of a config beside a checkpoint nothing is imported or called that is not trusted."""

from __future__ import annotations

import inspect
import sys
import typing
from pathlib import Path

import pandas
import pytest
import pytorch_lightning as pl
import yaml

import lightning_mbo.parsing
from lightning_mbo.errors import ConfigurationError
from lightning_mbo.tabular.predicates import Predicate
from lightning_mbo.trust import TEXTS, check_found, trusted_modules

MARKER = "from pathlib import Path\nPath('marker').write_text('imported')\n"
RULES = "def cold(table):\n    return table['t'] < 50\n"


@pytest.fixture(autouse=True)
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module in the working directory that leaves a file when it is imported."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    Path("marking.py").write_text(
        f"{MARKER}import os\nfrom subprocess import Popen\nclass Own:\n    pass\n{RULES}"
    )
    Path("run").mkdir()


def found(text: str, *trusted: str) -> Path:
    path = Path("run/config.yaml")
    path.write_text(text)
    check_found(path, trusted)
    return path


def refused(text: str, *trusted: str) -> str:
    with pytest.raises(ConfigurationError) as error:
        found(text, *trusted)
    message = str(error.value)
    assert "run/config.yaml" in message
    return message


NAMING = {
    "a class": "model: {class_path: marking.Own}",
    "a class of the standard library": "search: {class_path: subprocess.Popen}",
    "the end of a dotted key": "search.algorithm.class_path: marking.Own",
    "a nested class": "search: {init_args: {algorithm: {class_path: marking.Own}}}",
    "a text where a class is expected": "search: {init_args: {algorithm: marking.Own}}",
    "a list's entry": "trainer: {callbacks: [{class_path: marking.Own}]}",
    "a list's text": "trainer: {callbacks: [marking.Own]}",
    "what is added to a list": "trainer: {callbacks+: marking.Own}",
    "a logger": "trainer: {logger: {class_path: marking.Own}}",
    "a strategy": "trainer: {strategy: marking.Own}",
    "a class of Lightning's": (
        "trainer: {callbacks: [{class_path: pytorch_lightning.callbacks.LambdaCallback}]}"
    ),
    "one by its short name": "trainer: {callbacks: [{class_path: LambdaCallback}]}",
    "a short name alone": "trainer: {callbacks: [LambdaCallback]}",
    "any value of a column": "data: {init_args: {columns: {t: {class_path: marking.Own}}}}",
    "a text in a text": "data: {init_args: {columns: {t: '{\"class_path\": marking.Own}'}}}",
    "an escaped text": r'data: {init_args: {columns: "{t: {\"class\\x5fpath\": marking.Own}}"}}',
    "a quoted text": "trainer: {callbacks: [\"'marking.Own'\"]}",
    "a function": "data: {init_args: {feasible_if: marking.cold}}",
    "a function of the standard library": "data: {init_args: {feasible_if: os.getcwd}}",
    "an alias": "trainer: {callbacks: &a [{class_path: marking.Own}], logger: *a}",
    "a merged mapping": "x: &a {class_path: marking.Own}\nmodel: {<<: *a}",
    "what this package has from elsewhere": "model: {class_path: lightning_mbo.cli.Path}",
    "what is beside this package": "model: {class_path: lightning_mbo.marking.Own}",
}


@pytest.mark.parametrize("text", NAMING.values(), ids=NAMING.keys())
def test_what_is_not_trusted_is_refused_before_it_is_imported(text: str) -> None:
    refused(text)
    assert not Path("marker").exists()
    assert "marking" not in sys.modules


@pytest.mark.parametrize(
    "text",
    [
        "config: other.yaml",
        "trainer: {callbacks: !!set {marking.Own}}",
        "trainer: {callbacks: !!pairs [a: marking.Own]}",
        "weights_only: false",
        "data: {init_args: {feasible_if: [marking.cold]}}",
        "model: {class_path: [marking.Own]}",
    ],
)
def test_what_no_saved_config_holds_is_refused(text: str) -> None:
    refused(text)
    assert not Path("marker").exists()


@pytest.mark.parametrize("text", ["model: ./more", "trainer: {strategy: more}", "search: more.yml"])
@pytest.mark.parametrize("folder", [".", "run"])
def test_files_that_would_be_read_for_more_options_are_refused(text: str, folder: str) -> None:
    for name in ("more", "more.yml"):
        (Path(folder) / name).write_text("class_path: marking.Own\n")
    refused(text)


def test_the_message_says_what_and_where_and_the_flag() -> None:
    message = refused("data: {init_args: {feasible_if: my.rules.dry}}")
    for part in ("data.init_args.feasible_if is my.rules.dry", "--trust my.rules", "not of this"):
        assert part in message


def test_what_is_trusted_is_taken() -> None:
    found(
        "model: {class_path: marking.Own}\ndata: {init_args: {feasible_if: marking.cold}}",
        "marking",
    )
    assert Path("marker").exists()


@pytest.mark.parametrize(
    "name", ["marking.Popen", "marking.os.system", "marking.os.path.Own", "marking.Nothing"]
)
def test_a_trusted_module_is_not_trusted_for_what_it_imports(name: str) -> None:
    assert name in refused(f"model: {{class_path: {name}}}", "marking")


def test_a_module_that_begins_alike_is_not_trusted() -> None:
    refused("model: {class_path: marking2.Own}", "marking")
    refused("model: {class_path: marking.Own}", "marking.sub")


def test_a_trusted_module_that_fails_is_named() -> None:
    Path("broken.py").write_text("1 / 0\n")
    message = refused("model: {class_path: broken.Own}", "broken")
    assert "broken.Own" in message
    assert "division by zero" in message


def test_texts_are_texts() -> None:
    plain = {
        "path": "my.table.csv",
        "target": "yield.mean",
        "error_column": "os.system",
        "columns": {"a.b": {"follows": "c.d"}, "Solvent": {"fixed": "THF"}, "x": "[Ru]"},
        "constraints": ["a.b + c <= 3", "Total == 100"],
        "other_results": ["a.b"],
        "cache_dir": "a.b",
    }
    config = {
        "trainer": {"default_root_dir": "my.runs", "strategy": "ddp", "precision": "bf16-mixed"},
        "data": {"class_path": "lightning_mbo.CSV", "init_args": plain},
        "search": {"class_path": "GradientAscent"},
    }
    found(yaml.safe_dump(config))


def test_texts_in_texts_without_end_are_refused() -> None:
    text = yaml.safe_dump({"data": {"columns": {"t": f"- {'x' * 600_000}"}}}, width=10**7)
    assert "texts in texts" in refused(text)


def parts_of(hint: object) -> list[object]:
    inner = hint if isinstance(hint, list) else typing.get_args(hint)
    return [hint, *(part for one in inner for part in parts_of(one))]


LATE = {"pd": pandas, "Predicate": Predicate}
"""What is imported for type checkers only."""


def test_every_option_that_is_a_plain_text_is_known_as_one() -> None:
    """Lest a new one be taken for a class by its dots; and none of a class is among them."""
    modules = [m for key, m in sys.modules.items() if key.startswith("lightning_mbo.")]
    bases = (*lightning_mbo.parsing.GROUPS.values(), pl.Callback)
    classes = {c for m in modules for c in vars(m).values() if inspect.isclass(c)}
    texts, others = {"default_root_dir"}, set()
    for cls in classes:
        own = cls.__module__.startswith("lightning_mbo") and not cls.__name__.startswith("_")
        if not (own and issubclass(cls, bases)):
            continue
        for name, hint in typing.get_type_hints(cls.__init__, localns=LATE).items():
            parts = parts_of(hint)
            if str in parts or Path in parts:
                texts.add(name)
            elif any(inspect.isclass(part) and part.__module__ != "builtins" for part in parts):
                others.add(name)
    assert {"path", "target", "columns", "search_model"} <= texts | others
    assert texts - {"feasible_if"} <= TEXTS
    assert not TEXTS & others


def test_words_of_the_command_line() -> None:
    assert trusted_modules(["predict", "--ckpt_path", "x"]) == []
    assert trusted_modules(["predict", "--trust", "a,b.c", "--trust=d"]) == ["d", "a", "b.c"]
    with pytest.raises(ConfigurationError, match="names of modules"):
        trusted_modules(["predict", "--trust=a/b.py"])
