"""A database that tells of its transactions, and carries the trace of whoever asks onto the thread that carries them out."""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy import Connection

from synapsenet.adapters.sql.database import Database, Observe, Pool
from synapsenet.adapters.sql.events import TraceSource, untraced
from synapsenet_servers import telemetry
from synapsenet_servers.telemetry.instruments import CONNECTIONS, CONNECTIONS_MAX, WRITERS, Gauge, Labels, Read

if TYPE_CHECKING:
    from synapsenet_servers.telemetry.transactions import Transactions

T = TypeVar("T")


def observing(area: str) -> Observe:
    """Has databases of `area` tell of what they do, if this process tells of anything."""

    @contextmanager
    def observe(database: Database) -> Iterator[Database]:
        told = telemetry.current()
        transactions = told.transactions(area)
        if transactions is None:
            yield database
            return
        for engine in database.engines:
            told.watch_engine(engine, namespace=area)
        observed = ObservedDatabase(database, transactions)
        with told.observing_all(_gauges(observed, area)):
            yield observed

    return observe


def trace_source() -> TraceSource:
    """Gives the trace that a transaction is told in, for what is committed by it; none where spans are not sent anywhere."""
    if not telemetry.current().exports:
        return untraced
    from synapsenet_servers.telemetry.transactions import current_trace

    return current_trace


class ObservedDatabase(Database):
    """Stands for `database`.

    Attributes:
        writing: write transactions that wait or are under way.
    """

    def __init__(self, database: Database, transactions: Transactions) -> None:
        self.name = database.name
        self.engines = database.engines
        self.writing = 0
        self._database = database
        self._transactions = transactions

    async def write(
        self, commit: Callable[[Connection], T], *, relaxed: bool = False, committed: Callable[[T], None] | None = None
    ) -> T:
        self.writing += 1
        try:
            with self._told("write", commit) as told:
                return await self._database.write(told, relaxed=relaxed, committed=committed)
        finally:
            self.writing -= 1

    async def read(self, query: Callable[[Connection], T]) -> T:
        with self._told("read", query) as told:
            return await self._database.read(told)

    async def tend(self, job: Callable[[Connection], T], *, relaxed: bool = False) -> T:
        with self._told("tend", job) as told:
            return await self._database.tend(told, relaxed=relaxed)

    def write_now(self, commit: Callable[[Connection], T]) -> T:
        return self._database.write_now(commit)

    def pools(self) -> Sequence[Pool]:
        return self._database.pools()

    def close(self) -> None:
        self._database.close()

    @contextmanager
    def _told(self, kind: str, run: Callable[[Connection], T]) -> Iterator[Callable[[Connection], T]]:
        """What to run instead of `run`: in the context of the caller, whose trace it then belongs to."""
        with self._transactions.transaction(kind) as transaction:
            context = contextvars.copy_context()

            def carried(connection: Connection) -> T:
                return context.run(transaction.carry_out, run, connection)

            yield carried


def _gauges(database: ObservedDatabase, area: str) -> Iterable[tuple[Gauge, Read]]:
    return (
        (WRITERS, lambda: [(database.writing, {"db.namespace": area})]),
        (CONNECTIONS, lambda: _connections(database, area)),
        (CONNECTIONS_MAX, lambda: [(pool.most, _pool(area, pool)) for pool in database.pools()]),
    )


def _connections(database: Database, area: str) -> Iterable[tuple[float, Labels]]:
    for pool in database.pools():
        labels = _pool(area, pool)
        yield pool.used, labels | {"db.client.connection.state": "used"}
        yield pool.idle, labels | {"db.client.connection.state": "idle"}


def _pool(area: str, pool: Pool) -> dict[str, str]:
    return {"db.client.connection.pool.name": f"{area}/{pool.purpose}"}
