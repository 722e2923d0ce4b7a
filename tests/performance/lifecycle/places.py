"""The coordinator's records on each database, and beside them the same tables for bare statements."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.schema import CreateSchema

from synapsenet.adapters.sql.lifecycle import SqlLifecycleWork, metadata
from synapsenet.adapters.sql.postgres_options import PostgresOptions
from synapsenet.adapters.sql.work import SqlWork
from synapsenet.clock import SystemClock
from tests.contract.databases import OpenRecords, schema_records, sqlite_records
from tests.performance.cluster import bench_commit_postgres as postgres
from tests.performance.platform import bench_commit as sqlite
from tests.postgres_server import postgres_server

AREA = "lifecycle"
CLOCK = SystemClock()

Alike = Mapping[str, tuple[object, object]]
Settings = Callable[[Connection], dict[str, object]]


class MeasuredWork(SqlLifecycleWork):
    """The coordinator's unit of work, which also tells how durable its connection is."""

    def told(self, settings: Settings) -> dict[str, object]:
        return settings(self._connection)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where both sides keep their rows.

    Attributes:
        work: ours, with all that goes on beside it.
        bare: an engine on the same kind of database, with the same tables.
        alike: how durable and isolated either side is.
        folder: for what else a bench keeps.
    """

    work: SqlWork[MeasuredWork]
    bare: Engine
    alike: Alike
    folder: Path


@asynccontextmanager
async def on_sqlite() -> AsyncIterator[Place]:
    """A file each."""
    with tempfile.TemporaryDirectory() as folder:
        engine = sqlite.durable_engine(Path(folder) / "bare.db")
        metadata.create_all(engine)
        async with _place(sqlite_records(Path(folder)), sqlite.settings, engine, Path(folder)) as place:
            yield place


@asynccontextmanager
async def on_postgres() -> AsyncIterator[Place]:
    """A schema each, on one server."""
    with tempfile.TemporaryDirectory() as folder, postgres_server() as server:
        url = server.url.replace("postgresql:", "postgresql+psycopg:")
        engine = create_engine(url, connect_args={"options": "-c search_path=bare"})
        with engine.begin() as connection:
            connection.execute(CreateSchema("bare"))
            metadata.create_all(connection)
        records = schema_records(PostgresOptions(url=server.url), Path(folder))
        async with _place(records, postgres.settings, engine, Path(folder)) as place:
            yield place


@asynccontextmanager
async def _place(records: OpenRecords, settings: Settings, engine: Engine, folder: Path) -> AsyncIterator[Place]:
    try:
        async with records(AREA, metadata=metadata, unit=MeasuredWork, clock=CLOCK) as work:
            ours = await work.run(lambda tx: tx.told(settings))
            with engine.connect() as connection, connection.begin():
                theirs = settings(connection)
            alike = {name: (ours[name], theirs[name]) for name in ours}
            yield Place(work=work, bare=engine, alike=alike, folder=folder)
    finally:
        engine.dispose()
