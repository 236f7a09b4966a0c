"""Design runs on sequences, as a user types them."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lightning_mbo.cli import main
from lightning_mbo.search_models import variational_autoencoder

LETTERS = "ACGT"
pytestmark = pytest.mark.usefixtures("blank_pages")


@pytest.fixture(scope="module")
def landscape(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All sequences of five letters, of which those with many T and A bind."""
    path = tmp_path_factory.mktemp("landscape") / "5mers.txt"
    lines = ["5-mer\t5-mer\tE-score\n"]
    for word in map("".join, itertools.product(LETTERS, repeat=5)):
        other = word.translate(str.maketrans(LETTERS, LETTERS[::-1]))[::-1]
        if word <= other:
            score = sum(x in "AT" for x in word) / 5 + 0.01 * LETTERS.index(word[2])
            lines.append(f"{word}\t{other}\t{score:.5f}\n")
    path.write_text("".join(lines))
    return path


@pytest.fixture
def options(landscape: Path) -> list[str]:
    return [
        "--config=tf_bind_8.yaml",
        f"--data.landscape={landscape}",
        "--model.hidden_sizes=[16]",
        "--model.learning_rate=0.01",
        "--search.num_samples=300",
        "--search.num_iterations=3",
        "--convergence.max_epochs=3",
        "--trainer.enable_progress_bar=false",
    ]


def fit(options: list[str], config: str, *more: str) -> Path:
    main(["fit", *options, f"--config={config}.yaml", *more])
    return max(Path("runs", config).glob("version_*"))


def test_the_config_for_sequences(landscape: Path) -> None:
    options = ["--model.num_channels=8", "--model.num_members=2", "--convergence.max_epochs=20"]
    small = ["--search.num_samples=300", "--search.num_iterations=5"]
    shown = f"--data.landscape={landscape}", "--trainer.enable_progress_bar=false"
    folder = fit([], "sequences", *options, *small, *shown)
    candidates = pd.read_csv(folder / "candidates.csv")
    # The best visible sequences have two letters A or T, which bind.
    assert candidates["sequence"][:10].str.count("[AT]").mean() > 2.5


@pytest.mark.parametrize("config", ["cbas_af", "dbas", "rwr_af", "fb_af", "cem_pi"])
def test_every_algorithm(config: str, options: list[str], landscape: Path) -> None:
    folder = fit(options, config)
    candidates = pd.read_csv(folder / "candidates.csv")
    known = pd.read_csv(landscape, sep="\t")
    assert set(candidates["sequence"]) <= set(known.iloc[:, 0]) | set(known.iloc[:, 1])
    assert candidates["sequence"].is_unique
    assert candidates["oracle_mean"].is_monotonic_decreasing
    assert np.isfinite(candidates.select_dtypes("number")).all(axis=None)
    trajectory = pd.read_csv(folder / "trajectory.csv")
    assert np.isfinite(trajectory).all(axis=None)
    assert trajectory["oracle_refitted"].tolist() == [float(config.endswith("_af"))] * 3


def test_what_is_written_of_a_candidate(options: list[str]) -> None:
    every = ["--data.visible_percentile=100", "--search.num_iterations=1"]
    folder = fit(options, "dbas", *every, "--keep_known=true")
    candidates = pd.read_csv(folder / "candidates.csv")
    assert list(candidates.columns)[-3:] == ["nearest_sequence", "nearest_score", "sequence"]
    # Every sequence is known, the more so the best.
    assert candidates["nearest_sequence"].tolist() == candidates["sequence"].tolist()
    assert candidates["nearest_score"].iloc[:10].mean() > 0.8
    assert (candidates["log_prob_search_model"] < 0).all()


@pytest.mark.filterwarnings("default:all that can be chosen from are designs")
def test_what_is_known_is_no_candidate(
    options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    quiet = "--trainer.enable_progress_bar=false"
    every = ["--data.visible_percentile=100", "--search.num_iterations=1"]
    folder = fit([option for option in options if option != quiet], "dbas", *every)
    assert (
        "there is no candidate. To hand them out give --keep_known true" in capsys.readouterr().err
    )
    assert (folder / "candidates.csv").read_text().startswith("oracle_mean,")
    assert len((folder / "candidates.csv").read_text().splitlines()) == 1


def test_a_batch(options: list[str], landscape: Path) -> None:
    folder = fit(options, "dbas", "--num_candidates=12")
    batch = pd.read_csv(folder / "candidates.csv")
    assert len(batch) == 12
    assert batch["sequence"].is_unique
    assert batch["oracle_mean"].is_monotonic_decreasing
    # The half that binds better is hidden, the other is known.
    known = pd.read_csv(landscape, sep="\t").sort_values("E-score")
    assert not set(batch["sequence"]) & set(known.iloc[: len(known) // 2 - 40, 0])


def test_the_summary_shows_sequences(
    options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    quiet = "--trainer.enable_progress_bar=false"
    folder = fit([option for option in options if option != quiet], "dbas")
    best = pd.read_csv(folder / "candidates.csv").iloc[0]
    assert str(best["sequence"]) in capsys.readouterr().out


def test_a_resumed_run_is_the_straight_run(options: list[str]) -> None:
    straight = fit(options, "cbas_af")
    fit(options, "cbas_af", "--search.num_iterations=1")
    resumed = fit(options, "cbas_af", "--ckpt_path=last")
    assert resumed != straight
    for name in ("candidates.csv", "trajectory.csv"):
        assert (resumed / name).read_bytes() == (straight / name).read_bytes()


def test_test_and_predict(options: list[str]) -> None:
    folder = fit(options, "dbas")
    main(["test", f"--ckpt_path={folder}"])
    scores = pd.read_csv(folder / "scores.csv", index_col=0)
    assert scores.loc["search", "median"] > scores.loc["training distribution", "median"]
    main(["predict", f"--ckpt_path={folder}", "--num_candidates=5"])
    predicted = pd.read_csv(folder / "predicted_candidates.csv")
    assert len(predicted) == 5
    assert predicted["sequence"].is_unique


@pytest.mark.parametrize(
    ("option", "parts"),
    [
        ("--search.search_model=MultivariateNormal", ["(5, 4)", "leave --search.search_model out"]),
        (
            "--search.search_model.pseudocount=0",
            ["give search_model Categorical or"],
        ),
        ("--data.landscape=nowhere.txt", ["nowhere.txt is missing", "data.landscape"]),
        ("--data.visible_percentile=0", ["data.visible_percentile", "(0, 100]"]),
        ("--data.landscap=5mers.txt", ["landscap", "mean landscape?"]),
        ("--data.path=5mers.txt", ["'path' is not accepted"]),
    ],
)
def test_mistakes(option: str, parts: list[str], options: list[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        fit(options, "cbas", option)
    message = str(stop.value.code)
    assert message.startswith("error: ")
    assert "\n" not in message
    assert all(part in message for part in parts), message
    assert "mean path?" not in message


def test_the_search_model_can_be_given(options: list[str]) -> None:
    model = ["--search.search_model=Categorical", "--search.search_model.pseudocount=0"]
    with pytest.raises(SystemExit, match="pseudocount must be positive"):
        fit(options, "cbas", *model)


def test_an_ascent_ends_on_sequences(landscape: Path) -> None:
    main(
        [
            "fit",
            "--config=coms_tf_bind_8.yaml",
            f"--data.landscape={landscape}",
            "--model.hidden_sizes=[16]",
            "--search.num_starts=30",
            "--search.num_steps=5",
            "--convergence.max_epochs=3",
            "--trainer.enable_progress_bar=false",
        ]
    )
    folder = Path("runs/coms_tf_bind_8/version_0")
    candidates = pd.read_csv(folder / "candidates.csv")
    assert candidates["sequence"].is_unique
    assert 0 < len(candidates) <= 30
    assert set("".join(candidates["sequence"])) <= set(LETTERS)
    ascent = pd.read_csv(folder / "ascent.csv")
    assert ascent["step"].tolist() == list(range(6))
    assert np.isfinite(ascent).all(axis=None)


@pytest.mark.parametrize("model", ["Potts", "HiddenMarkov", "VariationalAutoencoder"])
def test_search_models_of_words_of_different_lengths(
    model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(variational_autoencoder, "FIRST_STEPS", 300)
    monkeypatch.setattr(variational_autoencoder, "_FURTHER_STEPS", 200)
    rng = np.random.default_rng(0)
    words = ["".join(rng.choice(list(LETTERS), size=rng.integers(3, 8))) for _ in range(150)]
    label = [word.count("AC") + word.count("G") / 2 for word in words]
    pd.DataFrame({"word": words, "label": label}).to_csv("words.csv", index=False)
    options = [
        "--data=CSV",
        "--data.path=words.csv",
        "--data.target=label",
        "--model.hidden_sizes=[16]",
        "--model.learning_rate=0.01",
        "--search.num_samples=300",
        "--convergence.max_epochs=10",
        f"--search.search_model={model}",
    ]
    whole = pd.read_csv(fit(options, "cbas", "--search.num_iterations=3") / "candidates.csv")
    assert whole["word"].str.fullmatch("[ACGT]{1,7}").all()
    assert whole["word"].str.len().nunique() > 1
    found = whole["word"].str.count("AC") + whole["word"].str.count("G") / 2
    assert found.mean() > np.mean(label)
    # A refit goes on from what the checkpoint holds of the model before it.
    fit(options, "cbas", "--search.num_iterations=1")
    resumed = fit(options, "cbas", "--search.num_iterations=3", "--ckpt_path=last")
    pd.testing.assert_frame_equal(pd.read_csv(resumed / "candidates.csv"), whole)
