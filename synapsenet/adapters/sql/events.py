"""The event log of a unit of work, and the feed of what is positioned in it.

In a database that one process owns, commits are serialized there: a position drawn inside a transaction is in commit order, it
is given with the row, and an event is positioned as soon as it is committed. Elsewhere a sequencer gives positions afterwards.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from sqlalchemy import Connection, Row, func, select

from synapsenet.adapters.sql.database import Database
from synapsenet.adapters.sql.retention import SHARD
from synapsenet.adapters.sql.tables import PlatformTables
from synapsenet.clock import Clock
from synapsenet.errors import OutOfRange
from synapsenet.ids import IdSource
from synapsenet.platform.events import Event, EventFeed, EventLog
from synapsenet.platform.records import encode

_BATCH = 500

TraceSource = Callable[[], str | None]  # gives the trace that the caller is in, as a W3C `traceparent`


def untraced() -> str | None:
    """For where there are no traces."""
    return None


class SqlEventLog(EventLog):
    """The outbox, inside one transaction.

    Attributes:
        appended: position of the last event appended or, where a sequencer gives positions, its number; 0 if none was.
    """

    def __init__(
        self, connection: Connection, tables: PlatformTables, *, clock: Clock, ids: IdSource, trace: TraceSource = untraced
    ) -> None:
        self.appended = 0
        self._connection = connection
        self._tables = tables
        self._clock = clock
        self._ids = ids
        self._trace = trace

    def append(self, aggregate: str, record: Any) -> int:
        sequence = self._next_sequence(aggregate)
        row = {
            "id": self._ids.next(),
            "aggregate": aggregate,
            "sequence": sequence,
            "type": type(record).__name__,
            "payload": encode(record),
            "occurred_at": self._clock.now(),
            "trace": self._trace(),
        }
        self.appended = int(self._connection.execute(self._tables.append_event, row).scalar_one())
        return sequence

    def _next_sequence(self, aggregate: str) -> int:
        counted = self._connection.execute(self._tables.next_sequence, {"of": aggregate}).scalar()
        if counted is None:
            self._connection.execute(self._tables.first_sequence, {"aggregate": aggregate, "sequence": 1})
        return 1 if counted is None else int(counted)


class SqlEventFeed(EventFeed):
    """The committed part of an area's outbox."""

    def __init__(self, database: Database, tables: PlatformTables) -> None:
        self._database = database
        self._tables = tables
        self._news = asyncio.Event()

    def wake(self) -> None:
        """Tell the watchers that events got positions."""
        self._news.set()
        self._news = asyncio.Event()

    async def read(self, *, after: int, limit: int, aggregate: str = "") -> Sequence[Event]:
        return await self._database.read(lambda connection: self._stored(connection, after, limit, aggregate))

    async def newest(self) -> int:
        return await self._database.read(self._newest)

    async def watch(self, *, after: int, aggregate: str = "") -> AsyncIterator[Event]:
        seen = after
        while True:
            news = self._news
            newest = await self.newest() if aggregate else seen  # else others' events would leave a quiet aggregate behind
            events = await self.read(after=seen, limit=_BATCH, aggregate=aggregate)
            for event in events:
                yield event
                seen = event.position
            if not events:
                seen = max(seen, newest)
                await news.wait()

    def _newest(self, connection: Connection) -> int:
        return int(connection.execute(select(func.max(self._tables.outbox.c.position))).scalar() or 0)

    def _stored(self, connection: Connection, after: int, limit: int, aggregate: str) -> Sequence[Event]:
        outbox, bounds = self._tables.outbox, self._tables.log_bounds
        trimmed = int(connection.execute(select(bounds.c.trimmed).where(bounds.c.shard == SHARD)).scalar_one())
        if after < trimmed:
            raise OutOfRange(
                "EVENTS_TRIMMED",
                f"events before position {trimmed + 1} are no longer kept",
                remedy=f"read the present state, then resume after {trimmed}",
                metadata={"oldest": str(trimmed + 1)},
            )
        query = select(outbox).where(outbox.c.position > after).order_by(outbox.c.position).limit(limit)
        if aggregate:
            query = query.where(outbox.c.aggregate == aggregate)
        return [_event(row) for row in connection.execute(query)]


def _event(row: Row[Any]) -> Event:
    return Event(
        id=row.id,
        aggregate=row.aggregate,
        sequence=row.sequence,
        position=row.position,
        type=row.type,
        payload=bytes(row.payload),
        occurred_at=row.occurred_at,
        trace=row.trace,
    )
