"""Commands that the platform brings (`dev`, `demo`, `serve` …) and what is said where it is not installed."""

from __future__ import annotations

from importlib.metadata import entry_points

import typer

from synapsenet_cli.output import complain

GROUP = "synapsenet.commands"
INSTALL = 'pip install "synapsenet[server]"'
COMMANDS = {
    "dev": "Run the whole platform on this machine.",
    "demo": "Run the platform's main job end to end on real data.",
    "serve": "Run one or several roles of the platform.",
    "up": "Run the cluster profile on this machine, for trying it out.",
    "certs": "Make, show and renew the certificates of a cluster.",
    "tokens": "Create, list and revoke the bearer tokens of a cluster.",
}


def join_platform(app: typer.Typer) -> None:
    """Let each installed entry point of the group register its commands; stand in for those that are not there."""
    for entry in entry_points(group=GROUP):
        try:
            entry.load()(app)
        except ModuleNotFoundError:
            continue  # the platform's own dependencies are missing: it is a light install
        except Exception as problem:  # noqa: BLE001  # a broken plug-in must not take the other commands away
            complain(f"the commands of {entry.name} could not be loaded ({type(problem).__name__}: {problem}): reinstall it")
    present = {command.name for command in app.registered_commands} | {group.name for group in app.registered_groups}
    for name, purpose in COMMANDS.items():
        if name not in present:
            _stand_in(app, name, purpose)


def _stand_in(app: typer.Typer, name: str, purpose: str) -> None:
    def missing() -> None:
        complain(f"`synapsenet {name}` needs the platform, and only the SDK is installed: {INSTALL}")
        raise typer.Exit(1)

    missing.__doc__ = f"{purpose} Needs the platform: {INSTALL}"
    app.command(name, context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(missing)
