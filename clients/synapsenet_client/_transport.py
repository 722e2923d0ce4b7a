"""Carrying described calls out over a blocking channel."""

from __future__ import annotations

import contextlib
import copy
import threading
from collections.abc import AsyncIterable, Callable, Generator, Iterable, Iterator
from typing import Any, Generic, TypeVar

import grpc
from google.protobuf.message import Message

from synapsenet_client._calls import Ask, Conversation, Download, Pages, Upload, Watch
from synapsenet_client._channel import open_channel
from synapsenet_client._errors import DeadlineExceeded, InvalidArgument
from synapsenet_client._options import Options
from synapsenet_client._rpc import with_request_id
from synapsenet_client._wire import Wire

A = TypeVar("A")
Q = TypeVar("Q")
R = TypeVar("R")


class Transport:
    """Calls over one channel.

    Args:
        target: where the platform listens.
        options: of the connection.
    """

    def __init__(self, target: str, options: Options) -> None:
        self._wire = Wire(open_channel(target, options), target, options)
        self._within: float | None = None

    def within(self, seconds: float) -> Transport:
        """The same connection with another deadline for every call."""
        view = copy.copy(self)
        view._within = seconds
        return view

    def connect(self, timeout: float) -> None:
        try:
            grpc.channel_ready_future(self._wire.channel).result(timeout)
        except grpc.FutureTimeoutError:
            raise DeadlineExceeded(
                f"no SynapseNet answers at {self._wire.target} within {timeout:g} s: start one with `synapsenet dev`",
                reason="UNREACHABLE",
            ) from None

    def close(self) -> None:
        self._wire.channel.close()

    def ask(self, ask: Ask[A, R]) -> R:
        answer: A = self._answer(with_request_id(ask.request))
        return ask.shape(answer)

    def pages(self, pages: Pages[A, R]) -> Iterator[R]:
        request: Any = copy.copy(pages.request)
        while True:
            page: Any = self._answer(request)
            yield from pages.items(page)
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    def watch(self, watch: Watch[A, R]) -> Stream[R]:
        call = self._call("unary_stream", type(watch.request), watch.request, self._within)
        return Stream(call, watch.shape, lambda failure: self._wire.error(failure, self._within))

    def converse(self, conversation: Conversation[Q, A, R]) -> Stream[R]:
        outgoing = Outgoing(conversation.first, conversation.items, conversation.encode)
        call = self._call("stream_stream", conversation.request, outgoing, self._within)
        outgoing.ends(call)
        return Stream(call, conversation.shape, lambda failure: outgoing.failure or self._wire.error(failure, self._within))

    def upload(self, upload: Upload[Q, A, R]) -> R:
        timeout = self._within or self._wire.options.transfer_timeout
        outgoing = Outgoing(upload.first, upload.items, upload.encode)
        call = self._wire.method("stream_unary", upload.request).future(outgoing, timeout=timeout, metadata=self._wire.metadata)
        outgoing.ends(call)
        try:
            with outgoing.own_failure_first(), self._wire.typed_errors(timeout):
                answer: A = call.result()
        finally:
            call.cancel()
        return upload.shape(answer)

    def download(self, download: Download[A, R]) -> R:
        timeout = self._within or (self._wire.options.transfer_timeout if download.bounded else None)
        sink = download.open()
        try:
            call = self._call("unary_stream", type(download.request), download.request, timeout)
            with Stream(call, _as_it_is, lambda failure: self._wire.error(failure, timeout)) as answers:
                for answer in answers:
                    sink.take(answer)
            return sink.finish()
        except BaseException:
            sink.abandon()
            raise

    def _answer(self, request: Message) -> Any:
        timeout = self._within or self._wire.options.timeout
        with self._wire.typed_errors(timeout):
            return self._call("unary_unary", type(request), request, timeout)

    def _call(self, kind: str, request: type[Message], sent: Any, timeout: float | None) -> Any:
        return self._wire.method(kind, request)(sent, timeout=timeout, metadata=self._wire.metadata)


class Stream(Generic[R]):
    """Answers as they arrive. Iterate over it; `close` it, or leave its `with` block, to end the call early."""

    def __init__(self, call: Any, shape: Callable[[Any], R | None], error: Callable[[grpc.RpcError], BaseException]) -> None:
        self._call = call
        self._shape = shape
        self._error = error
        self._closed = threading.Event()

    def __iter__(self) -> Stream[R]:
        return self

    def __next__(self) -> R:
        while not self._closed.is_set():
            try:
                item = self._shape(next(self._call))
            except grpc.RpcError as failure:
                if self._closed.is_set():
                    break
                self._closed.set()
                raise self._error(failure) from failure
            if item is not None:
                return item
        raise StopIteration

    def close(self) -> None:
        """End the call; iterating then simply stops, also in another thread."""
        self._closed.set()
        self._call.cancel()

    def __enter__(self) -> Stream[R]:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class Outgoing(Generic[Q]):
    """The messages of an upload; what goes wrong while the caller's items are drawn ends the call, for the caller to see.

    gRPC draws them in a thread of its own, where an exception would only be logged.
    """

    def __init__(self, first: Iterable[Message], items: Iterable[Q] | AsyncIterable[Q], encode: Callable[[Q], Message]) -> None:
        if not isinstance(items, Iterable):
            raise InvalidArgument(
                "items: only the asyncio client can draw from an async iterable: use connect_async, or a plain iterable",
                reason="ITEMS_NOT_ITERABLE",
            )
        self.failure: Exception | None = None
        self._messages = self._drawn(first, items, encode)
        self._call: Any = None
        self._has_call = threading.Event()

    def ends(self, call: Any) -> None:
        """`call` is what a failing item ends."""
        self._call = call
        self._has_call.set()

    def __iter__(self) -> Iterator[Message]:
        return self

    def __next__(self) -> Message:
        try:
            return next(self._messages)
        except StopIteration:
            raise
        except Exception as failure:  # noqa: BLE001  # whatever it is, the caller of the upload gets it
            self.failure = failure
            self._has_call.wait()
            self._call.cancel()
            raise StopIteration from None

    def _drawn(self, first: Iterable[Message], items: Iterable[Q], encode: Callable[[Q], Message]) -> Iterator[Message]:
        yield from first
        for item in items:
            yield encode(item)

    @contextlib.contextmanager
    def own_failure_first(self) -> Generator[None]:
        """Raise what went wrong in the caller's items rather than the cancelled call that followed from it."""
        try:
            yield
        except Exception:
            if self.failure is not None:
                raise self.failure from None
            raise


def _as_it_is(answer: A) -> A:
    return answer
