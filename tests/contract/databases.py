"""The databases that every SQL adapter is tried on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Protocol, TypeVar

import psycopg
from sqlalchemy import Connection, Engine, MetaData, create_engine
from sqlalchemy.pool import NullPool

from synapsenet.adapters.sql.coordination import open_coordination
from synapsenet.adapters.sql.locks import SqlLocks
from synapsenet.adapters.sql.migrate import MIGRATIONS
from synapsenet.adapters.sql.postgres import connect
from synapsenet.adapters.sql.postgres_options import PostgresOptions
from synapsenet.adapters.sql.postgres_server import open_postgres, postgres_records
from synapsenet.adapters.sql.retention import Retention
from synapsenet.adapters.sql.work import CommitContext, SqlUnitOfWork, SqlWork, open_work
from synapsenet.clock import Clock, SystemClock
from synapsenet.ids import RandomIds

W = TypeVar("W", bound=SqlUnitOfWork)

KINDS = ("sqlite", "postgres")


class OpenRecords(Protocol):
    """Opens an area's records, as a profile does; what was stored is there when they are opened again."""

    def __call__(
        self,
        area: str,
        *,
        metadata: MetaData,
        unit: Callable[[Connection, CommitContext], W],
        clock: Clock,
        retention: Retention | None = None,
        revisions: Path = MIGRATIONS,
    ) -> AbstractAsyncContextManager[SqlWork[W]]: ...


def sqlite_records(folder: Path) -> OpenRecords:
    """Each area a file in `folder`."""

    @asynccontextmanager
    async def opened(
        area: str,
        *,
        metadata: MetaData,
        unit: Callable[[Connection, CommitContext], W],
        clock: Clock,
        retention: Retention | None = None,
        revisions: Path = MIGRATIONS,
    ) -> AsyncIterator[SqlWork[W]]:
        async with in_background() as background:
            opening = open_work(
                folder / f"{area}.sqlite",
                area=area,
                metadata=metadata,
                unit=unit,
                clock=clock,
                event_ids=RandomIds("event"),
                retention=retention,
                revisions=revisions,
                background=background,
            )
            async with opening as work:
                yield work

    return opened


def schema_records(options: PostgresOptions, folder: Path) -> OpenRecords:
    """Each area a schema, with its sequencer at work; leases are kept in `folder`."""

    @asynccontextmanager
    async def opened(
        area: str,
        *,
        metadata: MetaData,
        unit: Callable[[Connection, CommitContext], W],
        clock: Clock,
        retention: Retention | None = None,
        revisions: Path = MIGRATIONS,
    ) -> AsyncIterator[SqlWork[W]]:
        async with (
            open_coordination(folder / "leases.sqlite") as leases,
            open_postgres(options, clock) as server,
            in_background() as background,
        ):
            records = postgres_records(
                server,
                locks=SqlLocks(leases, SystemClock()),
                holder="test",
                event_ids=RandomIds("event"),
                background=background,
                retention=retention,
                revisions=revisions,
            )
            async with records(area, metadata=metadata, unit=unit) as work:
                yield work

    return opened


@asynccontextmanager
async def in_background() -> AsyncIterator[Callable[[str, Callable[[], Awaitable[None]]], None]]:
    """Runs what is handed to it until the end of the `async with`, by when none of it may have ended by itself."""
    running: list[asyncio.Task[None]] = []

    async def run(work: Callable[[], Awaitable[None]]) -> None:
        await work()

    def start(name: str, work: Callable[[], Awaitable[None]]) -> None:
        running.append(asyncio.create_task(run(work), name=name))

    try:
        yield start
        ended = [task for task in running if task.done()]
        assert not ended, ended
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


def drop_schemas(options: PostgresOptions) -> None:
    """Leave nothing of ours."""
    with psycopg.connect(options.url, autocommit=True) as connection:
        for schema in _schemas(connection):
            connection.execute(f'DROP SCHEMA "{schema}" CASCADE'.encode())


def clear_schemas(options: PostgresOptions) -> None:
    """Leave the schemas as their migrations made them: far quicker than to make them anew."""
    query = "SELECT schemaname, tablename FROM pg_tables WHERE schemaname = ANY(%s) AND tablename <> 'alembic_version'"
    numbering = "SELECT schemaname, sequencename FROM pg_sequences WHERE schemaname = ANY(%s) AND last_value IS NOT NULL"
    with psycopg.connect(options.url, autocommit=True) as connection:
        schemas = _schemas(connection)
        statements = ["SET session_replication_role = replica"]  # keys that refer to others are not looked at
        for schema, table in connection.execute(query, [schemas]).fetchall():
            bounds = table == "log_bounds"
            statements.append(
                f'UPDATE "{schema}".log_bounds SET trimmed = 0, newest = 0, fence = 0'
                if bounds
                else f'DELETE FROM "{schema}"."{table}"'
            )
        for schema, sequence in connection.execute(numbering, [schemas]).fetchall():
            statements.append(f'ALTER SEQUENCE "{schema}"."{sequence}" RESTART')
        connection.execute("; ".join(statements).encode())


def _schemas(connection: psycopg.Connection[tuple[str, ...]]) -> list[str]:
    query = "SELECT nspname FROM pg_namespace WHERE nspname !~ '^(pg_|information_schema|public)'"
    return [name for (name,) in connection.execute(query).fetchall()]


class Place(Protocol):
    """Where an area's empty database may be made by hand."""

    def __call__(self, area: str) -> AbstractContextManager[Engine]: ...


@contextmanager
def sqlite_engine(folder: Path, area: str) -> Iterator[Engine]:
    """The file of `area`, empty at first."""
    engine = create_engine(f"sqlite:///{folder / f'{area}.sqlite'}")
    try:
        yield engine
    finally:
        engine.dispose()


@contextmanager
def schema_engine(options: PostgresOptions, area: str) -> Iterator[Engine]:
    """The schema of `area`, empty at first."""
    with connect(options, area) as connection:
        connection.execute(f'CREATE SCHEMA IF NOT EXISTS "{area}"'.encode())

    def plain() -> psycopg.Connection[object]:
        connection = connect(options, area)
        connection.autocommit = False
        return connection

    engine = create_engine("postgresql+psycopg://", creator=plain, poolclass=NullPool)
    try:
        yield engine
    finally:
        engine.dispose()
