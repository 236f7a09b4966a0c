"""Keyed random numbers."""

from __future__ import annotations

import pytest
import torch

from lightning_mbo.random import Stream

KEYS = [("a",), ("b",), ("a", 0), ("a", 1), ("a", 0, 1), ("a", 1, 0), ("a", 10), ("a", 1, 0, 0)]


def draw(stream: Stream, purpose: str, *indices: int) -> tuple[float, ...]:
    return tuple(torch.rand(4, generator=stream.generator(purpose, *indices)).tolist())


def test_draws_are_a_function_of_seed_purpose_and_indices() -> None:
    draws = [draw(Stream(), *key) for key in KEYS]
    assert [draw(Stream(0), *key) for key in KEYS] == draws
    draws += [draw(Stream(1), *key) for key in KEYS]
    assert len(set(draws)) == 2 * len(KEYS)


def test_a_stream_within_another_is_independent_of_it() -> None:
    streams = [
        Stream(),
        Stream(1),
        *(stream.of(*key) for stream in (Stream(), Stream(1)) for key in KEYS),
    ]
    assert Stream().of("a", 1) == Stream(0).of("a", 1)
    assert len(set(streams)) == 2 + 2 * len(KEYS)
    assert len({draw(stream, "a", 1) for stream in streams}) == len(streams)
    assert len({draw(stream.of("a"), "a", 1) for stream in streams}) == len(streams)


def test_draws_do_not_depend_on_other_draws() -> None:
    first = draw(Stream(), "a", 3)
    torch.rand(5)
    draw(Stream(), "b", 3)
    assert draw(Stream(), "a", 3) == first


def test_neither_the_global_generator_nor_the_environment_matters(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before, first = torch.get_rng_state(), draw(Stream(), "a")
    assert torch.equal(before, torch.get_rng_state())
    monkeypatch.setenv("PL_GLOBAL_SEED", "1")
    torch.manual_seed(1)
    assert draw(Stream(), "a") == first


def test_draws_are_the_same_in_every_release() -> None:
    # Seed: the first 8 bytes of the SHA-256 of the representation of (0, 'shuffle', (7,)), halved.
    assert Stream().generator("shuffle", 7).initial_seed() == 0x62B6D576838486B6
