"""``python -m lightning_mbo``."""

from __future__ import annotations

from lightning_mbo.cli import main

if __name__ == "__main__":
    main()
