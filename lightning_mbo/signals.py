"""SIGTERM ends a process as Ctrl-C does: with one line, and the status that shells know it by."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn


class Signalled(KeyboardInterrupt):
    """A signal that ends the process; Lightning and others take it for Ctrl-C."""

    def __init__(self, signum: int) -> None:
        """Keep which one."""
        super().__init__(signum)
        self.signum = signum


def listen(*signums: int) -> None:
    """Have signals raise `Signalled` in the main thread, wherever that is."""
    if threading.current_thread() is threading.main_thread():
        for signum in signums:
            signal.signal(signum, _raise)


def _raise(signum: int, frame: FrameType | None) -> NoReturn:
    raise Signalled(signum)


@contextmanager
def ended_by_signals(
    *signums: int, last_words: Callable[[int], str] = lambda signum: ""
) -> Iterator[None]:
    """Within it, a signal ends the process with 128 and its number.

    Args:
        signums: Those that are waited for, besides SIGINT.
        last_words: From the signal, what to say after its name; called once the work is over.
    """
    before = {signum: signal.getsignal(signum) for signum in signums}
    listen(*signums)
    try:
        yield
    except (KeyboardInterrupt, SystemExit) as ending:
        signum = _signal_behind(ending)
        if signum is None or getattr(ending, "code", None) == 128 + signum:
            raise
        print(f"ended by {signal.Signals(signum).name}{last_words(signum)}", file=sys.stderr)
        sys.exit(128 + signum)
    finally:
        if threading.current_thread() is threading.main_thread():
            for signum, handler in before.items():
                signal.signal(signum, handler)


def _signal_behind(error: BaseException | None) -> int | None:
    """What a process is about to end for, if that is a signal."""
    while error is not None:
        if isinstance(error, KeyboardInterrupt):
            return int(getattr(error, "signum", signal.SIGINT))
        # What was being handled when a process decided to end by itself has no part in it.
        error = error.__context__ if isinstance(error, SystemExit) else None
    return None
