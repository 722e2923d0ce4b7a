"""CLI commands that need the platform installed."""

from __future__ import annotations

from importlib.util import find_spec

import typer


def register(app: typer.Typer) -> None:
    """Join the CLI. Each command imports its world only when it is called.

    Raises:
        ModuleNotFoundError: this is a light install; the CLI then says what to install.
    """
    if find_spec("sqlalchemy") is None:
        raise ModuleNotFoundError("the extra `server` is not installed")
    from synapsenet_servers.commands import backups, certificates, demonstrate, develop, outbox, serve, tokens, torturing, up

    app.command("dev")(develop.dev)
    app.command("demo")(demonstrate.demo)
    app.command("up")(up.up)
    app.command("serve")(serve.serve)
    app.command("backup")(backups.backup)
    app.command("restore")(backups.restore)
    app.add_typer(certificates.app, name="certs")
    app.add_typer(tokens.app, name="tokens")
    app.add_typer(outbox.app, name="outbox")
    (lifecycle,) = (group.typer_instance for group in app.registered_groups if group.name == "lifecycle")
    if lifecycle is not None:
        lifecycle.command("torture")(torturing.torture)
