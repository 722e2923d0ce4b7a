"""The unit of work: what must be true together is written together.

An area extends `UnitOfWork` with its repositories; an adapter provides a `WorkFactory` of it. A commit is one synchronous
function from the unit of work to a result: it runs whole, or leaves nothing.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from synapsenet.errors import InvalidArgument
from synapsenet.platform.events import EventLog
from synapsenet.platform.records import decode, encode

T = TypeVar("T")
W_co = TypeVar("W_co", bound="UnitOfWork", covariant=True)

LONGEST_REQUEST_ID = 128


@dataclass(frozen=True, slots=True)
class Request:
    """One call as its caller identified it.

    Attributes:
        id: chosen by the caller, the same for every retry, up to 128 characters; empty if the caller gave none.
        digest: SHA-256 over the method and the body without the id, so that reuse for another wish is noticed.

    Raises:
        InvalidArgument: REQUEST_ID_TOO_LONG.
    """

    id: str = ""
    digest: bytes = b""

    def __post_init__(self) -> None:
        if len(self.id) > LONGEST_REQUEST_ID:
            remedy = f"keep it to {LONGEST_REQUEST_ID} characters, a UUID will do"
            raise InvalidArgument("REQUEST_ID_TOO_LONG", "request_id is too long", field="request_id", remedy=remedy)


ANONYMOUS = Request()


class UnitOfWork(ABC):
    """One transaction over an area's records, its outbox and its request ids: all of it happens, or none."""

    events: EventLog

    @abstractmethod
    def earlier(self, request: Request) -> bytes | None:
        """What an earlier call with this request id remembered; None if there was no such call.

        Raises:
            AlreadyExists: REQUEST_ID_REUSED, that call's body differed.
        """

    @abstractmethod
    def remember(self, request: Request, answer: bytes) -> None:
        """Keep `answer` for `earlier`; a request without an id is not kept."""

    def once(self, request: Request, kind: type[T], make: Callable[[], T]) -> T:
        """`make()`, or what it gave when this request was first carried out.

        Raises:
            AlreadyExists: REQUEST_ID_REUSED, the request id was used with another body.
        """
        if (answer := self.earlier(request)) is not None:
            return decode(kind, answer)
        made = make()
        self.remember(request, encode(made))
        return made


class WorkFactory(Protocol[W_co]):
    """Runs functions inside units of work."""

    async def run(self, commit: Callable[[W_co], T]) -> T:
        """Run `commit` in one serialized transaction; what it raises rolls all of it back. Durable on return."""
        ...

    async def read(self, query: Callable[[W_co], T]) -> T:
        """Run `query` on one consistent snapshot, beside writers; it must not write."""
        ...
