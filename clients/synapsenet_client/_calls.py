"""How an area's methods are described once and bound twice.

A method of an area does not call anything: it builds a description (which request, how the answer is shaped). The decorator
above it hands the description to the transport of the object it is called on: a `Blocking` area returns the result, an
`Asyncio` area a coroutine for it. Arguments, docstrings and shaping stand once for both, and both are fully typed.

    decorator     description               on a Blocking area    on an Asyncio area
    @answering    Ask, Upload, Download     R                     Coroutine of R
    @paging       Pages                     Iterator[R]           AsyncIterator[R]
    @streaming    Watch, Conversation       Stream[R]             AsyncStream[R]
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterable, AsyncIterator, Callable, Coroutine, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import update_wrapper
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar, overload

from google.protobuf.message import Message

if TYPE_CHECKING:
    from synapsenet_client._aio_transport import AsyncStream, AsyncTransport
    from synapsenet_client._transport import Stream, Transport

P = ParamSpec("P")
A = TypeVar("A")
Q = TypeVar("Q")
R = TypeVar("R")
A_contra = TypeVar("A_contra", contravariant=True)
R_co = TypeVar("R_co", covariant=True)


class Call(ABC, Generic[R_co]):
    """A described call; `through` has a transport, blocking or asyncio, carry it out."""

    __slots__ = ()

    @abstractmethod
    def through(self, transport: Any) -> Any: ...


class Answered(Call[R_co]):
    """A call that ends with one result."""

    __slots__ = ()


class Streamed(Call[R_co]):
    """A call whose results arrive one by one."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Ask(Answered[R], Generic[A, R]):
    """One request, one answer."""

    request: Message
    shape: Callable[[A], R]

    def through(self, transport: Any) -> Any:
        return transport.ask(self)


@dataclass(frozen=True, slots=True)
class Pages(Call[R], Generic[A, R]):
    """A list read page by page, as far as the caller iterates: `items` takes them out of one page."""

    request: Message
    items: Callable[[A], Iterable[R]]

    def through(self, transport: Any) -> Any:
        return transport.pages(self)


@dataclass(frozen=True, slots=True)
class Watch(Streamed[R], Generic[A, R]):
    """One request, answers for as long as both sides stay. An answer shaped to None is not for the caller."""

    request: Message
    shape: Callable[[A], R | None]

    def through(self, transport: Any) -> Any:
        return transport.watch(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload(Answered[R], Generic[Q, A, R]):
    """Many requests, one answer.

    Attributes:
        request: class of the messages that are sent.
        items: what the caller gives; on an asyncio client a blocking iterable is drawn off the event loop.
        encode: one item as a message.
        shape: the answer as the caller gets it.
        first: messages that go ahead of the items.
    """

    request: type[Message]
    items: Iterable[Q] | AsyncIterable[Q]
    encode: Callable[[Q], Message]
    shape: Callable[[A], R]
    first: Sequence[Message] = ()

    def through(self, transport: Any) -> Any:
        return transport.upload(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation(Streamed[R], Generic[Q, A, R]):
    """Requests and answers that flow at the same time; attributes as of Upload, answers as of Watch."""

    request: type[Message]
    items: Iterable[Q] | AsyncIterable[Q]
    encode: Callable[[Q], Message]
    shape: Callable[[A], R | None]
    first: Sequence[Message] = ()

    def through(self, transport: Any) -> Any:
        return transport.converse(self)


class Sink(Protocol[A_contra, R_co]):
    """Where a download goes. It may block: the asyncio transport keeps it off the event loop."""

    def take(self, answer: A_contra) -> None: ...

    def finish(self) -> R_co:
        """Everything arrived: make it visible."""

    def abandon(self) -> None:
        """It broke off: leave nothing behind."""


@dataclass(frozen=True, slots=True)
class Download(Answered[R], Generic[A, R]):
    """One request, many answers that together are one thing.

    Attributes:
        request: what is sent.
        open: makes the sink, once the call begins.
        bounded: whether the transfer deadline holds; without it the call may last as long as what it waits for.
    """

    request: Message
    open: Callable[[], Sink[A, R]]
    bounded: bool = True

    def through(self, transport: Any) -> Any:
        return transport.download(self)


class Blocking:
    """An area on a blocking client."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport


class Asyncio:
    """An area on an asyncio client."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport


class _Described(Generic[P]):
    """A described method of an area: a descriptor that binds it to the area's transport."""

    def __init__(self, describe: Callable[Concatenate[Any, P], Call[Any]]) -> None:
        self._describe = describe
        self.__doc__ = describe.__doc__
        self.__wrapped__ = describe

    def _bind(self, area: Any) -> Any:
        if area is None:
            return self

        def call(*args: P.args, **kwargs: P.kwargs) -> Any:
            return self._describe(area, *args, **kwargs).through(area._transport)

        return update_wrapper(call, self._describe)


class answering(_Described[P], Generic[P, R]):  # noqa: N801  # reads like property
    """Makes a method that describes an `Answered` call into one that returns its result."""

    def __init__(self, describe: Callable[Concatenate[Any, P], Answered[R]]) -> None:
        super().__init__(describe)

    @overload
    def __get__(self, area: Blocking, owner: type) -> Callable[P, R]: ...
    @overload
    def __get__(self, area: Asyncio, owner: type) -> Callable[P, Coroutine[Any, Any, R]]: ...
    @overload
    def __get__(self, area: None, owner: type) -> answering[P, R]: ...
    def __get__(self, area: Any, owner: type) -> Any:
        return self._bind(area)


class paging(_Described[P], Generic[P, R]):  # noqa: N801  # reads like property
    """Makes a method that describes `Pages` into one that iterates over all their items."""

    def __init__(self, describe: Callable[Concatenate[Any, P], Pages[Any, R]]) -> None:
        super().__init__(describe)

    @overload
    def __get__(self, area: Blocking, owner: type) -> Callable[P, Iterator[R]]: ...
    @overload
    def __get__(self, area: Asyncio, owner: type) -> Callable[P, AsyncIterator[R]]: ...
    @overload
    def __get__(self, area: None, owner: type) -> paging[P, R]: ...
    def __get__(self, area: Any, owner: type) -> Any:
        return self._bind(area)


class streaming(_Described[P], Generic[P, R]):  # noqa: N801  # reads like property
    """Makes a method that describes a `Streamed` call into one that returns its stream."""

    def __init__(self, describe: Callable[Concatenate[Any, P], Streamed[R]]) -> None:
        super().__init__(describe)

    @overload
    def __get__(self, area: Blocking, owner: type) -> Callable[P, Stream[R]]: ...
    @overload
    def __get__(self, area: Asyncio, owner: type) -> Callable[P, AsyncStream[R]]: ...
    @overload
    def __get__(self, area: None, owner: type) -> streaming[P, R]: ...
    def __get__(self, area: Any, owner: type) -> Any:
        return self._bind(area)
