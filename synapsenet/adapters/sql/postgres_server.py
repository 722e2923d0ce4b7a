"""The cluster profile's records: every area a schema of one PostgreSQL database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from pathlib import Path
from typing import Protocol, TypeVar

import psycopg
from sqlalchemy import Connection, MetaData

from synapsenet.adapters.sql.database import Background, Database, Observe
from synapsenet.adapters.sql.epochs import SqlEpochs
from synapsenet.adapters.sql.events import SqlEventFeed, TraceSource, untraced
from synapsenet.adapters.sql.migrate import MIGRATIONS, migrate
from synapsenet.adapters.sql.notices import News, Notices
from synapsenet.adapters.sql.postgres import PostgresDatabase, connect
from synapsenet.adapters.sql.postgres_failures import translated_postgres
from synapsenet.adapters.sql.postgres_options import PostgresOptions
from synapsenet.adapters.sql.retention import Retention, Trimmer
from synapsenet.adapters.sql.sequencer import Sequencer
from synapsenet.adapters.sql.tables import PlatformTables
from synapsenet.adapters.sql.work import CommitContext, SqlUnitOfWork, SqlWork
from synapsenet.clock import Clock
from synapsenet.errors import FailedPrecondition
from synapsenet.ids import IdSource
from synapsenet.platform.locks import Locks

W = TypeVar("W", bound=SqlUnitOfWork)

COORDINATION = "coordination"
_OLDEST_RELEASE = 14


class PostgresServer:
    """A database server that answered.

    Attributes:
        coordination: the schema that belongs to no area.
        epochs: of counters kept elsewhere.
        notices: to be run in the background once.
        observe: for each area's database, what stands for it.
    """

    def __init__(
        self, options: PostgresOptions, clock: Clock, coordination: Database, observe: Callable[[str], Observe]
    ) -> None:
        self.observe = observe
        self.options = options
        self.clock = clock
        self.coordination = coordination
        self.epochs = SqlEpochs(coordination)
        self.notices = Notices(options, clock)


class OpenPostgresRecords(Protocol):
    """Opens an area's records in its schema."""

    def __call__(
        self, area: str, *, metadata: MetaData, unit: Callable[[Connection, CommitContext], W]
    ) -> AbstractAsyncContextManager[SqlWork[W]]:
        """The units of work of `area`, its schema brought to this release's.

        Raises:
            FailedPrecondition: SCHEMA_NEWER, DATA_NOT_WRITABLE.
            Unavailable: DATABASE_UNAVAILABLE.
        """
        ...


@asynccontextmanager
async def open_postgres(
    options: PostgresOptions, clock: Clock, *, observe: Callable[[str], Observe] = lambda _area: nullcontext
) -> AsyncIterator[PostgresServer]:
    """The server that `options` name, inside an `async with`.

    Args:
        observe: for each area, gives what stands for its database.

    Raises:
        Unavailable: DATABASE_UNAVAILABLE.
        FailedPrecondition: DATABASE_LOGIN_REFUSED, DATABASE_UNKNOWN, DATABASE_TOO_OLD, DATABASE_IS_STANDBY, SCHEMA_NEWER.
        ResourceExhausted: DATABASE_CONNECTIONS_EXHAUSTED.
    """
    await asyncio.to_thread(_check, options)
    async with open_schema(COORDINATION, options) as coordination:
        with observe(COORDINATION)(coordination) as observed:
            yield PostgresServer(options, clock, observed, observe)


@asynccontextmanager
async def open_schema(area: str, options: PostgresOptions, *, revisions: Path = MIGRATIONS) -> AsyncIterator[PostgresDatabase]:
    """The schema of `area`, made or brought to this release's, by one process at a time."""
    database = PostgresDatabase(area, options)
    try:
        await asyncio.to_thread(_migrate, database, revisions)
        yield database
    finally:
        await asyncio.to_thread(database.close)


def postgres_records(
    server: PostgresServer,
    *,
    locks: Locks,
    holder: str,
    event_ids: IdSource,
    background: Background,
    retention: Retention | None = None,
    revisions: Path = MIGRATIONS,
    trace: TraceSource = untraced,
) -> OpenPostgresRecords:
    """What opens areas' records on `server`.

    Args:
        locks: for the leases of the sequencers, `sequencer/<area>`.
        holder: this process, for those who ask who has a lease.
        background: takes the sequencer of each area that is opened, and once what listens to other processes.
        trace: gives the trace in which events are committed.
    """
    kept = retention or Retention()
    background("notices of the database", server.notices.run)

    @asynccontextmanager
    async def open_records(
        area: str, *, metadata: MetaData, unit: Callable[[Connection, CommitContext], W]
    ) -> AsyncIterator[SqlWork[W]]:
        tables = PlatformTables(metadata, positioned=False)
        context = CommitContext(tables=tables, clock=server.clock, event_ids=event_ids, retention=kept, trace=trace)
        async with open_schema(area, server.options, revisions=revisions) as opened:
            with server.observe(area)(opened) as database:
                feed = SqlEventFeed(database, tables)
                trimmer = Trimmer(database, tables, kept, server.clock)
                sequencer = Sequencer(database, tables, feed, locks=locks, holder=holder, clock=server.clock, trimmer=trimmer)
                server.notices.listen(area, News.POSITIONED, feed.wake)
                server.notices.listen(area, News.COMMITTED, sequencer.look)
                background(f"sequencer of {area}", sequencer.run)
                yield SqlWork(database, context, unit, feed, announce=sequencer.committed)

    return open_records


def _migrate(database: PostgresDatabase, revisions: Path) -> None:
    def commit(connection: Connection) -> None:
        connection.exec_driver_sql(f'CREATE SCHEMA IF NOT EXISTS "{database.name}"')
        migrate(connection, database.name, revisions=revisions)

    database.prepare(commit)


def _check(options: PostgresOptions) -> None:
    """See that the server answers, is of a release that will do, and is the one that takes writes."""
    try:
        with connect(options, COORDINATION) as connection:
            release = connection.info.server_version // 10_000
            row = connection.execute("SELECT pg_is_in_recovery()").fetchone()
    except psycopg.Error as error:
        raise translated_postgres(error, COORDINATION) from error
    if release < _OLDEST_RELEASE:
        raise FailedPrecondition(
            "DATABASE_TOO_OLD", f"the server is PostgreSQL {release}", remedy=f"run {_OLDEST_RELEASE} or a later one"
        )
    if row is not None and row[0]:
        raise FailedPrecondition(
            "DATABASE_IS_STANDBY", "postgres.url names a standby, which takes no writes", remedy="name the primary"
        )
