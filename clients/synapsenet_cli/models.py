"""`synapsenet models`."""

from __future__ import annotations

from typing import Annotated

import typer

from synapsenet_cli import lifecycle
from synapsenet_cli.inputs import pairs, titled
from synapsenet_cli.lifecycle import Reason, Traffic, Wait, Watched
from synapsenet_cli.session import Session, command

app = typer.Typer(help="Models: create, show, list, change, deploy, delete.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="MODEL", help="Id or name.")]
Labels = Annotated[list[str] | None, typer.Option("--label", metavar="KEY=VALUE", help="A label; may be repeated.")]
Task = Annotated[str, typer.Option(help="CLASSIFICATION, REGRESSION, RANKING, FORECASTING, EMBEDDING, GENERATION or OTHER.")]


@command(app, "create")
def create(
    session: Session,
    name: Annotated[str, typer.Argument(help="Unique among the models.")],
    description: Annotated[str, typer.Option(help="For people.")] = "",
    task: Task = "",
    label: Labels = None,
) -> None:
    """Create a model."""
    labels = pairs("--label", label or [])
    session.out.record(session.client.models.create(name, description=description, task=task, labels=labels))


@command(app, "get")
def get(session: Session, model: Name) -> None:
    """Show a model."""
    session.out.record(session.client.models.get(model))


@command(app, "list")
def list_models(
    session: Session,
    prefix: Annotated[str, typer.Option(help="Only names that begin with this.")] = "",
    task: Task = "",
) -> None:
    """List models by name."""
    columns = {
        "ID": lambda model: model.id,
        "NAME": lambda model: model.name,
        "DESCRIPTION": lambda model: model.description,
        "UPDATED": lambda model: model.update_time.ToJsonString(),
    }
    session.out.table("models", session.client.models.list(name_prefix=prefix, task=task), columns)


@command(app, "update")
def update(
    session: Session,
    model: Name,
    description: Annotated[str | None, typer.Option(help="The new description.")] = None,
    task: Annotated[str | None, typer.Option(help="The new task.")] = None,
    label: Annotated[
        list[str] | None, typer.Option("--label", metavar="KEY=VALUE", help="All of the new labels; may be repeated.")
    ] = None,
    etag: Annotated[str, typer.Option(help="Refuse if the model has changed since this etag.")] = "",
) -> None:
    """Change a model; what is not given stays."""
    labels = pairs("--label", label) if label else None
    session.out.record(session.client.models.update(model, description=description, task=task, labels=labels, etag=etag))


@command(app, "deploy")
def deploy(
    session: Session,
    version: Annotated[str, typer.Argument(metavar="NAME:VERSION", help="Which version, e.g. digits:2.")],
    replicas: Annotated[int, typer.Option(min=0, help="On how many replicas; 0: on all.")] = 0,
    traffic: Traffic = None,
    reason: Reason = "",
    wait: Wait = "",
    watch: Watched = False,
) -> None:
    """Bring a version to serving, or leave everything as it was; `lifecycle deploy` has further options."""
    model, number = titled(version)
    lifecycle.deploy(session, model, number, replicas=replicas, traffic=traffic, reason=reason, wait=wait, watch=watch)


@command(app, "delete")
def delete(session: Session, model: Name) -> None:
    """Delete a model that has no versions."""
    session.client.models.delete(model)
    session.out.said(f"deleted {model}", deleted=model)
