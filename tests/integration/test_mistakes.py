"""A mistake of the user's ends in one line that names it and the fix, and leaves all as it was."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from lightning_mbo.cli import main


def failing(args: list[str]) -> str:
    with pytest.raises(SystemExit) as stop:
        main(args)
    message = str(stop.value.code)
    assert message.startswith("error: ")
    assert "\n" not in message
    assert not list(Path("runs").rglob("version_*"))
    return message


@pytest.fixture
def fit(small_run: list[str]) -> Callable[..., str]:
    return lambda *more: failing(["fit", "--config=cbas_af.yaml", *small_run, *more])


@pytest.mark.parametrize(
    ("args", "parts"),
    [
        ([], ["subcommand", "fit,validate,test,predict"]),
        (["fitt"], ["'fitt'", "'fit'"]),
        (["fit"], ["algorithm", "--config cbas_af.yaml"]),
        (["fit", "--config"], ["--config", "expected one argument"]),
        (["fit", "--config=cbas_aff.yaml"], ["no config cbas_aff.yaml", "mean cbas_af.yaml"]),
        (
            ["fit", "--config=table1.yaml"],
            ["table1.yaml is a config of benchmark: ", "benchmark --config table1.yaml"],
        ),
        (
            ["benchmark", "--config=tabel1.yaml"],
            ["no config tabel1.yaml", "mean table1.yaml"],
        ),
        (
            ["benchmark", "--config=toy_af.yaml"],
            ["toy_af.yaml is a config of fit: ", "fit --config toy_af.yaml."],
        ),
        (["test", "--config=cbas.yaml"], ["give --ckpt_path"]),
        (["predict", "--ckpt_path=nowhere"], ["no checkpoint nowhere"]),
        (["predict", "--config=cbas.yaml", "--ckpt_path=best"], ["no run in", "run fit first"]),
    ],
)
def test_command_line(args: list[str], parts: list[str]) -> None:
    message = failing(args)
    assert all(part in message for part in parts), message


@pytest.mark.parametrize(
    ("option", "parts"),
    [
        ("--serch.num_samples=3", ["--serch.num_samples", "mean --search.num_samples "]),
        ("--search.num_sample=3", ["'num_sample'", "mean num_samples"]),
        ("--model.hiden_sizes=[3]", ["hiden_sizes", "mean hidden_sizes?"]),
        ("--model=DeepEnsembel", ["model", "no class DeepEnsembel", "mean DeepEnsemble"]),
        ("--search.algorithm=CbAZ", ["algorithm", "CbAZ", "mean CbAS?"]),
        ("--search=GradientAscnt", ["search", "GradientAscnt", "mean GradientAscent?"]),
        ("--data=Superconductors", ["data", "Superconductors", "mean Superconductor?"]),
        ("--search.num_samples=many", ["num_samples", "int", "'many'"]),
        ("--search.num_samples=1", ["search.num_samples", "at least 2", "1"]),
        ("--search.num_iterations=0", ["search.num_iterations", "at least 1"]),
        ("--search.search_model=CMANormal", ["CbAS", "CMANormal", "CMAES"]),
        ("--data.labels=guess", ["labels", "'simulated', 'measured'", "'guess'"]),
        ("--data.batch_size=0", ["data.batch_size", "at least 1"]),
        ("--data.held_out_fraction=2", ["data.held_out_fraction", "[0, 1)", "2"]),
        ("--data.held_out_fracton=0.1", ["held_out_fracton", "mean held_out_fraction?"]),
        ("--data.held_out=best", ["held_out", "'random', 'top'", "'best'"]),
        ("--search.select=luck", ["select", "'promise', 'held_out_likelihood'", "'luck'"]),
        ("--search.select=held_out_likelihood", ["search.select", "--data.held_out_fraction"]),
        ("--model.learning_rate=-0.1", ["model.learning_rate", "positive", "-0.1"]),
        ("--seed_everything=-1", ["seed_everything", "0 to 2^32 - 1", "-1"]),
        ("--trainer.accelerator=foo", ["accelerator", "'foo'"]),
        ("--trainer.strategy=foo", ["strategy", "'foo'"]),
        ("--trainer.devices=-1", ["devices", "int > 0"]),
        ("--model.num_members=0", ["model.num_members", "at least 1"]),
        ("--autofocus.alpha=1.5", ["autofocus.alpha", "[0, 1]", "1.5"]),
        ("--autofocus.alpha=-0.1", ["autofocus.alpha", "[0, 1]", "-0.1"]),
        ("--autofocus.alpha=much", ["autofocus.alpha", "float", "'much'"]),
        ("--autofocus.min_effective_sample_size=50", ["share", "[0, 1]", "50"]),
        ("--autofocus.ratio=best", ["autofocus.ratio", "'exact', 'classifier'", "'best'"]),
        ("--search=ModelInversion", ["ModelInversion", "give --autofocus.ratio classifier"]),
        ("--convergence.patience=0", ["convergence.patience", "at least 1"]),
        ("--num_candidates=0", ["num_candidates", "at least 1"]),
        ("--model.learning_rate=0", ["model.learning_rate", "positive", "0.0"]),
        ("--model.learning_rate=-1", ["model.learning_rate", "positive", "-1.0"]),
        ("--model.learning_rate=null", ["model.learning_rate", "not be null", "float"]),
        ("--trainer.num_nodes=0", ["trainer", "num_nodes"]),
        ("--model=CbAS", ["model: CbAS is not of the kind Oracle", "DeepEnsemble"]),
        ("--search.algorithm=lightning_mbo.CSV", ["of the kind Algorithm", "CbAS, DbAS"]),
        ("--trainer.default_root_dir=/dev/null", ["/dev/null", "--trainer.default_root_dir"]),
        ("--trainer.accumulate_grad_batches=2", ["accumulate_grad_batches=2"]),
        ("--ckpt_path=missing.ckpt", ["no checkpoint missing.ckpt"]),
    ],
)
def test_option(option: str, parts: list[str], fit: Callable[..., str]) -> None:
    message = fit(option)
    assert all(part in message for part in parts), message


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("model: DeepEnsemble\ndata: [\n", ["config", "line 3"]),
        ("search:\n  algoritm: CbAS\n", ["algoritm", "mean algorithm?"]),
        ("search: 3\n", ["search must be a class of the kind Search", "GradientAscent"]),
        (
            "search: {algorithm: {class_path: CbAS, init_args: {quantile: null}}}\n",
            ["search.algorithm.quantile must not be null", "float"],
        ),
        ("search: {algorithm: CbAS}\nautofocus:\n", ["autofocus is empty"]),
        ("autofocus: 0.2\nsearch: {algorithm: CbAS}\n", ["autofocus is a group", "not 0.2"]),
    ],
)
def test_config(text: str, parts: list[str]) -> None:
    Path("my.yaml").write_text(text)
    message = failing(["fit", "--config=my.yaml"])
    assert all(part in message for part in parts), message


@pytest.mark.parametrize(
    ("edit", "parts"),
    [
        (lambda rows: rows.insert(5, "MgB2,cold"), ["critical_temp", "row 5", "'cold'"]),
        (lambda rows: rows.insert(5, "MgB2,"), ["critical_temp", "row 5", "empty"]),
        (lambda rows: rows.insert(5, "MgB2,inf"), ["critical_temp", "row 5", "'inf'"]),
        (lambda rows: rows.insert(5, "MgBx2,39"), ["formula", "row 5", "MgBx2", "'Bx'"]),
        (lambda rows: rows.insert(5, ",39"), ["formula", "row 5", "empty"]),
        (lambda rows: rows.insert(5, "MgB2,39,1"), ["line 6"]),
        (lambda rows: rows.__setitem__(0, "name,tc"), ["lacks the columns formula, critical"]),
        (lambda rows: rows.__delitem__(slice(4, None)), ["has 3 rows", "at least 10"]),
        (lambda rows: rows.__delitem__(slice(1, None)), ["a header and no rows"]),
        (lambda rows: rows.clear(), ["empty"]),
        (
            lambda rows: rows.__setitem__(slice(1, None), [f"Mg{i}B2,39" for i in range(1, 40)]),
            ["critical_temp", "all 39 entries are equal"],
        ),
        (
            lambda rows: rows.__setitem__(slice(1, None), [f"MgB2,{i}" for i in range(1, 40)]),
            ["all columns are constant"],
        ),
    ],
)
def test_table(
    edit: Callable[[list[str]], None],
    parts: list[str],
    small_table: Path,
    fit: Callable[..., str],
) -> None:
    rows = small_table.read_text().splitlines()
    edit(rows)
    Path("edited.csv").write_text("".join(f"{row}\n" for row in rows))
    message = fit("--data.path=edited.csv")
    assert all(part in message for part in ["edited.csv", *parts]), message


@pytest.fixture(scope="module")
def checkpoint(small_run: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("run")
    options = [f"--trainer.default_root_dir={root}", "--search.num_iterations=1"]
    main(["fit", "--config=cbas_af.yaml", *small_run, *options])
    return root / "cbas_af" / "version_0" / "checkpoints" / "best.ckpt"


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        (lambda whole: whole[:5000], ["truncated"]),
        (lambda whole: b"", ["truncated"]),
        (lambda whole: b"not a checkpoint", ["truncated or something else"]),
        (lambda whole: pickle.dumps(print), ["truncated or something else"]),
    ],
)
def test_damaged_checkpoint(
    content: Callable[[bytes], bytes], parts: list[str], checkpoint: Path, fit: Callable[..., str]
) -> None:
    Path("damaged.ckpt").write_bytes(content(checkpoint.read_bytes()))
    message = fit("--ckpt_path=damaged.ckpt")
    assert all(part in message for part in ["damaged.ckpt", *parts]), message


def test_a_torch_file_that_is_no_checkpoint(fit: Callable[..., str]) -> None:
    torch.save({"weights": torch.zeros(3)}, "weights.ckpt")
    assert "not a checkpoint of a run" in fit("--ckpt_path=weights.ckpt")


@pytest.mark.parametrize(
    ("option", "part"),
    [
        ("--model.hidden_sizes=[17]", "network.biases.0 is (3, 1, 16) in it and (3, 1, 17)"),
        ("--model.num_members=2", "(3, 1, 16) in it and (2, 1, 16)"),
        ("--model.hidden_sizes=[16,16]", "network.biases.1 is (3, 1, 2) in it and (3, 1, 16)"),
        ("--data.num_features=7", "(3, 8, 16) in it and (3, 7, 16)"),
    ],
)
def test_checkpoint_of_another_architecture(
    option: str, part: str, checkpoint: Path, fit: Callable[..., str]
) -> None:
    message = fit(f"--ckpt_path={checkpoint}", option)
    assert "another architecture" in message
    assert part in message
