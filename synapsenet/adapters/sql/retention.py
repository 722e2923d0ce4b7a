"""How much of the past an area's database keeps, and the trimming of its event log behind that."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Connection, delete, func, select, update

from synapsenet.adapters.sql.database import Database
from synapsenet.adapters.sql.retention_options import RetentionOptions
from synapsenet.adapters.sql.tables import PlatformTables
from synapsenet.clock import Clock
from synapsenet.errors import SynapseError

_log = logging.getLogger(__name__)

SHARD = 0
_SLACK = 1_000  # trimming in steps of so many keeps it off most commits
_CHUNK = 10_000  # one transaction forgets no more, so that it keeps nobody waiting for long
_LOOKS_AN_AGE = 10
_SELDOMEST_LOOK_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How much of the past a database keeps.

    Attributes:
        events: positioned events that watchers can resume from; older ones are trimmed.
        events_age: how long they can; those past it are trimmed within a minute or, if that is less, a tenth of it.
        requests: how long a request id is recognised.
        relayed: whether a relay sends the events to a broker: then none is trimmed before it was sent, or while it is parked.
    """

    events: int = 1_000_000
    events_age: timedelta | None = None
    requests: timedelta = timedelta(days=1)
    relayed: bool = False

    @classmethod
    def of(cls, options: RetentionOptions, *, relayed: bool = False) -> Retention:
        return cls(
            events=options.events,
            events_age=timedelta(seconds=options.events_s) if options.events_s else None,
            requests=timedelta(seconds=options.requests_s),
            relayed=relayed,
        )


class Trimmer:
    """Forgets the events of one log that are past their retention. The newest is always kept."""

    def __init__(self, database: Database, tables: PlatformTables, retention: Retention, clock: Clock) -> None:
        self._database = database
        self._tables = tables
        self._clock = clock
        self._age = retention.events_age
        self._pause = 0.0 if self._age is None else min(self._age.total_seconds() / _LOOKS_AN_AGE, _SELDOMEST_LOOK_S)
        self._next_look = clock.monotonic() + self._pause
        self._kept = max(1, retention.events)  # the newest row stays: the next position is counted from it
        self._relayed = retention.relayed
        self._looked_at = 0

    async def trim(self, newest: int) -> None:
        """Now and then, going by the `newest` position, forget what is past retention; what fails is left to a later commit."""
        before = self._looked_at
        if newest - before <= self._kept + _SLACK:
            return
        self._looked_at = newest - self._kept
        while (trimmed := await self._try()) == _CHUNK:
            continue
        if trimmed is None:
            self._looked_at = before

    async def trim_old(self) -> None:
        """If it is time to look, forget a chunk of what is too old; what fails or is left is for the next look."""
        if self._age is None or self._clock.monotonic() < self._next_look:
            return
        has_more = await self._try() == _CHUNK
        self._next_look = self._clock.monotonic() + (0.0 if has_more else self._pause)

    async def run(self) -> None:
        """Forget what is too old until cancelled: where no commit comes, nobody else does."""
        while True:
            await self._clock.sleep(self._next_look - self._clock.monotonic())
            await self.trim_old()

    async def _try(self) -> int | None:
        """How many events a chunk had; None if it failed."""
        try:
            return await self._database.tend(self._trim, relaxed=True)
        except SynapseError as error:
            _log.warning("the event log of %s is not trimmed: %s", self._database.name, error.public)
            return None

    def _trim(self, connection: Connection) -> int:
        """Forget the oldest events, at most a chunk of them; how many positions they took."""
        outbox, bounds = self._tables.outbox, self._tables.log_bounds
        here = bounds.c.shard == SHARD
        before = int(connection.execute(select(bounds.c.trimmed).where(here)).scalar_one())
        trimmed = min(self._limit(connection, before), before + _CHUNK)
        if trimmed <= before:
            return 0
        connection.execute(delete(outbox).where(outbox.c.position <= trimmed))
        connection.execute(update(bounds).where(here).values(trimmed=trimmed))
        return trimmed - before

    def _limit(self, connection: Connection, before: int) -> int:
        """The highest position that may be forgotten, if those up to `before` are already."""
        newest = int(connection.execute(select(func.max(self._tables.outbox.c.position))).scalar() or 0)
        limit = max(newest - self._kept, self._too_old(connection, before, newest))
        if not self._relayed:
            return limit
        sent = connection.execute(select(func.min(self._tables.relay_progress.c.position))).scalar()
        parked = connection.execute(select(func.min(self._tables.parked_events.c.position) - 1)).scalar()
        return min(limit, int(sent or 0), limit if parked is None else int(parked))

    def _too_old(self, connection: Connection, before: int, newest: int) -> int:
        """The position up to which all are too old, among the next chunk after `before`; the newest is not asked."""
        if self._age is None:
            return 0
        outbox, last = self._tables.outbox, min(before + _CHUNK, newest - 1)
        asked = (outbox.c.position > before) & (outbox.c.position <= last)
        young = select(func.min(outbox.c.position)).where(asked, outbox.c.occurred_at >= self._clock.now() - self._age)
        first = connection.execute(young).scalar()
        return last if first is None else int(first) - 1
