"""`synapsenet registry`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from synapsenet_cli.inputs import numbers, pairs
from synapsenet_cli.session import Session, command

app = typer.Typer(help="Model versions, their artifacts and aliases.", no_args_is_help=True)
aliases = typer.Typer(help="Names such as `champion` that point to one version.", no_args_is_help=True)
versions = typer.Typer(help="Versions of a model.", no_args_is_help=True)
app.add_typer(versions, name="versions")
app.add_typer(aliases, name="aliases")

Model = Annotated[str, typer.Argument(metavar="MODEL", help="Id or name.")]
Version = Annotated[int, typer.Argument(metavar="VERSION", help="The version's number, from 1.")]
Alias = Annotated[str, typer.Argument(metavar="ALIAS")]


@command(versions, "create")
def create_version(
    session: Session,
    model: Model,
    description: Annotated[str, typer.Option(help="For people.")] = "",
    metric: Annotated[list[str] | None, typer.Option(metavar="NAME=NUMBER", help="A measured value; may be repeated.")] = None,
    label: Annotated[list[str] | None, typer.Option(metavar="KEY=VALUE", help="A label; may be repeated.")] = None,
) -> None:
    """Register the next version of a model."""
    metrics, labels = numbers("--metric", metric or []), pairs("--label", label or [])
    session.out.record(session.client.registry.create_version(model, description=description, metrics=metrics, labels=labels))


@command(versions, "get")
def get_version(session: Session, model: Model, version: Version) -> None:
    """Show a version."""
    session.out.record(session.client.registry.get_version(model, version))


@command(versions, "list")
def list_versions(
    session: Session,
    model: Model,
    state: Annotated[list[str] | None, typer.Option(help="Only versions in this state; may be repeated.")] = None,
) -> None:
    """List a model's versions, the newest first."""
    columns = {
        "VERSION": lambda version: version.version,
        "STATE": _state,
        "ALIASES": lambda version: " ".join(version.aliases),
        "SHA-256": lambda version: version.artifact.sha256[:12],
        "CREATED": lambda version: version.create_time.ToJsonString(),
    }
    session.out.table("versions", session.client.registry.list_versions(model, states=state or []), columns)


@command(versions, "set-state")
def set_state(
    session: Session,
    model: Model,
    version: Version,
    state: Annotated[str, typer.Argument(help="REGISTERED, DEPRECATED, ARCHIVED …")],
    reason: Annotated[str, typer.Option(help="Why, for the record.")] = "",
) -> None:
    """Move a version to a state."""
    session.out.record(session.client.registry.set_state(model, version, state, reason=reason))


@command(app, "upload")
def upload(
    session: Session,
    model: Model,
    version: Version,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="An .onnx or .safetensors file.")],
    format: Annotated[str, typer.Option("--format", help="ONNX or SAFETENSORS; by default the suffix says it.")] = "",
) -> None:
    """Upload a version's artifact."""
    with session.out.bar(f"uploading {file.name}") as progress:
        answer = session.client.registry.upload(model, version, file, format=format, progress=progress)
    session.out.record(answer)


@command(app, "download")
def download(
    session: Session,
    model: Model,
    version: Version,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to; an existing file is replaced.")],
) -> None:
    """Download a version's artifact, checked by its SHA-256."""
    with session.out.bar(f"downloading {file.name}") as progress:
        path = session.client.registry.download(model, version, file, progress=progress)
    session.out.said(f"wrote {path}", path=str(path), size_bytes=path.stat().st_size)


@command(aliases, "set")
def set_alias(
    session: Session,
    model: Model,
    alias: Alias,
    version: Version,
    expected: Annotated[int | None, typer.Option(help="Refuse unless it points to this version now.")] = None,
) -> None:
    """Let an alias point to a version."""
    session.out.record(session.client.registry.set_alias(model, alias, version, expected_version=expected))


@command(aliases, "get")
def get_alias(session: Session, model: Model, alias: Alias) -> None:
    """Show an alias."""
    session.out.record(session.client.registry.get_alias(model, alias))


@command(aliases, "list")
def list_aliases(session: Session, model: Model) -> None:
    """List a model's aliases."""
    columns = {
        "ALIAS": lambda alias: alias.name,
        "VERSION": lambda alias: alias.version,
        "MOVED": lambda alias: alias.update_time.ToJsonString(),
    }
    session.out.table("aliases", session.client.registry.list_aliases(model), columns)


@command(aliases, "delete")
def delete_alias(session: Session, model: Model, alias: Alias) -> None:
    """Remove an alias; the version stays."""
    session.client.registry.delete_alias(model, alias)
    session.out.said(f"deleted {alias}", deleted=alias)


def _state(version: Any) -> str:
    from synapsenet_api.registry.v1.version_pb2 import VersionState
    from synapsenet_client import enum_name

    return enum_name(VersionState, version.state)
