"""Experiments: what was tried, what came of it step by step, and what can be said of the difference."""
