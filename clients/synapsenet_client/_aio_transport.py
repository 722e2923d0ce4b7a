"""Carrying described calls out over an asyncio channel; the counterpart of `_transport`, method by method."""

from __future__ import annotations

import asyncio
import contextlib
import copy
from collections.abc import AsyncIterable, AsyncIterator, Callable, Collection, Generator, Iterable
from typing import Any, Generic, TypeVar

import grpc
from google.protobuf.message import Message

from synapsenet_client._calls import Ask, Conversation, Download, Pages, Upload, Watch
from synapsenet_client._channel import open_aio_channel
from synapsenet_client._errors import DeadlineExceeded
from synapsenet_client._options import Options
from synapsenet_client._rpc import with_request_id
from synapsenet_client._wire import Wire

A = TypeVar("A")
Q = TypeVar("Q")
R = TypeVar("R")

_END: Any = object()


class AsyncTransport:
    """Calls over one asyncio channel. Made inside a running loop, and used in that loop only.

    Args:
        target: where the platform listens.
        options: of the connection.
    """

    def __init__(self, target: str, options: Options) -> None:
        self._wire = Wire(open_aio_channel(target, options), target, options)
        self._within: float | None = None

    def within(self, seconds: float) -> AsyncTransport:
        """The same connection with another deadline for every call."""
        view = copy.copy(self)
        view._within = seconds
        return view

    async def connect(self, timeout: float) -> None:
        try:
            await asyncio.wait_for(self._wire.channel.channel_ready(), timeout)
        except TimeoutError:
            raise DeadlineExceeded(
                f"no SynapseNet answers at {self._wire.target} within {timeout:g} s: start one with `synapsenet dev`",
                reason="UNREACHABLE",
            ) from None

    async def close(self) -> None:
        await self._wire.channel.close(None)

    async def ask(self, ask: Ask[A, R]) -> R:
        answer: A = await self._answer(with_request_id(ask.request))
        return ask.shape(answer)

    async def pages(self, pages: Pages[A, R]) -> AsyncIterator[R]:
        request: Any = copy.copy(pages.request)
        while True:
            page: Any = await self._answer(request)
            for item in pages.items(page):
                yield item
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    def watch(self, watch: Watch[A, R]) -> AsyncStream[R]:
        call = self._call("unary_stream", type(watch.request), watch.request, self._within)
        return AsyncStream(call, watch.shape, lambda failure: self._wire.error(failure, self._within))

    def converse(self, conversation: Conversation[Q, A, R]) -> AsyncStream[R]:
        outgoing = AsyncOutgoing(conversation.first, conversation.items, conversation.encode)
        call = self._call("stream_stream", conversation.request, outgoing.messages(), self._within)
        outgoing.ends(call)
        return AsyncStream(
            call,
            conversation.shape,
            lambda failure: self._wire.error(failure, self._within),
            own_failure=lambda: outgoing.failure,
        )

    async def upload(self, upload: Upload[Q, A, R]) -> R:
        timeout = self._within or self._wire.options.transfer_timeout
        outgoing = AsyncOutgoing(upload.first, upload.items, upload.encode)
        with outgoing.own_failure_first(), self._wire.typed_errors(timeout):
            call = self._call("stream_unary", upload.request, outgoing.messages(), timeout)
            outgoing.ends(call)
            answer: A = await call
        return upload.shape(answer)

    async def download(self, download: Download[A, R]) -> R:
        timeout = self._within or (self._wire.options.transfer_timeout if download.bounded else None)
        sink = await asyncio.to_thread(download.open)
        try:
            call = self._call("unary_stream", type(download.request), download.request, timeout)
            async with AsyncStream(call, _as_it_is, lambda failure: self._wire.error(failure, timeout)) as answers:
                async for answer in answers:
                    await asyncio.to_thread(sink.take, answer)
            return await asyncio.to_thread(sink.finish)
        except BaseException:
            sink.abandon()
            raise

    async def _answer(self, request: Message) -> Any:
        timeout = self._within or self._wire.options.timeout
        with self._wire.typed_errors(timeout):
            return await self._call("unary_unary", type(request), request, timeout)

    def _call(self, kind: str, request: type[Message], sent: Any, timeout: float | None) -> Any:
        return self._wire.method(kind, request)(sent, timeout=timeout, metadata=self._wire.metadata)


class AsyncStream(Generic[R]):
    """Answers as they arrive. `async for` over it; `await close()`, or leave its `async with` block, to end the call early."""

    def __init__(
        self,
        call: Any,
        shape: Callable[[Any], R | None],
        error: Callable[[grpc.RpcError], BaseException],
        *,
        own_failure: Callable[[], Exception | None] = lambda: None,
    ) -> None:
        self._call = call
        self._shape = shape
        self._error = error
        self._own_failure = own_failure
        self._closed = False

    def __aiter__(self) -> AsyncStream[R]:
        return self

    async def __anext__(self) -> R:
        while not self._closed:
            answer = await self._read()
            if answer is _END:
                break
            if (item := self._shape(answer)) is not None:
                return item
        raise StopAsyncIteration

    async def _read(self) -> Any:
        try:
            answer = await self._call.read()
        except grpc.RpcError as failure:
            raise self._error(failure) from failure
        except asyncio.CancelledError:
            if (problem := self._own_failure()) is not None:
                raise problem from None
            if self._closed:
                return _END
            raise
        if (problem := self._own_failure()) is not None:
            raise problem
        return _END if answer is grpc.aio.EOF else answer  # type: ignore[attr-defined]  # missing in grpc-stubs

    async def close(self) -> None:
        """End the call; iterating then simply stops, also in another task."""
        self._closed = True
        self._call.cancel()

    async def __aenter__(self) -> AsyncStream[R]:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()


class AsyncOutgoing(Generic[Q]):
    """The messages of an upload; what goes wrong while the caller's items are drawn ends the call, for the caller to see."""

    def __init__(self, first: Iterable[Message], items: Iterable[Q] | AsyncIterable[Q], encode: Callable[[Q], Message]) -> None:
        self.failure: Exception | None = None
        self._first = first
        self._items = items
        self._encode = encode
        self._call: Any = None

    def ends(self, call: Any) -> None:
        """`call` is what a failing item ends; gRPC draws the first message when the loop gets its turn, so after this."""
        self._call = call

    async def messages(self) -> AsyncIterator[Message]:
        try:
            for message in self._first:
                yield message
            async for item in _drawn(self._items):
                yield self._encode(item)
        except Exception as failure:  # noqa: BLE001  # whatever it is, the caller of the upload gets it
            self.failure = failure
            self._call.cancel()

    @contextlib.contextmanager
    def own_failure_first(self) -> Generator[None]:
        """Raise what went wrong in the caller's items rather than the cancelled call that followed from it."""
        try:
            yield
        except (Exception, asyncio.CancelledError):
            if self.failure is not None:
                raise self.failure from None
            raise


def _as_it_is(answer: A) -> A:
    return answer


async def _drawn(items: Iterable[Q] | AsyncIterable[Q]) -> AsyncIterator[Q]:
    """`items` one by one; an iterable that may block (a file, a generator) is drawn in a thread."""
    if isinstance(items, AsyncIterable):
        async for item in items:
            yield item
    elif isinstance(items, Collection):
        for item in items:
            yield item
    else:
        source = iter(items)
        while (item := await asyncio.to_thread(next, source, _END)) is not _END:
            yield item
