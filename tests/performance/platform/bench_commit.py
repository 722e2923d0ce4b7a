"""What a unit of work costs beside its bare statements."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, insert, select, update

from synapsenet.adapters.sql.tables import PlatformTables
from synapsenet.adapters.sql.work import SqlWork, open_work
from synapsenet.clock import SystemClock
from synapsenet.ids import RandomIds
from synapsenet.platform.records import encode
from synapsenet.platform.work import Request
from synapsenet.testing.work import Entry, EntryBooked
from tests.contract.sql import ledger
from tests.performance.benchmark import AtMost, Bench, Benchmark, Length
from tests.performance.measures import mean_ms, mean_ms_async

DIGEST = b"d" * 32
PRAGMAS = ("journal_mode", "synchronous", "foreign_keys", "wal_autocheckpoint", "page_size")


class MeasuredWork(ledger.SqlLedgerWork):
    """The sample area's unit of work, which also tells how durable its connection is."""

    def settings(self) -> dict[str, object]:
        return settings(self._connection)


class BareLedger:
    """The same rows by the same statements, through SQLAlchemy Core on one connection and nothing else."""

    def __init__(self, path: Path) -> None:
        self.engine = durable_engine(path)
        ledger.metadata.create_all(self.engine)
        self._tables = PlatformTables(ledger.metadata)
        self._connection = self.engine.connect()
        self._numbers = itertools.count()

    def close(self) -> None:
        self._connection.close()
        self.engine.dispose()

    def settings(self) -> dict[str, object]:
        with self._connection.begin():
            return settings(self._connection)

    def book(self) -> None:
        """Look the request up, store the entry, its event and the request: one commit."""
        tables, execute, number = self._tables, self._connection.execute, next(self._numbers)
        entry = Entry(id=f"entry-{number}", amount=number)
        aggregate, now = f"entry/{entry.id}", datetime.now(UTC)
        counters, requests = tables.aggregates, tables.requests
        with self._connection.begin():
            execute(select(requests.c.digest, requests.c.answer).where(requests.c.id == f"request-{number}")).one_or_none()
            execute(insert(ledger.entries), {"id": entry.id, "amount": entry.amount})
            execute(
                update(counters)
                .where(counters.c.aggregate == aggregate)
                .values(sequence=counters.c.sequence + 1)
                .returning(counters.c.sequence)
            ).scalar()
            execute(insert(counters), {"aggregate": aggregate, "sequence": 1})
            booked = {
                "id": f"event-{number}",
                "aggregate": aggregate,
                "sequence": 1,
                "type": "EntryBooked",
                "payload": encode(EntryBooked(entry=entry.id, amount=number)),
                "occurred_at": now,
            }
            execute(insert(tables.outbox), booked)
            remembered = {"id": f"request-{number}", "digest": DIGEST, "answer": encode(entry), "remembered_at": now}
            execute(insert(requests), remembered)


def durable_engine(path: Path) -> Engine:
    """SQLite as the platform sets it up."""
    engine = create_engine(f"sqlite:///{path}")

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        connection.isolation_level = None
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def settings(connection: Connection) -> dict[str, object]:
    return {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in PRAGMAS}


class Booking:
    """Books one new entry a call, as an area's service would: request id, record, event."""

    def __init__(self, work: SqlWork[MeasuredWork]) -> None:
        self._work = work
        self._numbers = itertools.count()

    async def book(self) -> None:
        number = next(self._numbers)
        entry = Entry(id=f"entry-{number}", amount=number)

        def commit(tx: MeasuredWork) -> Entry:
            def make() -> Entry:
                tx.entries.add(entry)
                tx.events.append(f"entry/{entry.id}", EntryBooked(entry=entry.id, amount=number))
                return entry

            return tx.once(Request(f"request-{number}", DIGEST), Entry, make)

        await self._work.run(commit)


@asynccontextmanager
async def commits(length: Length) -> AsyncIterator[Sequence[Benchmark]]:
    """One caller, one commit at a time; the sequencer gives positions meanwhile, as it always does."""
    with tempfile.TemporaryDirectory() as folder:
        bare = BareLedger(Path(folder) / "bare.db")
        opened = open_work(
            Path(folder) / "ledger.db",
            area="ledger",
            metadata=ledger.metadata,
            unit=MeasuredWork,
            clock=SystemClock(),
            event_ids=RandomIds("event"),
            revisions=Path(ledger.__file__).parent / "revisions",
        )
        with closing(bare):
            async with opened as work:
                ours, theirs = await work.run(MeasuredWork.settings), bare.settings()
                calls = length.of(200, 5)
                yield [
                    Benchmark(
                        name="commit_sqlite",
                        unit="ms",
                        value=mean_ms_async(Booking(work).book, calls),
                        baseline=mean_ms(bare.book, calls),
                        target=AtMost(1.5),
                        alike={name: (ours[name], theirs[name]) for name in PRAGMAS},
                    )
                ]


BENCHES: tuple[Bench, ...] = (commits,)
