"""Events handed to a broker: how many, how long until its word, and inside a trace of its own a span for each batch."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind, Status, StatusCode

if TYPE_CHECKING:
    from synapsenet_servers.telemetry.current import Telemetry

_SYSTEM = "kafka"


@dataclass(slots=True)
class Outcome:
    """What became of a batch.

    Attributes:
        delivered, refused: how many events.
        away: why the others have yet to be sent; empty if there are none because of it.
    """

    delivered: int = 0
    refused: int = 0
    away: str = ""


class Publications:
    """Tells of what is published to `destination`."""

    def __init__(self, telemetry: Telemetry, *, destination: str) -> None:
        self._tracer = telemetry.tracer if telemetry.exports else None
        self._instruments = telemetry.instruments
        self._labels = {"messaging.system": _SYSTEM, "messaging.destination.name": destination}

    @contextmanager
    def publishing(self, count: int) -> Iterator[Outcome]:
        """One batch of `count` events; what became of it is to be noted in what this gives."""
        outcome, began = Outcome(), time.perf_counter()
        span = self._span(count)
        try:
            with nullcontext() if span is None else trace.use_span(span, record_exception=False, set_status_on_exception=False):
                yield outcome
        finally:
            self._tell(outcome, time.perf_counter() - began)
            if span is not None:
                _end(span, outcome)

    def _span(self, count: int) -> Span | None:
        if self._tracer is None:
            return None
        attributes = self._labels | {"messaging.operation.name": "send", "messaging.operation.type": "send"}
        name = f"send {self._labels['messaging.destination.name']}"
        span = self._tracer.start_span(name, kind=SpanKind.PRODUCER, attributes=attributes)
        span.set_attribute("messaging.batch.message_count", count)
        return span

    def _tell(self, outcome: Outcome, took: float) -> None:
        if self._instruments is None:
            return
        labels = self._labels | {"messaging.operation.name": "send"}
        failure = {"error.type": "away"} if outcome.away else {}
        self._instruments.published.record(took, labels | failure)
        self._instruments.sent.add(outcome.delivered, labels)
        if outcome.refused:
            self._instruments.sent.add(outcome.refused, labels | {"error.type": "refused"})


def _end(span: Span, outcome: Outcome) -> None:
    if outcome.away or outcome.refused:
        span.set_attribute("error.type", "away" if outcome.away else "refused")
        span.set_status(Status(StatusCode.ERROR))
    span.end()
