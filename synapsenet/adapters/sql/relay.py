"""The relay's side of an area's log on SQL: positioned rows of the outbox, how far each shard came, and what is parked."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence, Set
from contextlib import aclosing
from typing import Any

import psycopg
from sqlalchemy import Connection, Select, delete, func, insert, select, update

from synapsenet.adapters.sql.database import Database
from synapsenet.adapters.sql.retention import SHARD
from synapsenet.adapters.sql.tables import PlatformTables
from synapsenet.errors import Aborted
from synapsenet.platform.events import Event, EventFeed
from synapsenet.platform.relay_log import ParkedEvent, ParkedEvents, RelayLog, Shard

_log = logging.getLogger(__name__)

_PIECE = 200 if psycopg.capabilities.has_stream_chunked() else 1  # rows


class SqlRelayLog(RelayLog):
    """One area's log, read and marked beside its units of work."""

    def __init__(self, database: Database, tables: PlatformTables, feed: EventFeed) -> None:
        self._database = database
        self._tables = tables
        self._feed = feed
        self._events = select(*(tables.outbox.c[name] for name in Event._fields))

    async def claim(self, shard: Shard, token: int) -> int:
        return await self._database.tend(lambda connection: self._claim(connection, shard, token))

    async def read(self, *, after: int, limit: int) -> Sequence[Event]:
        outbox = self._tables.outbox.c
        query = self._events.where(outbox.position > after).order_by(outbox.position).limit(limit)
        return await self._database.read(lambda connection: _events(connection, query))

    async def news(self, *, after: int) -> None:
        async with aclosing(self._feed.watch(after=after)) as watch:  # type: ignore[type-var]  # it is a generator
            await anext(watch)

    async def settle(self, shard: Shard, token: int, *, position: int, parked: Sequence[ParkedEvent]) -> None:
        def commit(connection: Connection) -> None:
            self._mark(connection, shard, token, {"position": position})
            if parked:
                self._park(connection, parked)

        await self._database.tend(commit)

    async def blocked(self) -> Set[str]:
        parked = self._tables.parked_events.c
        query = select(parked.aggregate).distinct()
        return await self._database.read(lambda connection: set(connection.execute(query).scalars()))

    async def released(self, *, after: int, limit: int) -> Sequence[Event]:
        parked, outbox = self._tables.parked_events.c, self._tables.outbox.c
        refused = self._tables.parked_events.alias("refused").c
        blocking = (refused.aggregate == parked.aggregate) & (refused.reason != "") & (refused.position <= parked.position)
        query = (
            self._events.join(self._tables.parked_events, parked.event_id == outbox.id)
            .where(outbox.position > after, ~select(refused.event_id).where(blocking).exists())
            .order_by(outbox.position)
            .limit(limit)
        )
        return await self._database.read(lambda connection: _events(connection, query))

    async def unpark(self, shard: Shard, token: int, *, delivered: Sequence[str], refused: Mapping[str, str]) -> None:
        parked = self._tables.parked_events

        def commit(connection: Connection) -> None:
            self._mark(connection, shard, token, {})
            connection.execute(delete(parked).where(parked.c.event_id.in_(delivered)))
            for event_id, reason in refused.items():
                connection.execute(update(parked).where(parked.c.event_id == event_id).values(reason=reason))

        await self._database.tend(commit)

    def _claim(self, connection: Connection, shard: Shard, token: int) -> int:
        progress = self._tables.relay_progress
        positions = {row.shard: row.position for row in connection.execute(select(progress))}
        if set(positions) != set(range(shard.count)):
            self._divide_anew(connection, shard.count, positions)
        self._mark(connection, shard, token, {"fence": token})
        position = int(connection.execute(select(progress.c.position).where(progress.c.shard == shard.number)).scalar_one())
        trimmed = self._trimmed(connection)
        if position < trimmed:
            _log.error("%s: events %d to %d were trimmed while no relay ran", self._database.name, position + 1, trimmed)
        return max(position, trimmed)

    def _divide_anew(self, connection: Connection, count: int, positions: Mapping[int, int]) -> None:
        """Give every shard a row, from where the last of the former ones was, or from the oldest event that is kept."""
        progress = self._tables.relay_progress
        start = min(positions.values(), default=self._trimmed(connection))
        connection.execute(delete(progress).where(progress.c.shard >= count))
        connection.execute(update(progress).values(position=start))
        missing = [number for number in range(count) if number not in positions]
        if missing:
            connection.execute(insert(progress), [{"shard": number, "position": start, "fence": 0} for number in missing])

    def _trimmed(self, connection: Connection) -> int:
        bounds = self._tables.log_bounds.c
        return int(connection.execute(select(bounds.trimmed).where(bounds.shard == SHARD)).scalar_one())

    def _mark(self, connection: Connection, shard: Shard, token: int, values: Mapping[str, Any]) -> None:
        """Write to the shard's row, if no higher token has."""
        progress = self._tables.relay_progress.c
        mine = (progress.shard == shard.number) & (progress.fence <= token)
        statement = update(self._tables.relay_progress).where(mine).values(**(values or {"fence": token}))
        if connection.execute(statement).rowcount != 1:
            newest = connection.execute(select(progress.fence).where(progress.shard == shard.number)).scalar()
            raise Aborted(
                "RELAY_SUPERSEDED",
                f"the relay with token {token} was superseded by the one with {newest}",
                remedy="leave the shard to it",
            )

    def _park(self, connection: Connection, events: Sequence[ParkedEvent]) -> None:
        parked = self._tables.parked_events
        ids = [event.event_id for event in events]
        there = set(connection.execute(select(parked.c.event_id).where(parked.c.event_id.in_(ids))).scalars())
        rows = [_row(event) for event in events if event.event_id not in there]
        if rows:
            connection.execute(insert(parked), rows)


class SqlParkedEvents(ParkedEvents):
    """The table that relays park events in."""

    def __init__(self, database: Database, tables: PlatformTables) -> None:
        self._database = database
        self._parked = tables.parked_events

    async def refused(self, *, limit: int) -> tuple[Sequence[ParkedEvent], int]:
        parked = self._parked.c
        query = select(self._parked).where(parked.reason != "").order_by(parked.position).limit(limit)
        behind = select(func.count()).select_from(self._parked).where(parked.reason == "")

        def look(connection: Connection) -> tuple[Sequence[ParkedEvent], int]:
            return [_parked(row) for row in connection.execute(query)], int(connection.execute(behind).scalar_one())

        return await self._database.read(look)

    async def retry(self, event_id: str = "") -> int:
        parked = self._parked.c
        which = (parked.event_id == event_id) if event_id else (parked.reason != "")
        statement = update(self._parked).where(which, parked.reason != "").values(reason="")
        return await self._database.tend(lambda connection: connection.execute(statement).rowcount)

    async def skip(self, event_id: str) -> int:
        parked = self._parked.c
        statement = delete(self._parked).where(parked.event_id == event_id, parked.reason != "")
        return await self._database.tend(lambda connection: connection.execute(statement).rowcount)


def _events(connection: Connection, query: Select[Any]) -> Sequence[Event]:
    """The events that `query` selects by the fields of Event, in their order.

    From PostgreSQL in binary, past SQLAlchemy's types, and in pieces that the processor's cache holds: a third of the time.
    """
    if connection.dialect.name != "postgresql":
        return list(map(Event._make, connection.execute(query)))
    compiled = query.compile(dialect=connection.dialect)
    driver: Any = connection.connection.driver_connection
    with driver.cursor() as cursor:
        return list(map(Event._make, cursor.stream(str(compiled), compiled.params, binary=True, size=_PIECE)))


def _row(event: ParkedEvent) -> dict[str, object]:
    return {
        "event_id": event.event_id,
        "aggregate": event.aggregate,
        "position": event.position,
        "reason": event.reason,
        "parked_at": event.parked_at,
    }


def _parked(row: Any) -> ParkedEvent:
    return ParkedEvent(
        event_id=row.event_id,
        aggregate=row.aggregate,
        position=row.position,
        reason=row.reason,
        parked_at=row.parked_at,
    )
