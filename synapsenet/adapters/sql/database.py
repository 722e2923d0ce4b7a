"""What the platform asks of a database, whichever it is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy import Connection, Engine

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """A database's connections for one purpose, as they are at the moment.

    Attributes:
        purpose: what they are for, one word.
        used: connections on which somebody's work goes on.
        idle: connections that are open and free.
        most: connections that may be open.
    """

    purpose: str
    used: int
    idle: int
    most: int


class Database(ABC):
    """Runs functions of a connection: units of work one after the other, readers beside them.

    Whatever goes wrong with the database itself is raised as one of the platform's errors, which names the database:
    Unavailable DATABASE_UNAVAILABLE (away, nothing was stored) or COMMIT_UNKNOWN; ResourceExhausted DATABASE_BUSY or
    STORAGE_FULL; DataLoss DATABASE_CORRUPT.

    Attributes:
        name: what people know it by: a file's name, an area.
        engines: what its connections come from: for whoever tells of statements.
    """

    name: str
    engines: Sequence[Engine]

    @abstractmethod
    async def write(
        self, commit: Callable[[Connection], T], *, relaxed: bool = False, committed: Callable[[T], None] | None = None
    ) -> T:
        """`commit` in one transaction that sees all before it and none beside it; durable on return.

        `committed` is told of its result on the event loop, also if the caller has given up waiting. `relaxed`
        leaves the flush to the next durable commit: for writes that can be made again from what is durable.
        """

    @abstractmethod
    async def read(self, query: Callable[[Connection], T]) -> T:
        """`query` on one snapshot, beside the writers."""

    @abstractmethod
    async def tend(self, job: Callable[[Connection], T], *, relaxed: bool = False) -> T:
        """`job` in a durable transaction that may go on beside units of work: for what none of them writes, such as positions
        and what is kept of the log. `relaxed` as in `write`."""

    @abstractmethod
    def write_now(self, commit: Callable[[Connection], T]) -> T:
        """`commit` on the calling thread: for opening and migrating, before anybody else writes."""

    @abstractmethod
    def pools(self) -> Sequence[Pool]:
        """Its connections, by purpose; to be asked on the event loop."""

    @abstractmethod
    def close(self) -> None:
        """Let what was begun end, then give the database up."""


Background = Callable[[str, Callable[[], Awaitable[None]]], None]
"""Takes the name of work that must go on as long as the process, and the work."""

# Gives what stands for a database while it is open: itself, or one that also tells of what it does.
Observe = Callable[[Database], AbstractContextManager[Database]]
