"""Backbones, SimSiam, checkpoints."""
