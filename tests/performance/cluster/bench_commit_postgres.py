"""What a unit of work on PostgreSQL costs beside its bare statements."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path

from sqlalchemy import Connection, create_engine
from sqlalchemy.schema import CreateSchema

from synapsenet.adapters.sql.postgres_options import PostgresOptions
from synapsenet.clock import SystemClock
from tests.contract.databases import schema_records
from tests.contract.sql import ledger
from tests.performance.benchmark import Bench, Benchmark, Length
from tests.performance.booking import BareLedger
from tests.performance.commits import MeasuredWork, commit_benchmark
from tests.postgres_server import postgres_server

SETTINGS = ("fsync", "synchronous_commit", "full_page_writes", "wal_sync_method", "transaction_isolation")


def settings(connection: Connection) -> dict[str, object]:
    return {name: connection.exec_driver_sql(f"SHOW {name}").scalar() for name in SETTINGS}


@asynccontextmanager
async def commits(length: Length) -> AsyncIterator[Sequence[Benchmark]]:
    """One caller, one commit at a time; the sequencer gives positions meanwhile, as it always does."""
    with tempfile.TemporaryDirectory() as folder, postgres_server() as server:
        url = server.url.replace("postgresql:", "postgresql+psycopg:")
        engine = create_engine(url, connect_args={"options": "-c search_path=bare"})
        with engine.begin() as connection:
            connection.execute(CreateSchema("bare"))
            ledger.metadata.create_all(connection)
        opened = schema_records(PostgresOptions(url=server.url), Path(folder))(
            ledger.AREA,
            metadata=ledger.metadata,
            unit=MeasuredWork,
            clock=SystemClock(),
            revisions=ledger.REVISIONS,
        )
        with closing(BareLedger(engine)) as bare:
            async with opened as work:
                yield [await commit_benchmark("commit_postgres", work, bare, settings=settings, length=length)]


BENCHES: tuple[Bench, ...] = (commits,)
