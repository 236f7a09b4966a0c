"""Keyed random numbers."""

from __future__ import annotations

import pytest
import pytorch_lightning as pl
import torch

from lightning_mbo.random import keyed_generator, run_seed


def draw(purpose: str, *indices: int) -> tuple[float, ...]:
    return tuple(torch.rand(4, generator=keyed_generator(purpose, *indices)).tolist())


def test_streams_are_a_function_of_seed_purpose_and_indices(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    keys = [("a",), ("b",), ("a", 0), ("a", 1), ("a", 0, 1), ("a", 1, 0), ("a", 10), ("a", 1, 0, 0)]
    draws = [draw(*key) for key in keys]
    assert [draw(*key) for key in keys] == draws
    monkeypatch.setenv("PL_GLOBAL_SEED", "1")
    draws += [draw(*key) for key in keys]
    assert len(set(draws)) == 2 * len(keys)


def test_streams_do_not_depend_on_other_draws() -> None:
    first = draw("a", 3)
    torch.rand(5)
    draw("b", 3)
    assert draw("a", 3) == first


def test_the_global_generator_is_left_alone() -> None:
    before = torch.get_rng_state()
    draw("a")
    assert torch.equal(before, torch.get_rng_state())


def test_streams_are_the_same_in_every_release() -> None:
    # Seed: the first 8 bytes of the SHA-256 of the representation of (0, 'shuffle', (7,)), halved.
    assert keyed_generator("shuffle", 7).initial_seed() == 0x62B6D576838486B6


def test_run_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run_seed() == 0
    pl.seed_everything(12, verbose=False)
    assert run_seed() == 12
    monkeypatch.delenv("PL_GLOBAL_SEED")
    torch.manual_seed(34)
    assert run_seed() == 34
