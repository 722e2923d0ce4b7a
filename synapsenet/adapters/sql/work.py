"""Units of work on SQL: an area's repositories, its outbox and its request ids in one transaction."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from sqlalchemy import Connection, MetaData, delete

from synapsenet.adapters.sql.database import Background, Database, Observe
from synapsenet.adapters.sql.events import SqlEventFeed, SqlEventLog, TraceSource, untraced
from synapsenet.adapters.sql.migrate import MIGRATIONS, migrate
from synapsenet.adapters.sql.retention import Retention, Trimmer
from synapsenet.adapters.sql.sqlite import SqliteDatabase
from synapsenet.adapters.sql.tables import PlatformTables
from synapsenet.clock import Clock
from synapsenet.errors import AlreadyExists
from synapsenet.ids import IdSource
from synapsenet.platform.work import Request, UnitOfWork

T = TypeVar("T")
W = TypeVar("W", bound="SqlUnitOfWork")

_PURGE_SHARE = 1_000  # one commit in so many forgets the request ids that are past their retention


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitContext:
    """What a unit of work needs beside its connection.

    Attributes:
        trace: asked on the thread of the transaction, in the context that whoever observes the database runs it in.
    """

    tables: PlatformTables
    clock: Clock
    event_ids: IdSource
    retention: Retention
    trace: TraceSource = untraced


class SqlUnitOfWork(UnitOfWork):
    """One transaction; an area's unit of work adds its repositories."""

    events: SqlEventLog

    def __init__(self, connection: Connection, context: CommitContext) -> None:
        self._connection = connection
        self._context = context
        self.events = SqlEventLog(connection, context.tables, clock=context.clock, ids=context.event_ids, trace=context.trace)

    def earlier(self, request: Request) -> bytes | None:
        if not request.id:
            return None
        row = self._connection.execute(self._context.tables.find_request, {"id": request.id}).one_or_none()
        if row is None:
            return None
        if row.digest != request.digest:
            raise AlreadyExists(
                "REQUEST_ID_REUSED",
                field="request_id",
                remedy="it was used for another request: take a new one for every new wish",
                metadata={"request_id": request.id},
            )
        return bytes(row.answer)

    def remember(self, request: Request, answer: bytes) -> None:
        if not request.id:
            return
        requests = self._context.tables.requests
        now = self._context.clock.now()
        row = {"id": request.id, "digest": request.digest, "answer": answer, "remembered_at": now}
        self._connection.execute(self._context.tables.keep_request, row)
        if hash(request.id) % _PURGE_SHARE == 0:
            self._connection.execute(delete(requests).where(requests.c.remembered_at < now - self._context.retention.requests))


class SqlWork(Generic[W]):
    """A `WorkFactory` on one database.

    Args:
        announce: told, on the event loop, that events were committed.
        trimmer: keeps the log within its bounds where positions are given with the commit.

    Attributes:
        feed: the area's events, for watchers.
        database: for who tends the log beside units of work, such as a relay.
        tables: the platform's own tables in it.
    """

    def __init__(
        self,
        database: Database,
        context: CommitContext,
        unit: Callable[[Connection, CommitContext], W],
        feed: SqlEventFeed,
        *,
        announce: Callable[[], None],
        trimmer: Trimmer | None = None,
    ) -> None:
        self.database = database
        self.tables = context.tables
        self.feed = feed
        self._context = context
        self._unit = unit
        self._tell = announce
        self._trimmer = trimmer

    async def run(self, commit: Callable[[W], T]) -> T:
        def transaction(connection: Connection) -> tuple[T, int]:
            unit = self._unit(connection, self._context)
            return commit(unit), unit.events.appended

        result, appended = await self.database.write(transaction, committed=self._announce)
        if appended and self._trimmer is not None:
            await self._trimmer.trim(appended)
        return result

    def _announce(self, outcome: tuple[object, int]) -> None:
        if outcome[1]:
            self._tell()

    async def read(self, query: Callable[[W], T]) -> T:
        return await self.database.read(lambda connection: query(self._unit(connection, self._context)))


@asynccontextmanager
async def open_work(
    path: Path,
    *,
    area: str,
    metadata: MetaData,
    unit: Callable[[Connection, CommitContext], W],
    clock: Clock,
    event_ids: IdSource,
    retention: Retention | None = None,
    revisions: Path = MIGRATIONS,
    observe: Observe = nullcontext,
    trace: TraceSource = untraced,
    background: Background | None = None,
) -> AsyncIterator[SqlWork[W]]:
    """An area's units of work on the SQLite file `path`, migrated to this release's schema.

    Args:
        trace: gives the trace in which events are committed.
        background: takes what trims events that are too old; without it their age does not count.

    Raises:
        FailedPrecondition: DATA_IN_USE, DATA_NOT_WRITABLE, or SCHEMA_NEWER (the file was written by a newer release).
        DataLoss: DATABASE_CORRUPT.
    """
    tables, kept = PlatformTables(metadata), retention or Retention()
    context = CommitContext(tables=tables, clock=clock, event_ids=event_ids, retention=kept, trace=trace)
    database = SqliteDatabase(path)
    try:
        database.write_now(lambda connection: migrate(connection, area, revisions=revisions))
        with observe(database) as observed:
            feed = SqlEventFeed(observed, tables)
            trimmer = Trimmer(observed, tables, kept, clock)
            if kept.events_age is not None and background is not None:
                background(f"retention of {area}", trimmer.run)
            yield SqlWork(observed, context, unit, feed, announce=feed.wake, trimmer=trimmer)
    finally:
        database.close()
