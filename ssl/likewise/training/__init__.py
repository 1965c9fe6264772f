"""Losses, the one loop, pretraining, fine-tuning."""
