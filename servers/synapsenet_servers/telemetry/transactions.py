"""Transactions of one database: how long each took, its wait for a thread included, and inside a trace a span around them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from opentelemetry import trace
from opentelemetry.trace import Span

if TYPE_CHECKING:
    from synapsenet_servers.telemetry.current import Telemetry

C = TypeVar("C")
T = TypeVar("T")


def current_trace() -> str | None:
    """The trace that the caller is in, as a W3C `traceparent`; None outside of any."""
    context = trace.get_current_span().get_span_context()
    if not context.is_valid:
        return None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"


class Transactions:
    """Tells of the transactions of the database called `namespace`."""

    def __init__(self, telemetry: Telemetry, *, namespace: str) -> None:
        self._tracer = telemetry.tracer if telemetry.exports else None
        self._instruments = telemetry.instruments
        self._namespace = namespace

    @contextmanager
    def transaction(self, kind: str) -> Iterator[Transaction]:
        """One transaction of a kind (`read`, `write`, `tend`), from the wish for it to its end; its span is current."""
        transaction = Transaction()
        failure = ""
        with self._span(kind) as span:
            try:
                yield transaction
            except BaseException as error:
                failure = getattr(error, "reason", type(error).__name__)
                raise
            finally:
                self._tell(transaction, kind, failure, span)

    @contextmanager
    def _span(self, kind: str) -> Iterator[Span | None]:
        if self._tracer is None or not trace.get_current_span().is_recording():
            yield None
            return
        attributes = {"db.namespace": self._namespace}
        span = self._tracer.start_span(f"{kind} {self._namespace}", attributes=attributes)
        with trace.use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False):
            yield span

    def _tell(self, transaction: Transaction, kind: str, failure: str, span: Span | None) -> None:
        told = {"error.type": failure} if failure else {}
        if self._instruments is not None:
            labels = {"db.namespace": self._namespace, "synapsenet.transaction.kind": kind} | told
            self._instruments.transactions.record(time.perf_counter() - transaction.wished, labels)
        if span is not None:
            if transaction.begun is not None:
                span.set_attribute("synapsenet.transaction.waited_s", transaction.begun - transaction.wished)
            span.set_attributes(told)


class Transaction:
    """One transaction.

    Attributes:
        wished: when it was asked for; seconds on the clock of `time.perf_counter`.
        begun: when it came to its turn; None until then.
    """

    __slots__ = ("begun", "wished")

    def __init__(self) -> None:
        self.wished = time.perf_counter()
        self.begun: float | None = None

    def carry_out(self, run: Callable[[C], T], connection: C) -> T:
        """Run it, on whatever thread this is."""
        self.begun = self.begun or time.perf_counter()
        return run(connection)
