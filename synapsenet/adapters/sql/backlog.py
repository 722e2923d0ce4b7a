"""How far an area's relay is behind: what waits, what is parked, and since when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select

from synapsenet.adapters.sql.database import Database
from synapsenet.adapters.sql.retention import SHARD
from synapsenet.adapters.sql.tables import PlatformTables


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """What a relay has yet to do.

    Attributes:
        waiting: positions that the last shard has not passed yet; of several shards, each counts the others' events, too.
        parked: events that a sink refused, and those behind them.
        oldest: when the oldest waiting event happened; None if none waits.
    """

    waiting: int
    parked: int
    oldest: datetime | None


async def read_backlog(database: Database, tables: PlatformTables) -> Backlog:
    """The backlog of one area, in one small read.

    Raises:
        SynapseError: the database does not answer.
    """
    outbox, progress, bounds = tables.outbox.c, tables.relay_progress.c, tables.log_bounds.c

    def look(connection: Connection) -> Backlog:
        newest = int(connection.execute(select(func.max(outbox.position))).scalar() or 0)
        trimmed = int(connection.execute(select(bounds.trimmed).where(bounds.shard == SHARD)).scalar_one())
        passed = connection.execute(select(func.min(progress.position))).scalar()
        after = trimmed if passed is None else int(passed)
        parked = int(connection.execute(select(func.count()).select_from(tables.parked_events)).scalar_one())
        first = select(outbox.occurred_at).where(outbox.position > after).order_by(outbox.position).limit(1)
        oldest = connection.execute(first).scalar()
        return Backlog(waiting=max(0, newest - after), parked=parked, oldest=oldest)

    return await database.read(look)
