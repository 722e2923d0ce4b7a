"""What a unit of work costs beside its bare statements."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event

from synapsenet.adapters.sql.work import open_work
from synapsenet.clock import SystemClock
from synapsenet.ids import RandomIds
from tests.contract.sql import ledger
from tests.performance.benchmark import Bench, Benchmark, Length
from tests.performance.booking import BareLedger
from tests.performance.commits import MeasuredWork, commit_benchmark

PRAGMAS = ("journal_mode", "synchronous", "foreign_keys", "wal_autocheckpoint", "page_size")


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


@asynccontextmanager
async def commits(length: Length) -> AsyncIterator[Sequence[Benchmark]]:
    """One caller, one commit at a time; the sequencer gives positions meanwhile, as it always does."""
    with tempfile.TemporaryDirectory() as folder:
        engine = durable_engine(Path(folder) / "bare.db")
        ledger.metadata.create_all(engine)
        opened = open_work(
            Path(folder) / "ledger.db",
            area="ledger",
            metadata=ledger.metadata,
            unit=MeasuredWork,
            clock=SystemClock(),
            event_ids=RandomIds("event"),
            revisions=Path(ledger.__file__).parent / "revisions",
        )
        with closing(BareLedger(engine)) as bare:
            async with opened as work:
                yield [await commit_benchmark("commit_sqlite", work, bare, settings=settings, length=length)]


BENCHES: tuple[Bench, ...] = (commits,)
