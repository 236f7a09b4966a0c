from __future__ import annotations

import subprocess
import sys

import pytest

import lightning_mbo
from lightning_mbo import cli
from lightning_mbo.command_words import COMMANDS
from lightning_mbo.errors import ConfigurationError
from lightning_mbo.main import main, quick_answer

HEAVY = {"torch", "pytorch_lightning", "jsonargparse", "numpy", "pandas", "yaml"}


def imported(code: str, *words: str) -> set[str]:
    """Top-level modules that are there when another Python has run some code."""
    shown = (
        f"import sys\nsys.argv[1:] = {list(words)}\ntry:\n    {code}\n"
        "finally:\n    print('\\n'.join({name.partition('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", shown], capture_output=True, text=True)
    assert "lightning_mbo" in done.stdout, done.stderr
    return set(done.stdout.split("\n"))


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["-h"],
        ["--version"],
        [],
        ["fitt"],
        ["fit", "--config", "cbas_a.yaml"],
        ["benchmark", "-c", "tabel1.yaml"],
    ],
    ids=" ".join,
)
def test_quick_answers_import_no_torch(words: list[str]) -> None:
    assert not HEAVY & imported("from lightning_mbo.main import main; main()", *words)


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--help"])
    text = " ".join(capsys.readouterr().out.split())
    for command, what in COMMANDS.items():
        assert f"{command} {what}" in text
    assert "COMMAND --help" in text
    assert "fit --config toy.yaml" in text


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--version"])
    assert capsys.readouterr().out == f"lightning-mbo {lightning_mbo.__version__}\n"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], "error: give a command, one of fit, validate, test, predict, inspect,"),
        (["fitt"], "error: there is no command fitt. Did you mean fit?"),
        (["Benchmark"], "error: there is no command Benchmark. Did you mean benchmark?"),
        (["nothing"], "error: there is no command nothing: there are fit, validate"),
        (["fit", "--config=cbas_aff.yaml"], "error: there is no config cbas_aff.yaml, neither"),
        (["fit", "-c", "toy.yaml", "-c", "nix.yaml"], "error: there is no config nix.yaml,"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_mistakes_that_are_seen_at_once(words: list[str], expected: str) -> None:
    with pytest.raises(SystemExit) as ending:
        main(words)
    assert str(ending.value.code).startswith(expected)


@pytest.mark.parametrize(
    "words",
    [
        ["fit", "--config", "toy.yaml"],
        ["fit", "--help"],
        ["fit", "--config"],
        ["fit", "--config", "--search.num_samples", "5"],
        ["--config", "toy.yaml", "fit"],
        ["benchmark", "--config=table1.yaml"],
    ],
    ids=" ".join,
)
def test_all_else_is_left_to_the_command(words: list[str]) -> None:
    assert quick_answer(words) is None


def test_the_message_is_the_commands_own() -> None:
    with pytest.raises(ConfigurationError) as said:
        quick_answer(["fit", "--config=cbas_a.yaml"])
    with pytest.raises(SystemExit) as ending:
        cli.main(["fit", "--config=cbas_a.yaml"])
    assert ending.value.code == f"error: {said.value}"
