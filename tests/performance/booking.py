"""The sample area's small commit (request id, record, event), through the platform and through its bare statements."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeVar

from sqlalchemy import Connection, Engine, insert, select, update

from synapsenet.adapters.sql.tables import PlatformTables
from synapsenet.platform.records import encode
from synapsenet.platform.work import Request, WorkFactory
from synapsenet.testing.work import Entry, EntryBooked, LedgerWork
from tests.contract.sql import ledger

T = TypeVar("T")
W = TypeVar("W", bound=LedgerWork)

DIGEST = b"d" * 32


class BareLedger:
    """The same rows by the same statements, through SQLAlchemy Core on one connection and nothing else."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._tables = PlatformTables(ledger.metadata)
        self._connection = engine.connect()
        self._numbers = itertools.count()

    def close(self) -> None:
        self._connection.close()
        self._engine.dispose()

    def read(self, query: Callable[[Connection], T]) -> T:
        with self._connection.begin():
            return query(self._connection)

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
                "trace": None,
            }
            execute(insert(tables.outbox), booked)
            remembered = {"id": f"request-{number}", "digest": DIGEST, "answer": encode(entry), "remembered_at": now}
            execute(insert(requests), remembered)


class Booking:
    """Books one new entry a call, as an area's service would: request id, record, event."""

    def __init__(self, work: WorkFactory[W]) -> None:
        self._work = work
        self._numbers = itertools.count()

    async def book(self) -> None:
        number = next(self._numbers)
        entry = Entry(id=f"entry-{number}", amount=number)

        def commit(tx: LedgerWork) -> Entry:
            def make() -> Entry:
                tx.entries.add(entry)
                tx.events.append(f"entry/{entry.id}", EntryBooked(entry=entry.id, amount=number))
                return entry

            return tx.once(Request(f"request-{number}", DIGEST), Entry, make)

        await self._work.run(commit)
