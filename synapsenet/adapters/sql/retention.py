"""How much of the past an area's database keeps, and the trimming of its event log behind that."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Connection, delete, func, select, update

from synapsenet.adapters.sql.database import Database
from synapsenet.adapters.sql.retention_options import RetentionOptions
from synapsenet.adapters.sql.tables import PlatformTables
from synapsenet.errors import SynapseError

_log = logging.getLogger(__name__)

SHARD = 0
_SLACK = 1_000  # trimming in steps of so many keeps it off most commits
_CHUNK = 10_000  # one transaction forgets no more, so that it keeps nobody waiting for long


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How much of the past a database keeps.

    Attributes:
        events: positioned events that watchers can resume from; older ones are trimmed.
        requests: how long a request id is recognised.
        relayed: whether a relay sends the events to a broker: then none is trimmed before it was sent, or while it is parked.
    """

    events: int = 1_000_000
    requests: timedelta = timedelta(days=1)
    relayed: bool = False

    @classmethod
    def of(cls, options: RetentionOptions, *, relayed: bool = False) -> Retention:
        return cls(events=options.events, requests=timedelta(seconds=options.requests_s), relayed=relayed)


class Trimmer:
    """Forgets the events of one log that are past their retention."""

    def __init__(self, database: Database, tables: PlatformTables, retention: Retention) -> None:
        self._database = database
        self._tables = tables
        self._kept = max(1, retention.events)  # the newest row stays: the next position is counted from it
        self._relayed = retention.relayed
        self._looked_at = 0

    async def trim(self, newest: int) -> None:
        """Now and then, going by the `newest` position, forget what is past retention; what fails is left to a later commit."""
        before = self._looked_at
        if newest - before <= self._kept + _SLACK:
            return
        self._looked_at = newest - self._kept
        try:
            while await self._database.tend(self._trim, relaxed=True) == _CHUNK:
                continue
        except SynapseError as error:
            self._looked_at = before
            _log.warning("the event log of %s is not trimmed: %s", self._database.name, error.public)

    def _trim(self, connection: Connection) -> int:
        """Forget the oldest events, at most a chunk of them; how many positions they took."""
        outbox, bounds = self._tables.outbox, self._tables.log_bounds
        here = bounds.c.shard == SHARD
        before = int(connection.execute(select(bounds.c.trimmed).where(here)).scalar_one())
        trimmed = min(self._limit(connection), before + _CHUNK)
        if trimmed <= before:
            return 0
        connection.execute(delete(outbox).where(outbox.c.position <= trimmed))
        connection.execute(update(bounds).where(here).values(trimmed=trimmed))
        return trimmed - before

    def _limit(self, connection: Connection) -> int:
        """The highest position that may be forgotten."""
        limit = int(connection.execute(select(func.max(self._tables.outbox.c.position))).scalar() or 0) - self._kept
        if not self._relayed:
            return limit
        sent = connection.execute(select(func.min(self._tables.relay_progress.c.position))).scalar()
        parked = connection.execute(select(func.min(self._tables.parked_events.c.position) - 1)).scalar()
        return min(limit, int(sent or 0), limit if parked is None else int(parked))
