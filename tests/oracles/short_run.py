"""A short run of an oracle with a trainer that writes nothing."""

from __future__ import annotations

import importlib

import pytorch_lightning as pl

from lightning_mbo.data import DesignDataModule
from lightning_mbo.oracles import Oracle

callbacks = importlib.import_module("lightning_mbo.callbacks")


def trained(oracle: Oracle, data: DesignDataModule) -> pl.Trainer:
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=2,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        callbacks=[callbacks.OracleConvergence(max_epochs=2)],
    )
    trainer.fit(oracle, datamodule=data)
    return trainer
