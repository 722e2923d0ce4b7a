"""CLI commands that need the platform installed."""
