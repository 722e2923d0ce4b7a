"""Deployed models in memory, predictions from them, batches between the two."""
