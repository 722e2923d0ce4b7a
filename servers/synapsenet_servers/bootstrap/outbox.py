"""What relays parked, for whoever tends it: straight in the cluster's database, for it matters most when services are down."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from sqlalchemy import MetaData

from synapsenet.adapters.sql.migrate import MIGRATIONS
from synapsenet.adapters.sql.postgres import PostgresDatabase
from synapsenet.adapters.sql.postgres_options import PostgresOptions
from synapsenet.adapters.sql.postgres_server import COORDINATION
from synapsenet.adapters.sql.relay import SqlParkedEvents
from synapsenet.adapters.sql.tables import PlatformTables, add_platform_tables
from synapsenet.errors import InvalidArgument
from synapsenet.platform.relay_log import ParkedEvents

AREAS = tuple(sorted(path.parent.name for path in MIGRATIONS.glob("*/0001_*.py") if path.parent.name != COORDINATION))


@asynccontextmanager
async def open_parked_events(area: str, options: PostgresOptions) -> AsyncIterator[ParkedEvents | None]:
    """The parked events of `area` inside an `async with`; None if the area has not been started yet.

    Raises:
        InvalidArgument: AREA_UNKNOWN.
        Unavailable: DATABASE_UNAVAILABLE.
        FailedPrecondition: DATABASE_LOGIN_REFUSED, DATABASE_UNKNOWN.
    """
    if area not in AREAS:
        raise InvalidArgument("AREA_UNKNOWN", f"there is no outbox of {area!r}", remedy=f"choose one of {', '.join(AREAS)}")
    metadata = MetaData()
    add_platform_tables(metadata)
    database = PostgresDatabase(area, replace(options, readers=1))
    try:
        there = await database.read(
            lambda connection: connection.exec_driver_sql("SELECT to_regclass('parked_events')").scalar()
        )
        yield SqlParkedEvents(database, PlatformTables(metadata)) if there else None
    finally:
        database.close()
