"""`synapsenet`: puts the commands together, and turns errors into one sentence and an exit code."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from synapsenet_cli import exits, experiments, features, inference, lifecycle, models, monitoring, registry, training
from synapsenet_cli.output import complain
from synapsenet_cli.platform_commands import join_platform
from synapsenet_cli.session import Json, Settings, Target, Timeout

_EXIT_CODES = "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 to 18 by the class of the error (docs/cli.md), 130 interrupted."


def build() -> typer.Typer:
    """The app with all commands of this installation."""
    app = typer.Typer(
        help="SynapseNet: features, training, experiments, registry and inference.",
        epilog=_EXIT_CODES,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    app.callback()(_settle)
    app.add_typer(features.app, name="features")
    app.add_typer(monitoring.app, name="monitoring")
    app.add_typer(models.app, name="models")
    app.add_typer(registry.app, name="registry")
    app.add_typer(lifecycle.app, name="lifecycle")
    app.add_typer(inference.app, name="inference")
    app.add_typer(experiments.app, name="experiments")
    app.add_typer(training.app, name="train")
    app.add_typer(training.app, name="training", hidden=True)
    join_platform(app)
    return app


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line; the exit code is returned."""
    settings = Settings()
    try:
        build()(args=list(sys.argv[1:] if arguments is None else arguments), prog_name="synapsenet", obj=settings)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else exits.FAILED
    except KeyboardInterrupt:
        return exits.INTERRUPTED
    except Exception as problem:  # people get a sentence, never a trace
        if os.environ.get("SYNAPSENET_DEBUG"):
            raise
        return _report(problem, settings)
    return exits.OK


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version as installed_version

        sys.stdout.write(f"synapsenet {installed_version('synapsenet')}\n")
        raise typer.Exit


def _settle(
    ctx: typer.Context,
    target: Target = "",
    json: Json = False,
    timeout: Timeout = 0.0,
    token: Annotated[
        str, typer.Option("--token", envvar="SYNAPSENET_TOKEN", help="Bearer token; better given in the environment.")
    ] = "",
    ca: Annotated[
        Path | None, typer.Option("--ca", envvar="SYNAPSENET_CA", help="PEM file of authorities to trust; turns TLS on.")
    ] = None,
    certificate: Annotated[
        Path | None,
        typer.Option("--certificate", envvar="SYNAPSENET_CERTIFICATE", help="PEM file of your own certificate, if asked for."),
    ] = None,
    key: Annotated[Path | None, typer.Option("--key", envvar="SYNAPSENET_KEY", help="PEM file of its private key.")] = None,
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_show_version, help="Print the version.")
    ] = False,
) -> None:
    settings: Settings = ctx.obj
    settings.target, settings.json, settings.timeout, settings.token = target, json, timeout, token
    settings.ca, settings.certificate, settings.key = ca, certificate, key


def _report(problem: Exception, settings: Settings) -> int:
    from synapsenet_client import SynapseNetError

    if isinstance(problem, SynapseNetError):
        complain(str(problem))
        error = {
            "class": type(problem).__name__,
            "code": problem.code.name,
            "reason": problem.reason,
            "message": problem.message,
            "violations": [{"field": found.field, "description": found.description} for found in problem.violations],
            "metadata": problem.metadata,
            "retry_after": problem.retry_after,
        }
    else:
        name = type(problem).__name__
        complain(f"{name}: {problem} (set SYNAPSENET_DEBUG=1 to see where)")
        error = {"class": name, "code": "UNKNOWN", "reason": "", "message": str(problem)}
    if settings.json:
        sys.stdout.write(json.dumps({"error": error}) + "\n")
    return exits.exit_code(problem)


if __name__ == "__main__":
    sys.exit(main())
