"""The event log and its feed on one SQLite file.

Writers are serialized, so a position drawn inside a transaction is in commit order: it is given with the row, and an event is
positioned as soon as it is committed. The log is trimmed behind what watchers may resume from.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from typing import Any

from sqlalchemy import Connection, Row, delete, func, select, update

from synapsenet.adapters.sql.database import Database
from synapsenet.adapters.sql.tables import PlatformTables
from synapsenet.clock import Clock
from synapsenet.errors import OutOfRange, SynapseError
from synapsenet.ids import IdSource
from synapsenet.platform.events import Event, EventFeed, EventLog
from synapsenet.platform.records import encode

_log = logging.getLogger(__name__)

_SHARD = 0
_BATCH = 500
_TRIM_SLACK = 1_000  # trimming in steps of so many keeps it off most commits


class SqlEventLog(EventLog):
    """The outbox, inside one transaction.

    Attributes:
        newest: position of the last event appended; 0 if none was.
    """

    def __init__(self, connection: Connection, tables: PlatformTables, *, clock: Clock, ids: IdSource) -> None:
        self.newest = 0
        self._connection = connection
        self._tables = tables
        self._clock = clock
        self._ids = ids

    def append(self, aggregate: str, record: Any) -> None:
        row = {
            "id": self._ids.next(),
            "aggregate": aggregate,
            "sequence": self._next_sequence(aggregate),
            "type": type(record).__name__,
            "payload": encode(record),
            "occurred_at": self._clock.now(),
        }
        self.newest = int(self._connection.execute(self._tables.append_event, row).scalar_one())

    def _next_sequence(self, aggregate: str) -> int:
        counted = self._connection.execute(self._tables.next_sequence, {"of": aggregate}).scalar()
        if counted is None:
            self._connection.execute(self._tables.first_sequence, {"aggregate": aggregate, "sequence": 1})
        return 1 if counted is None else int(counted)


class SqlEventFeed(EventFeed):
    """The committed part of an area's outbox."""

    def __init__(self, database: Database, tables: PlatformTables, *, retained: int) -> None:
        self._database = database
        self._tables = tables
        self._retained = max(1, retained)  # the newest row stays: the next position is counted from it
        self._news = asyncio.Event()
        self._trimmed = 0

    def wake(self) -> None:
        """Tell the watchers that events were committed."""
        self._news.set()
        self._news = asyncio.Event()

    async def trim(self, newest: int) -> None:
        """Now and then, going by the `newest` position, forget what is past retention; what fails is left to a later commit."""
        before = self._trimmed
        if newest - before <= self._retained + _TRIM_SLACK:
            return
        self._trimmed = newest - self._retained
        try:
            await self._database.write(self._trim, relaxed=True)
        except SynapseError as error:
            self._trimmed = before
            _log.warning("the event log is not trimmed: %s", error.public)

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

    def _trim(self, connection: Connection) -> None:
        outbox, bounds = self._tables.outbox, self._tables.log_bounds
        trimmed = self._newest(connection) - self._retained
        connection.execute(delete(outbox).where(outbox.c.position <= trimmed))
        connection.execute(update(bounds).where(bounds.c.shard == _SHARD).values(trimmed=trimmed))

    def _newest(self, connection: Connection) -> int:
        return int(connection.execute(select(func.max(self._tables.outbox.c.position))).scalar() or 0)

    def _stored(self, connection: Connection, after: int, limit: int, aggregate: str) -> Sequence[Event]:
        outbox, bounds = self._tables.outbox, self._tables.log_bounds
        trimmed = int(connection.execute(select(bounds.c.trimmed).where(bounds.c.shard == _SHARD)).scalar_one())
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
    )
