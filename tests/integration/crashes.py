"""Runs that end in the middle of a hook."""

from __future__ import annotations

import pytest


class Crash(BaseException):
    """As sudden as an exception can be: nothing in Lightning handles it as an interrupt."""


def crash_at(monkeypatch: pytest.MonkeyPatch, hook: str, count: int, owner: type) -> None:
    """Make the `count`-th call of a hook crash."""
    original = getattr(owner, hook)
    calls = iter(range(count + 1))

    def crashing(self, *args, **kwargs):
        if next(calls, 0) == count:
            raise Crash
        return original(self, *args, **kwargs)

    monkeypatch.setattr(owner, hook, crashing)
