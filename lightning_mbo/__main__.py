"""``python -m lightning_mbo``."""

from __future__ import annotations

import signal

from lightning_mbo.signals import ended_by_signals


def main() -> None:
    """Run the command line; a signal ends it with one line from the beginning on."""
    with ended_by_signals(signal.SIGTERM):
        # Not before: torch takes seconds to import.
        from lightning_mbo.cli import main as command_line

        command_line()


if __name__ == "__main__":
    main()
