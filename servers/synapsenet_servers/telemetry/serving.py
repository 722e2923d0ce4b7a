"""Calls that this process answers: a span and a duration each, whatever becomes of the call.

It stands before the guard, so it sees the status that the caller sees; the guard stays the place where errors become one.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from types import TracebackType
from typing import Any

import grpc
from google.protobuf import descriptor_pool
from opentelemetry import context as contexts
from opentelemetry import propagate
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, set_span_in_context

from synapsenet_servers.interceptors.refusal import refused_with
from synapsenet_servers.telemetry.current import Telemetry

Handler = Any  # as in the guard
Continuation = Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]]

OTHER = "_OTHER"

# They warn of every malformed entry of a caller's headers: any caller could fill the disk with it.
_TALKATIVE = ("opentelemetry.baggage.propagation", "opentelemetry.trace.span")

# Version 1 is served with the messages of its alpha and has no contract of its own.
_REFLECTION = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"

# Asked every second by machines: their spans would bury the others.
_UNTRACED = ("/grpc.health.", "/grpc.reflection.", "/grpc.channelz.")

# These are ours, the others are the caller's: the convention for the status of a server's span.
_OUR_FAULT = frozenset({"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"})


def known_methods(services: Collection[str]) -> Collection[str]:
    """The methods, as paths, of services whose contracts are loaded."""
    pool: Any = descriptor_pool.Default()
    contracts = [pool.FindServiceByName(service) for service in services]
    return {f"/{contract.full_name}/{method.name}" for contract in contracts for method in contract.methods} | {_REFLECTION}


class ServedCalls(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]  # not generic at run time
    """Wraps the handlers of one server."""

    def __init__(self, telemetry: Telemetry, known: Collection[str]) -> None:
        self.tracer = telemetry.tracer
        self.instruments = telemetry.instruments
        for name in _TALKATIVE:
            logging.getLogger(name).setLevel(logging.ERROR)
        self._known = {method: method.removeprefix("/") for method in known}

    async def intercept_service(self, continuation: Continuation, details: grpc.HandlerCallDetails) -> Handler:
        handler = await continuation(details)
        if handler is None:
            return None
        call = _Call(self, details, self._known.get(details.method, OTHER))
        if handler.response_streaming:
            return self._streaming(handler, call)
        return self._single(handler, call)

    def _single(self, handler: Handler, call: _Call) -> Handler:
        streams = handler.request_streaming
        behaviour = handler.stream_unary if streams else handler.unary_unary

        async def answer(request: Any, context: Any) -> Any:
            with call.answered_in(context):
                return await behaviour(request, context)

        make = grpc.stream_unary_rpc_method_handler if streams else grpc.unary_unary_rpc_method_handler
        return make(answer, handler.request_deserializer, handler.response_serializer)

    def _streaming(self, handler: Handler, call: _Call) -> Handler:
        streams = handler.request_streaming
        behaviour = handler.stream_stream if streams else handler.unary_stream

        async def answer(request: Any, context: Any) -> AsyncIterator[Any]:
            with call.answered_in(context):
                answers = behaviour(request, context)
                if not hasattr(answers, "__aiter__"):
                    await answers
                    return
                async for message in answers:
                    yield message

        make = grpc.stream_stream_rpc_method_handler if streams else grpc.unary_stream_rpc_method_handler
        return make(answer, handler.request_deserializer, handler.response_serializer)


class _Call:
    """One call, from the first look at it to its status; a context manager around its behaviour."""

    __slots__ = ("_began", "_context", "_details", "_method", "_server", "_span")

    def __init__(self, server: ServedCalls, details: grpc.HandlerCallDetails, method: str) -> None:
        self._server = server
        self._details = details
        self._method = method
        self._span: Span | None = None

    def answered_in(self, context: Any) -> _Call:
        self._context = context
        return self

    def __enter__(self) -> None:
        if (instruments := self._server.instruments) is not None:
            instruments.active[self._method] += 1
        if self._server.tracer is not None and not self._details.method.startswith(_UNTRACED):
            self._begin_span()
        self._began = time.perf_counter()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        took = time.perf_counter() - self._began
        status, reason = self._status(error), refused_with.get()
        if (instruments := self._server.instruments) is not None:
            labels = {"rpc.system.name": "grpc", "rpc.method": self._method, "rpc.response.status_code": status}
            instruments.active[self._method] -= 1
            instruments.served.record(took, labels)
            if reason:
                instruments.refused.add(1, {"rpc.method": self._method, "error.type": reason})
        if self._span is not None:
            self._end_span(self._span, status, reason)

    def _begin_span(self) -> None:
        assert self._server.tracer is not None
        parent = propagate.extract(dict(self._details.invocation_metadata or ()))
        attributes = {"rpc.system.name": "grpc", "rpc.method": self._method}
        if self._method == OTHER:
            attributes["rpc.method_original"] = self._details.method
        name = self._method if self._method != OTHER else "grpc"
        span = self._server.tracer.start_span(name, context=parent, kind=SpanKind.SERVER, attributes=attributes)
        # Never detached: the runtime gives each call a context of its own, which ends with it, and an answer that streams
        # may be closed in another.
        contexts.attach(set_span_in_context(span, parent))
        self._span = span

    def _end_span(self, span: Span, status: str, reason: str) -> None:
        span.set_attribute("rpc.response.status_code", status)
        if status != "OK":
            span.set_attribute("error.type", reason or status)
            if status in _OUR_FAULT:
                span.set_status(Status(StatusCode.ERROR, self._context.details() or None))
        span.end()

    def _status(self, error: BaseException | None) -> str:
        """The name of the status that the caller gets."""
        if (code := self._context.code()) is not None:
            return str(code.name)
        if error is None:
            return "OK"
        if isinstance(error, (asyncio.CancelledError, GeneratorExit)):
            left = self._context.time_remaining()
            return "DEADLINE_EXCEEDED" if left is not None and left <= 0 else "CANCELLED"
        return "UNKNOWN"
