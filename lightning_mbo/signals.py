"""SIGTERM ends a process as Ctrl-C does: with one line, and the status that shells know it by."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_LATER = 0.1
"""Until a signal that has come too early is sent again, in seconds."""


class Signalled(KeyboardInterrupt):
    """A signal that ends the process; Lightning and others take it for Ctrl-C."""

    def __init__(self, signum: int) -> None:
        """Keep which one."""
        super().__init__(signum)
        self.signum = signum


def _raise(signum: int, frame: FrameType | None) -> None:
    if _is_importing(frame):
        # Compiled modules that are interrupted cannot be imported again, and others swallow it.
        again = threading.Timer(_LATER, os.kill, (os.getpid(), signum))
        again.daemon = True
        again.start()
        return
    raise Signalled(signum)


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if "importlib._bootstrap" in frame.f_code.co_filename:
            return True
        frame = frame.f_back
    return False


def listen(signum: int, handler: Callable[[int, FrameType | None], None] = _raise) -> None:
    """Have a signal handled, unless it is to be ignored or this is not the main thread.

    Args:
        signum: The signal.
        handler: What to do; default: raise `Signalled`, once nothing is being imported.
    """
    if (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signum) is not signal.SIG_IGN
    ):
        signal.signal(signum, handler)


@contextmanager
def ended_by_signals(
    *signums: int, last_words: Callable[[int], str] = lambda signum: ""
) -> Iterator[None]:
    """Within it, a signal ends the process with 128 and its number.

    Args:
        signums: Those that are waited for, besides SIGINT.
        last_words: From the signal, what to say after its name; called once the work is over.
    """
    before = {signum: signal.getsignal(signum) for signum in (*signums, signal.SIGINT)}
    for signum in before:
        listen(signum)
    try:
        yield
    except (KeyboardInterrupt, SystemExit) as ending:
        cause = _signal_behind(ending)
        if cause is None or getattr(ending, "code", None) == 128 + cause:
            raise
        print(f"ended by {signal.Signals(cause).name}{last_words(cause)}", file=sys.stderr)
        sys.exit(128 + cause)
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


def end_with(parent: int, grace: float = 0.0, last_words: str = "") -> None:
    """Have this process end when the one that started it has ended in any way, even before this.

    Args:
        parent: The number of the process that started this one.
        grace: How long it may go on by itself, in seconds.
        last_words: What it says when it has to be ended.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        time.sleep(grace)
        if last_words:
            print(last_words, file=sys.stderr, flush=True)
        # It may be waiting for something that never comes.
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
