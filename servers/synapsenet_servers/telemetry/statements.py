"""SQL statements: a duration each and, inside a trace, a span with the statement's text; never its parameters."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from sqlalchemy import Connection, Engine, event

from synapsenet_servers.telemetry.current import Telemetry

if TYPE_CHECKING:
    from sqlalchemy.engine import ExceptionContext

_BEGUN = "synapsenet.begun"
_SYSTEMS = {"postgresql": "postgresql", "sqlite": "sqlite"}
_TEXT_LIMIT = 2_000


def watch_statements(engine: Engine, telemetry: Telemetry, *, namespace: str) -> None:
    """Listen to `engine` for as long as it lives."""
    watch = _Watch(telemetry, system=_SYSTEMS.get(engine.dialect.name, "other_sql"), namespace=namespace)
    event.listen(engine, "before_cursor_execute", watch.begin)
    event.listen(engine, "after_cursor_execute", watch.end)
    event.listen(engine, "handle_error", watch.fail)


class _Watch:
    """The listener of one engine. What has begun stands with its connection, which one thread has at a time."""

    def __init__(self, telemetry: Telemetry, *, system: str, namespace: str) -> None:
        self._tracer = telemetry.tracer if telemetry.exports else None
        self._instruments = telemetry.instruments
        self._labels = {"db.system.name": system, "db.namespace": namespace}

    def begin(self, connection: Connection, _cursor: Any, statement: str, _parameters: Any, _context: Any, _many: bool) -> None:
        operation = statement.split(None, 1)[0].upper() if statement else ""
        span: Span | None = None
        # What nobody asked for, a background task's look for work say, is counted and not traced.
        if self._tracer is not None and trace.get_current_span().is_recording():
            span = self._tracer.start_span(
                f"{operation} {self._labels['db.namespace']}",
                kind=SpanKind.CLIENT,
                attributes=self._labels | {"db.operation.name": operation, "db.query.text": statement[:_TEXT_LIMIT]},
            )
        connection.info.setdefault(_BEGUN, []).append((time.perf_counter(), operation, span))

    def end(self, connection: Connection, _cursor: Any, _statement: str, _parameters: Any, _context: Any, _many: bool) -> None:
        self._end(connection, error=None)

    def fail(self, context: ExceptionContext) -> None:
        if context.connection is not None:
            self._end(context.connection, error=context.original_exception)

    def _end(self, connection: Connection, *, error: BaseException | None) -> None:
        begun = connection.info.get(_BEGUN)
        if not begun:
            return
        began, operation, span = begun.pop()
        failure = {} if error is None else {"error.type": type(error).__name__}
        if self._instruments is not None:
            took = time.perf_counter() - began
            self._instruments.statements.record(took, self._labels | {"db.operation.name": operation} | failure)
        if span is not None:
            if error is not None:
                span.set_attributes(failure)
                span.set_status(Status(StatusCode.ERROR))
            span.end()
