"""CLI commands that need the platform installed."""

from __future__ import annotations

import typer


def register(app: typer.Typer) -> None:
    """Join the CLI. Each command imports its world only when it is called."""
    from synapsenet_servers.commands import demonstrate, develop

    app.command("dev")(develop.dev)
    app.command("demo")(demonstrate.demo)
