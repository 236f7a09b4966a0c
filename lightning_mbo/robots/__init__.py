"""Simulated robots: what a design is worth, by MuJoCo; no torch, so that processes start fast."""
