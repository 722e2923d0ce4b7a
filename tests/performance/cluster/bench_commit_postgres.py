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
from tests.performance.benchmark import AtMost, Bench, Benchmark, Length
from tests.performance.booking import BareLedger, Booking
from tests.performance.measures import mean_ms, mean_ms_async
from tests.postgres_server import postgres_server

SETTINGS = ("fsync", "synchronous_commit", "full_page_writes", "wal_sync_method", "transaction_isolation")


class MeasuredWork(ledger.SqlLedgerWork):
    """The sample area's unit of work, which also tells how durable its connection is."""

    def settings(self) -> dict[str, object]:
        return settings(self._connection)


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
                ours, theirs = await work.run(MeasuredWork.settings), bare.read(settings)
                calls = length.of(200, 5)
                yield [
                    Benchmark(
                        name="commit_postgres",
                        unit="ms",
                        value=mean_ms_async(Booking(work).book, calls),
                        baseline=mean_ms(bare.book, calls),
                        target=AtMost(1.5),
                        alike={name: (ours[name], theirs[name]) for name in SETTINGS},
                    )
                ]


BENCHES: tuple[Bench, ...] = (commits,)
