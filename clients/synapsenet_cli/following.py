"""An operation followed to its end: its steps live on a terminal, a line a change elsewhere."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from synapsenet_cli.session import Session

if TYPE_CHECKING:
    from rich.console import Group

_MARKS = {
    "PENDING": "·",
    "RUNNING": "▶",
    "DONE": "[green]✓[/green]",
    "FAILED": "[red]✗[/red]",
    "COMPENSATING": "[yellow]◀[/yellow]",
    "COMPENSATED": "[yellow]↺[/yellow]",
    "SKIPPED": "–",
}


def begun(session: Session, operation: Any, *, watch: bool) -> None:
    """Show an operation that a command began; with `watch` only when it has ended, and fail unless it succeeded."""
    if watch:
        follow(session, operation.id)
    else:
        session.out.record(operation)


def follow(session: Session, operation_id: str) -> None:
    """Show each change of the operation until it has ended.

    Raises:
        SynapseNetError: why it did not succeed.
    """
    with session.client.lifecycle.watch_operation(operation_id) as changes:
        last = _drawn(changes) if _is_watched(session) else _told(session, changes)
    settle(last)


def settle(operation: Any) -> None:
    """End the command as the operation ended.

    Raises:
        SynapseNetError: why it did not succeed.
    """
    from synapsenet_client import succeeded

    if operation is not None:
        succeeded(operation)


def state_of(operation: Any) -> str:
    from synapsenet_api.lifecycle.v1.operation_pb2 import OperationState
    from synapsenet_client import enum_name

    return enum_name(OperationState, operation.state)


def _is_watched(session: Session) -> bool:
    return not session.out.as_json and sys.stdout.isatty()


def _told(session: Session, changes: Any) -> Any:
    last = None
    for last in changes:
        session.out.line(last, _sentence(last))
    return last


def _drawn(changes: Any) -> Any:
    from rich.console import Console
    from rich.live import Live

    last = None
    with Live(console=Console(), refresh_per_second=8) as live:
        for last in changes:
            live.update(_picture(last), refresh=True)
    return last


def _sentence(operation: Any) -> str:
    """`op-… deploy RUNNING: reserve DONE, fetch RUNNING`."""
    steps = [f"{step.name} {_step_state(step)}" for step in operation.steps if _step_state(step) != "PENDING"]
    facts = f"{operation.id} {operation.saga} {state_of(operation)}"
    if operation.waiting_for:
        return f"{facts}: {operation.waiting_for} holds the model"
    return f"{facts}: {', '.join(steps)}" if steps else facts


def _picture(operation: Any) -> Group:
    from rich.console import Group
    from rich.markup import escape
    from rich.table import Table
    from rich.text import Text

    table = Table(show_header=False, box=None, pad_edge=False)
    for step in operation.steps:
        state = _step_state(step)
        told = step.error.message if step.HasField("error") else step.message
        tries = max(step.attempts, step.compensation_attempts)
        times = f"× {tries}" if tries > 1 else ""
        table.add_row(_MARKS.get(state, "?"), step.name, state.lower(), _duration(step), times, escape(told))
    title = Text(f"{operation.id}  {operation.saga} of version {operation.version}: {state_of(operation)}", style="bold")
    return Group(title, table, Text(_caption(operation)))


def _caption(operation: Any) -> str:
    if operation.waiting_for:
        return f"{operation.waiting_for} holds the model"
    if state_of(operation) == "NEEDS_ATTENTION":
        return f"undoing keeps failing: `synapsenet lifecycle operations retry {operation.id}`, or `… resolve`"
    return ""


def _duration(step: Any) -> str:
    if not (step.HasField("start_time") and step.HasField("end_time")):
        return ""
    seconds = (step.end_time.ToDatetime() - step.start_time.ToDatetime()).total_seconds()
    return f"{seconds:.2f} s"


def _step_state(step: Any) -> str:
    from synapsenet_api.lifecycle.v1.operation_pb2 import StepState
    from synapsenet_client import enum_name

    return enum_name(StepState, step.state)
