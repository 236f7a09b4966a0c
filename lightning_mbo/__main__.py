"""``python -m lightning_mbo``."""

from lightning_mbo.main import main

if __name__ == "__main__":
    main()
