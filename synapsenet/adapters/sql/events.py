"""Event positions and the feed over one SQLite file.

The single writer makes row numbers grow in commit order, so the sequencer can give positions in that order after the commit,
many at once. Its writes need no flush of their own: after a power cut the same order gives the same positions again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from sqlalchemy import Connection, Row, delete, select, update

from synapsenet.adapters.sql.database import Database
from synapsenet.adapters.sql.tables import PlatformTables
from synapsenet.errors import OutOfRange, SynapseError
from synapsenet.platform.events import Event, EventFeed

_log = logging.getLogger(__name__)

_SHARD = 0
_BATCH = 500
_TRIM_SLACK = 1_000  # trimming in steps of so many keeps it off most commits
_RETRY_SECONDS = 1.0


class SqlEventFeed(EventFeed):
    """The positioned part of an area's outbox."""

    def __init__(self, database: Database, tables: PlatformTables, *, retained: int) -> None:
        self._database = database
        self._tables = tables
        self._retained = retained
        self._appended = asyncio.Event()
        self._positioned = asyncio.Event()
        self._appended.set()  # events of before a crash may still wait for their positions

    def wake_sequencer(self) -> None:
        """Say that a commit appended events."""
        self._appended.set()

    async def read(self, *, after: int, limit: int, aggregate: str = "") -> Sequence[Event]:
        return await self._database.read(lambda connection: self._stored(connection, after, limit, aggregate))

    async def newest(self) -> int:
        return await self._database.read(lambda connection: self._bounds(connection)[0])

    async def watch(self, *, after: int, aggregate: str = "") -> AsyncIterator[Event]:
        seen = after
        while True:
            news = self._positioned
            events = await self.read(after=seen, limit=_BATCH, aggregate=aggregate)
            for event in events:
                yield event
                seen = event.position
            if not events:
                await news.wait()

    async def sequence(self) -> None:
        """Give positions to what was appended, for as long as the task lives."""
        while True:
            await self._appended.wait()
            self._appended.clear()
            try:
                while await self._database.write(self._give_positions, relaxed=True):
                    self._announce()
            except SynapseError as error:
                _log.warning("event positions wait: %s", error.public, exc_info=error)
                await asyncio.sleep(_RETRY_SECONDS)
                self._appended.set()

    def _announce(self) -> None:
        self._positioned.set()
        self._positioned = asyncio.Event()

    def _give_positions(self, connection: Connection) -> int:
        """Position the next batch; how many there were."""
        outbox, bounds = self._tables.outbox, self._tables.log_bounds
        waiting = select(outbox.c.number).where(outbox.c.position.is_(None)).order_by(outbox.c.number).limit(_BATCH)
        numbers = connection.execute(waiting).scalars().all()
        if not numbers:
            return 0
        newest, trimmed = self._bounds(connection)
        for position, number in enumerate(numbers, start=newest + 1):
            connection.execute(update(outbox).where(outbox.c.number == number).values(position=position))
        newest += len(numbers)
        if newest - trimmed > self._retained + _TRIM_SLACK:
            trimmed = newest - self._retained
            connection.execute(delete(outbox).where(outbox.c.position <= trimmed))
        connection.execute(update(bounds).where(bounds.c.shard == _SHARD).values(newest=newest, trimmed=trimmed))
        return len(numbers)

    def _bounds(self, connection: Connection) -> tuple[int, int]:
        """The newest position given, and the last one trimmed."""
        bounds = self._tables.log_bounds
        row = connection.execute(select(bounds.c.newest, bounds.c.trimmed).where(bounds.c.shard == _SHARD)).one()
        return int(row.newest), int(row.trimmed)

    def _stored(self, connection: Connection, after: int, limit: int, aggregate: str) -> Sequence[Event]:
        outbox = self._tables.outbox
        _, trimmed = self._bounds(connection)
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


def _event(row: Row[tuple[object, ...]]) -> Event:
    return Event(
        id=row.id,
        aggregate=row.aggregate,
        sequence=row.sequence,
        position=row.position,
        type=row.type,
        payload=bytes(row.payload),
        occurred_at=row.occurred_at,
    )


@asynccontextmanager
async def sequencing(feed: SqlEventFeed) -> AsyncIterator[None]:
    """Run the sequencer inside an `async with`."""
    sequencer = asyncio.create_task(feed.sequence(), name="event sequencer")
    sequencer.add_done_callback(_report)
    try:
        yield
    finally:
        sequencer.cancel()
        await asyncio.gather(sequencer, return_exceptions=True)


def _report(sequencer: asyncio.Task[None]) -> None:
    if not sequencer.cancelled() and (error := sequencer.exception()) is not None:
        _log.critical("the event sequencer died; watchers see nothing new", exc_info=error)
