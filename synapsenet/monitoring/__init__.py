"""Monitoring: how fresh features are, measured against what their groups promise."""
