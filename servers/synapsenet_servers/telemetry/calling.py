"""Calls that this process makes: a span and a duration each, and the trace's context on the wire.

Their interceptors stand last in a channel, next to the wire: what they are given back is the call itself.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

import grpc
from opentelemetry import propagate, trace
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, set_span_in_context

from synapsenet_servers.telemetry.current import Telemetry

Continuation = Callable[..., Any]

# A watch ends only when we have seen enough: what we gave up ourselves did not fail.
_NO_FAILURES = ("OK", "CANCELLED")


class MadeCalls:
    """What the kinds of call have in common."""

    def __init__(self, telemetry: Telemetry, *, begins: bool) -> None:
        self._tracer = telemetry.tracer
        self._begins = begins
        self._instruments = telemetry.instruments
        self._endings: set[asyncio.Task[None]] = set()

    async def make(self, continuation: Continuation, details: Any, request: Any) -> Any:
        """Carry on with the call, and see its end whenever that comes."""
        method = _name(details.method)
        span = self._begin(method)
        began = time.perf_counter()
        try:
            call = await continuation(details if span is None else _carrying(details, span), request)
        except BaseException as error:
            self._end(method, span, began, type(error).__name__)
            raise
        call.add_done_callback(lambda ended: self._see_end(ended, method, span, began))
        return call

    def _begin(self, method: str) -> Span | None:
        if self._tracer is None or not (self._begins or trace.get_current_span().get_span_context().is_valid):
            return None
        return self._tracer.start_span(method, kind=SpanKind.CLIENT, attributes=_who(method))

    def _see_end(self, call: Any, method: str, span: Span | None, began: float) -> None:
        async def end() -> None:
            code = await call.code()  # known by now
            self._end(method, span, began, code.name)

        ending = asyncio.ensure_future(end())
        self._endings.add(ending)
        ending.add_done_callback(self._endings.discard)

    def _end(self, method: str, span: Span | None, began: float, status: str) -> None:
        if self._instruments is not None:
            labels = _who(method) | {"rpc.response.status_code": status}
            self._instruments.called.record(time.perf_counter() - began, labels)
        if span is None:
            return
        span.set_attribute("rpc.response.status_code", status)
        if status not in _NO_FAILURES:
            span.set_attribute("error.type", status)
            span.set_status(Status(StatusCode.ERROR))
        span.end()


class OneToOne(grpc.aio.UnaryUnaryClientInterceptor):  # type: ignore[type-arg]  # not generic at run time
    def __init__(self, calls: MadeCalls) -> None:
        self._calls = calls

    async def intercept_unary_unary(self, continuation: Continuation, details: Any, request: Any) -> Any:
        return await self._calls.make(continuation, details, request)


class OneToMany(grpc.aio.UnaryStreamClientInterceptor):  # type: ignore[type-arg]  # not generic at run time
    def __init__(self, calls: MadeCalls) -> None:
        self._calls = calls

    async def intercept_unary_stream(self, continuation: Continuation, details: Any, request: Any) -> Any:
        return await self._calls.make(continuation, details, request)


class ManyToOne(grpc.aio.StreamUnaryClientInterceptor):  # type: ignore[type-arg]  # not generic at run time
    def __init__(self, calls: MadeCalls) -> None:
        self._calls = calls

    async def intercept_stream_unary(self, continuation: Continuation, details: Any, requests: Any) -> Any:
        return await self._calls.make(continuation, details, requests)


def made_calls(telemetry: Telemetry, *, begins: bool) -> Sequence[Any]:
    """Interceptors for one channel, one for each kind of call that answers a request.

    Conversations, streams both ways, have none: gRPC's intercepted ones swallow the cancellation of who writes to them.
    """
    calls = MadeCalls(telemetry, begins=begins)
    return (OneToOne(calls), OneToMany(calls), ManyToOne(calls))


def _name(method: str | bytes) -> str:
    """The method's full name without its leading slash; the runtime gives bytes for some kinds of call."""
    return (method.decode() if isinstance(method, bytes) else method).removeprefix("/")


def _who(method: str) -> dict[str, str]:
    return {"rpc.system.name": "grpc", "rpc.method": method}


def _carrying(details: Any, span: Span) -> Any:
    """`details` with the context of `span` in its metadata."""
    headers: dict[str, str] = {}
    propagate.inject(headers, context=set_span_in_context(span))
    metadata = grpc.aio.Metadata(*(details.metadata or ()), *headers.items())
    return details._replace(metadata=metadata)
