"""`synapsenet lifecycle`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from synapsenet_cli.session import Session, command

app = typer.Typer(help="The life of model versions: deploy, roll back, watch operations.", no_args_is_help=True)
operations = typer.Typer(help="Long work on a model that can be watched and cancelled.", no_args_is_help=True)
app.add_typer(operations, name="operations")

Model = Annotated[str, typer.Argument(metavar="MODEL", help="Id or name.")]
Version = Annotated[int, typer.Argument(metavar="VERSION", help="The version's number, from 1.")]
Operation = Annotated[str, typer.Argument(metavar="OPERATION")]
Reason = Annotated[str, typer.Option(help="Why, for the record.")]


@command(app, "status")
def status(session: Session, model: Model, version: Version) -> None:
    """Show where a version is, and what may happen to it."""
    session.out.record(session.client.lifecycle.status(model, version))


@command(app, "transition")
def transition(
    session: Session,
    model: Model,
    version: Version,
    event: Annotated[str, typer.Argument(help="An event of the state machine, e.g. train.")],
    reason: Reason = "",
) -> None:
    """Let an event happen to a version."""
    session.out.record(session.client.lifecycle.transition(model, version, event, intent=_intent(reason)))


@command(app, "deploy")
def deploy(session: Session, model: Model, version: Version, reason: Reason = "") -> None:
    """Bring a version to serving, or leave everything as it was."""
    session.out.record(session.client.lifecycle.deploy(model, version, intent=_intent(reason)))


@command(app, "undeploy")
def undeploy(session: Session, model: Model, version: Version, reason: Reason = "") -> None:
    """Take a serving version out of traffic."""
    session.out.record(session.client.lifecycle.undeploy(model, version, intent=_intent(reason)))


@command(app, "roll-back")
def roll_back(
    session: Session,
    model: Model,
    version: Annotated[int | None, typer.Option(help="By default the one that served before.")] = None,
    reason: Reason = "",
) -> None:
    """Serve an earlier version again."""
    session.out.record(session.client.lifecycle.roll_back(model, version=version, intent=_intent(reason)))


@command(app, "archive")
def archive(session: Session, model: Model, version: Version, reason: Reason = "") -> None:
    """End a version's life."""
    session.out.record(session.client.lifecycle.archive(model, version, intent=_intent(reason)))


@command(app, "history")
def history(session: Session, model: Model) -> None:
    """List what happened to a model's versions, the newest first."""
    columns = {
        "WHEN": lambda moved: moved.occur_time.ToJsonString(),
        "VERSION": lambda moved: moved.version,
        "EVENT": lambda moved: moved.event,
        "FROM": lambda moved: moved.from_state,
        "TO": lambda moved: moved.to_state,
        "ACTOR": lambda moved: moved.actor,
        "REASON": lambda moved: moved.reason,
    }
    session.out.table("transitions", session.client.lifecycle.list_transitions(model), columns)


@command(app, "machine")
def machine(session: Session) -> None:
    """Show the state machine, as a Mermaid diagram or as data with --json."""
    answer = session.client.lifecycle.machine()
    session.out.line(answer, answer.diagram)


@command(app, "events")
def events(
    session: Session,
    model: Annotated[str, typer.Option(help="Only of this model.")] = "",
    after: Annotated[int, typer.Option(help="Only after this position.")] = 0,
) -> None:
    """Follow lifecycle events, stored ones first, until Ctrl-C."""
    with session.client.lifecycle.watch_events(model_id=model, after_position=after) as found:
        for event in found:
            session.out.line(event, f"{event.position} {event.model_id} {event.WhichOneof('what')}")


@command(operations, "list")
def list_operations(session: Session, model: Annotated[str, typer.Option(help="Only on this model.")] = "") -> None:
    """List operations, the newest first."""
    columns = {
        "OPERATION": lambda operation: operation.id,
        "SAGA": lambda operation: operation.saga,
        "MODEL": lambda operation: operation.model_id,
        "VERSION": lambda operation: operation.version,
        "STATE": _state,
        "CREATED": lambda operation: operation.create_time.ToJsonString(),
    }
    session.out.table("operations", session.client.lifecycle.list_operations(model_id=model), columns)


@command(operations, "get")
def get_operation(session: Session, operation: Operation) -> None:
    """Show an operation with its steps."""
    session.out.record(session.client.lifecycle.get_operation(operation))


@command(operations, "watch")
def watch_operation(session: Session, operation: Operation) -> None:
    """Follow an operation to its end."""
    with session.client.lifecycle.watch_operation(operation) as changes:
        for change in changes:
            session.out.line(change, f"{change.id} {_state(change)} revision {change.revision}")


@command(operations, "cancel")
def cancel_operation(session: Session, operation: Operation, reason: Reason = "") -> None:
    """Undo an operation that has not ended."""
    session.out.record(session.client.lifecycle.cancel_operation(operation, reason=reason))


@command(operations, "retry-compensation")
def retry_compensation(session: Session, operation: Operation) -> None:
    """Try a failing compensation again now."""
    session.out.record(session.client.lifecycle.retry_compensation(operation))


@command(operations, "resolve")
def resolve_operation(
    session: Session, operation: Operation, resolution: Annotated[str, typer.Argument(help="What was done, for the record.")]
) -> None:
    """Declare that a person has settled what a failing compensation would have."""
    session.out.record(session.client.lifecycle.resolve_operation(operation, resolution))


def _intent(reason: str) -> Any:
    from synapsenet_client import intent

    return intent(reason=reason)


def _state(operation: Any) -> str:
    from synapsenet_api.lifecycle.v1.operation_pb2 import OperationState
    from synapsenet_client import enum_name

    return enum_name(OperationState, operation.state)
