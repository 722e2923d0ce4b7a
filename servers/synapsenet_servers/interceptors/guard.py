"""The guard: what every call passes on its way to a servicer, wrapped once so that a call pays once.

In this order: is the RPC there yet, is there room, may the caller call it, does it have a deadline, is each message readable,
small enough and complete; and whatever error comes out of all this leaves as one status with its details. When the server
stops, it is the guard that ends what is still under way, so that callers are told.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

import grpc
from google.protobuf.message import DecodeError, Message

from synapsenet.errors import InvalidArgument, NotYetAvailable, ResourceExhausted, Unavailable, Unimplemented
from synapsenet_servers.interceptors.authorization import Authorization
from synapsenet_servers.interceptors.limits import Limits
from synapsenet_servers.interceptors.refusal import refuse
from synapsenet_servers.interceptors.required import check_required
from synapsenet_servers.interceptors.standing import Standing
from synapsenet_servers.not_yet_available.row import Row

Handler = Any  # grpc's type for handlers says nothing of the four call shapes that tell them apart
Unread = InvalidArgument | ResourceExhausted  # stands for a message that was not read
Continuation = Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]]


class Guard(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]  # not generic at run time
    """Wraps the handlers of one server.

    Attributes:
        late: calls that came when the server had been told to stop, and were refused.

    Args:
        authorization: decides who may call; None: everybody who can connect.
    """

    def __init__(
        self, limits: Limits, not_yet_available: Iterable[Row] = (), authorization: Authorization | None = None
    ) -> None:
        self._limits = limits
        self._authorization = authorization
        self._absent = {row.method: row for row in not_yet_available if not row.option}
        self._under_way: dict[asyncio.Timeout, str] = {}
        self._stopping = False
        self.late = 0

    def end_calls(self, *, watches_in_s: float, others_in_s: float) -> None:
        """Tell those who call that the server stops: in so many seconds, unless the call ends by itself before.

        A `Watch…` never does; what else streams or computes is given its time.
        """
        self._stopping = True
        now = asyncio.get_running_loop().time()
        for limit, method in self._under_way.items():
            end = now + (watches_in_s if _is_watch(method) else others_in_s)
            if not limit.expired():
                limit.reschedule(min(end, limit.when() or end))

    async def intercept_service(self, continuation: Continuation, details: grpc.HandlerCallDetails) -> Handler:
        method = details.method
        handler = await continuation(details)
        if method in self._absent or handler is None:
            return self._refusing(method, self._absence(method))
        if handler.request_streaming and handler.response_streaming:
            return self._many_to_many(method, handler)
        if handler.request_streaming:
            return self._many_to_one(method, handler)
        return self._one_to_many(method, handler) if handler.response_streaming else self._one_to_one(method, handler)

    def _absence(self, method: str) -> Unimplemented:
        if (row := self._absent.get(method)) is not None:
            facts = {"method": method}
            return NotYetAvailable("NOT_YET_AVAILABLE", f"{method} is not available yet", remedy=row.brings, metadata=facts)
        return Unimplemented(
            "METHOD_UNKNOWN", f"{method} is no method of this server", remedy="list what there is by server reflection"
        )

    def _refusing(self, method: str, absence: Unimplemented) -> Handler:
        """A handler that ends every call, of whatever kind, before it reads a message; what is to come has its callers, too."""

        async def call(_requests: Any, context: Any) -> None:
            if method not in self._absent:
                await refuse(context, method, absence)
            async with self._call(method, context):
                raise absence

        return grpc.stream_stream_rpc_method_handler(call)

    @asynccontextmanager
    async def _call(
        self, method: str, context: Any, longest_s: float | None = None, *, streams: bool = False
    ) -> AsyncIterator[None]:
        """One call: counted against the bound, ended after `longest_s` seconds, its errors turned into a status.

        One that `streams` may outlive what its caller was allowed, and is asked about again and again.
        """
        limit = asyncio.timeout(longest_s)
        standing = Standing(limit)
        try:
            async with limit:
                self._under_way[limit] = method
                try:
                    self._admit()
                    if self._authorization is not None:
                        await self._authorization.check(method, context, standing if streams else None)
                    yield
                finally:
                    del self._under_way[limit]
                    standing.end()
        except grpc.aio.AbortError:
            raise
        except Exception as error:  # noqa: BLE001 - the last place where a bug can become a status
            told = error
            if isinstance(error, TimeoutError):
                told = standing.refusal or (_stopped() if self._stopping else error)
            await refuse(context, method, told)

    def _admit(self) -> None:
        if self._stopping:
            self.late += 1
            raise _stopped()
        if len(self._under_way) > self._limits.concurrent_calls:
            raise ResourceExhausted("SERVER_BUSY", "the server has all the calls it takes", remedy="retry", retry_after=1.0)

    def _one_to_one(self, method: str, handler: Handler) -> Handler:
        """One to one, as a stream of one message.

        The runtime would read a single one before it calls anybody, even of a caller who may not call; and one that breaks off
        in the middle it would never tell us of, so that its caller waited for ever.
        """

        async def call(_requests: Any, context: Any) -> Any:
            longest_s = self._limits.longest_unary_s if context.time_remaining() is None else None
            async with self._call(method, context, longest_s):
                return await handler.unary_unary(await self._only(context), context)

        return grpc.stream_unary_rpc_method_handler(call, self._reading(handler), handler.response_serializer)

    def _one_to_many(self, method: str, handler: Handler) -> Handler:
        async def call(_requests: Any, context: Any) -> AsyncIterator[Any]:
            async with self._call(method, context, streams=True):
                async for answer in _answers(handler.unary_stream(await self._only(context), context)):
                    yield answer

        return grpc.stream_stream_rpc_method_handler(call, self._reading(handler), handler.response_serializer)

    async def _only(self, context: Any) -> Any:
        """The one message of a call that brings one."""
        request = await context.read()
        if not isinstance(request, Message | Unread):  # grpc.aio.EOF
            raise InvalidArgument("MESSAGE_MISSING", "the call brought no whole request message", remedy="send one")
        self._check(request)
        return request

    def _many_to_one(self, method: str, handler: Handler) -> Handler:
        async def call(requests: AsyncIterator[Message], context: Any) -> Any:
            async with self._call(method, context, streams=True):
                return await handler.stream_unary(self._checked(requests), context)

        return grpc.stream_unary_rpc_method_handler(call, self._reading(handler), handler.response_serializer)

    def _many_to_many(self, method: str, handler: Handler) -> Handler:
        async def call(requests: AsyncIterator[Message], context: Any) -> AsyncIterator[Any]:
            async with self._call(method, context, streams=True):
                async for answer in _answers(handler.stream_stream(self._checked(requests), context)):
                    yield answer

        return grpc.stream_stream_rpc_method_handler(call, self._reading(handler), handler.response_serializer)

    def _check(self, message: Message | Unread) -> None:
        if isinstance(message, Unread):
            raise message
        check_required(message)

    async def _checked(self, requests: AsyncIterator[Message]) -> AsyncIterator[Message]:
        async for request in requests:
            self._check(request)
            yield request

    def _reading(self, handler: Handler) -> Callable[[bytes], Message | Unread]:
        """The handler's deserializer, giving an error for what it does not read: the runtime would log it as a bug of ours."""
        deserialize = handler.request_deserializer
        limit = self._limits.message_bytes

        def read(data: bytes) -> Message | Unread:
            if len(data) > limit:
                return ResourceExhausted(
                    "MESSAGE_TOO_LARGE",
                    f"a request message of {len(data)} bytes is over the limit of {limit}",
                    remedy="split it, or use the streaming call",
                )
            try:
                message: Message = deserialize(data)
            except DecodeError:
                return InvalidArgument(
                    "MESSAGE_MALFORMED",
                    f"a request message of {len(data)} bytes is none of this method's contract",
                    remedy="send texts as UTF-8, nest less than 100 deep, and make the client from what reflection shows",
                )
            return message

        return read


def _is_watch(method: str) -> bool:
    return method.rpartition("/")[2].startswith("Watch")


def _stopped() -> Unavailable:
    return Unavailable("SERVER_STOPPING", "the platform is stopping", remedy="retry once it runs again", retry_after=1.0)


async def _answers(handled: Any) -> AsyncIterator[Any]:
    """The answers of a streaming handler, be it an async generator or a coroutine that writes to its context."""
    if hasattr(handled, "__aiter__"):
        async for answer in handled:
            yield answer
    else:
        await handled
