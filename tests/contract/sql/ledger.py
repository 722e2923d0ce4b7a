"""The sample area of the unit-of-work suite, on SQL."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from sqlalchemy import BigInteger, Column, Connection, MetaData, String, Table, insert, select

from synapsenet.adapters.sql.retention import Retention
from synapsenet.adapters.sql.tables import add_platform_tables
from synapsenet.adapters.sql.work import CommitContext, SqlUnitOfWork, SqlWork, open_work
from synapsenet.clock import SystemClock
from synapsenet.ids import SeededIds
from synapsenet.testing.work import RETAINED, Entries, Entry, LedgerWork
from tests.contract.databases import OpenRecords

AREA = "ledger"
REVISIONS = Path(__file__).parent / "revisions"
RETENTION = Retention(events=RETAINED)

metadata = MetaData()
add_platform_tables(metadata)
entries = Table(
    "entries",
    metadata,
    Column("id", String, primary_key=True),
    Column("amount", BigInteger, nullable=False),
)


class SqlEntries(Entries):
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, entry: Entry) -> None:
        self._connection.execute(insert(entries), {"id": entry.id, "amount": entry.amount})

    def all(self) -> Sequence[Entry]:
        rows = self._connection.execute(select(entries).order_by(entries.c.id))
        return [Entry(id=row.id, amount=row.amount) for row in rows]


class SqlLedgerWork(SqlUnitOfWork, LedgerWork):
    def __init__(self, connection: Connection, context: CommitContext) -> None:
        super().__init__(connection, context)
        self.entries = SqlEntries(connection)


def open_ledger(path: Path) -> AbstractAsyncContextManager[SqlWork[SqlLedgerWork]]:
    """On the SQLite file `path`."""
    return open_work(
        path,
        area=AREA,
        metadata=metadata,
        unit=SqlLedgerWork,
        clock=SystemClock(),
        event_ids=SeededIds("event", 1),
        retention=RETENTION,
        revisions=REVISIONS,
    )


def open_ledger_on(records: OpenRecords) -> AbstractAsyncContextManager[SqlWork[SqlLedgerWork]]:
    """On whatever `records` keeps areas in."""
    return records(AREA, metadata=metadata, unit=SqlLedgerWork, clock=SystemClock(), retention=RETENTION, revisions=REVISIONS)
