"""A real gRPC server that answers what a test tells it to, and remembers what it was asked."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf import any_pb2, descriptor_pool, duration_pb2
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

if TYPE_CHECKING:
    _Handler = grpc.GenericRpcHandler[Any, Any]
else:
    _Handler = grpc.GenericRpcHandler  # generic in its type stubs only

Answer = Message | Exception | Callable[..., Any]


class Refusal(Exception):
    """Ends a call with a rich status, as the platform's interceptor does."""

    def __init__(
        self,
        code: grpc.StatusCode,
        reason: str,
        message: str,
        *,
        field: str = "",
        retry_after: float | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        info = error_details_pb2.ErrorInfo(reason=reason, domain="synapsenet", metadata=metadata or {})
        details: list[Message] = [info]
        if field:
            violation = error_details_pb2.BadRequest.FieldViolation(field=field, description=message)
            details.append(error_details_pb2.BadRequest(field_violations=[violation]))
        if retry_after is not None:
            delay = duration_pb2.Duration()
            delay.FromMilliseconds(int(retry_after * 1000))
            details.append(error_details_pb2.RetryInfo(retry_delay=delay))
        self.status = status_pb2.Status(code=code.value[0], message=message, details=[_packed(one) for one in details])


class ScriptedPlatform(_Handler):
    """Answers each RPC, by its short name, with what `answers` holds for it; a list is used up call by call."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer | list[Answer]] = {}
        self.requests: list[Any] = []
        self.metadata: list[dict[str, str | bytes]] = []
        self.deadlines: list[float | None] = []
        self.cancelled = threading.Event()

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any] | None:
        package, _, name = handler_call_details.method.strip("/").partition("/")
        try:
            method = descriptor_pool.Default().FindMethodByName(f"{package}.{name}")
        except KeyError:
            return None
        sides = f"{'stream' if method.client_streaming else 'unary'}_{'stream' if method.server_streaming else 'unary'}"
        answer = self._streamed if method.server_streaming else self._answered
        handler: grpc.RpcMethodHandler[Any, Any] = getattr(grpc, f"{sides}_rpc_method_handler")(
            lambda request, context: answer(name, request, context),
            request_deserializer=GetMessageClass(method.input_type).FromString,
            response_serializer=lambda message: message.SerializeToString(),
        )
        return handler

    def _answered(self, name: str, request: Any, context: grpc.ServicerContext) -> Any:
        self._note(request, context)
        if (answer := self._next(name)) is None or isinstance(answer, Exception):
            self._refuse(context, answer)
        if not callable(answer):
            return answer
        try:
            return answer(request)
        except Refusal as refusal:
            self._refuse(context, refusal)

    def _streamed(self, name: str, request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        self._note(request, context)
        context.add_callback(self.cancelled.set)
        answer = self._next(name)
        if not callable(answer):
            self._refuse(context, answer)
        try:
            yield from answer(request)
        except Refusal as refusal:
            self._refuse(context, refusal)

    def _next(self, name: str) -> Any:
        answer = self.answers.get(name)
        return answer.pop(0) if isinstance(answer, list) else answer

    def _note(self, request: Any, context: grpc.ServicerContext) -> None:
        if isinstance(request, Message):
            self.requests.append(request)
        self.metadata.append(dict(context.invocation_metadata()))
        self.deadlines.append(context.time_remaining())

    def _refuse(self, context: grpc.ServicerContext, answer: object) -> None:
        if isinstance(answer, Refusal):
            context.abort_with_status(rpc_status.to_status(answer.status))
        context.abort(grpc.StatusCode.UNIMPLEMENTED, "nothing is scripted for this")


class Listening:
    """A scripted platform on a free port of loopback."""

    def __init__(self) -> None:
        self.platform = ScriptedPlatform()
        self._server = grpc.server(ThreadPoolExecutor(8), handlers=[self.platform])
        self.target = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()

    def stop(self) -> None:
        self._server.stop(0).wait(5)


def _packed(message: Message) -> any_pb2.Any:
    wrapped = any_pb2.Any()
    wrapped.Pack(message)
    return wrapped
