"""`synapsenet lifecycle operations`."""

from __future__ import annotations

from typing import Annotated

import typer

from synapsenet_cli.following import follow, settle, state_of
from synapsenet_cli.inputs import seconds
from synapsenet_cli.session import Session, command

app = typer.Typer(help="Long work on a model that can be watched and cancelled.", no_args_is_help=True)

Operation = Annotated[str, typer.Argument(metavar="OPERATION")]


@command(app, "list")
def list_operations(
    session: Session,
    model: Annotated[str, typer.Option(help="Only on this model.")] = "",
    state: Annotated[
        list[str] | None, typer.Option(help="Only in this state: RUNNING, NEEDS_ATTENTION, COMPENSATED …; may be repeated.")
    ] = None,
    saga: Annotated[str, typer.Option(help="Only of this saga, e.g. deploy.")] = "",
) -> None:
    """List operations, the newest first."""
    columns = {
        "OPERATION": lambda operation: operation.id,
        "SAGA": lambda operation: operation.saga,
        "MODEL": lambda operation: operation.model_id,
        "VERSION": lambda operation: operation.version,
        "STATE": state_of,
        "CREATED": lambda operation: operation.create_time.ToJsonString(),
        "ERROR": lambda operation: operation.error.message,
    }
    found = session.client.lifecycle.list_operations(model_id=model, states=state or [], saga=saga)
    session.out.table("operations", found, columns)


@command(app, "get")
def get_operation(session: Session, operation: Operation) -> None:
    """Show an operation with its steps."""
    session.out.record(session.client.lifecycle.get_operation(operation))


@command(app, "watch")
def watch_operation(session: Session, operation: Operation) -> None:
    """Follow an operation to its end; the exit code is 0 only if it succeeded."""
    follow(session, operation)


@command(app, "wait")
def wait_operation(
    session: Session,
    operation: Operation,
    longest: Annotated[str, typer.Option("--for", metavar="DURATION", help="No longer than this: 30s, 5m.")] = "",
) -> None:
    """Wait until an operation has ended, as long as the call may last; the exit code is 0 only if it succeeded."""
    limit = seconds("--for", longest) if longest else None
    found = session.client.lifecycle.wait_operation(operation, timeout=limit)
    session.out.record(found)
    settle(found)


@command(app, "cancel")
def cancel_operation(
    session: Session, operation: Operation, reason: Annotated[str, typer.Option(help="Why, for the record.")] = ""
) -> None:
    """Undo an operation that has not ended."""
    session.out.record(session.client.lifecycle.cancel_operation(operation, reason=reason))


@command(app, "retry")
def retry_compensation(session: Session, operation: Operation) -> None:
    """Try a failing compensation again now."""
    session.out.record(session.client.lifecycle.retry_compensation(operation))


@command(app, "resolve")
def resolve_operation(
    session: Session,
    operation: Operation,
    resolution: Annotated[str, typer.Argument(help="What was done, for the record.")],
    state: Annotated[str, typer.Option(help="Where the version is now; by default where it was before.")] = "",
) -> None:
    """Declare that a person has settled what a failing compensation would have."""
    session.out.record(session.client.lifecycle.resolve_operation(operation, resolution, state=state))
