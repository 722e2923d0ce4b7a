"""The database of the embedded profile's locks and instances. A row whose lease ended keeps its counter: tokens only grow."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path

from sqlalchemy import JSON, BigInteger, Column, Connection, LargeBinary, MetaData, String, Table, update

from synapsenet.adapters.sql.database import Database, Observe
from synapsenet.adapters.sql.migrate import migrate
from synapsenet.adapters.sql.sqlite import SqliteDatabase
from synapsenet.adapters.sql.tables import UtcDateTime

metadata = MetaData()

locks = Table(
    "locks",
    metadata,
    Column("name", String, primary_key=True),
    Column("token", BigInteger, nullable=False),
    Column("holder", String, nullable=False),
    Column("expires_at", UtcDateTime),
)

instances = Table(
    "instances",
    metadata,
    Column("group", String, primary_key=True),
    Column("id", String, primary_key=True),
    Column("incarnation", BigInteger, nullable=False),
    Column("address", String, nullable=False),
    Column("zone", String, nullable=False),
    Column("metadata", JSON, nullable=False),
    Column("expires_at", UtcDateTime),
)

epochs = Table(
    "epochs",
    metadata,
    Column("name", String, primary_key=True),
    Column("epoch", BigInteger, nullable=False),
)

tokens = Table(
    "tokens",
    metadata,
    Column("id", String, primary_key=True),
    Column("name", String, nullable=False),
    Column("scopes", JSON, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime),
    Column("revoked_at", UtcDateTime),
)


@asynccontextmanager
async def open_coordination(path: Path, *, observe: Observe = nullcontext) -> AsyncIterator[Database]:
    """The coordination database at `path`.

    Owning the file proves that the process which granted the stored leases is gone, and with it whoever held them.

    Raises:
        FailedPrecondition: DATA_IN_USE, DATA_NOT_WRITABLE or SCHEMA_NEWER.
        DataLoss: DATABASE_CORRUPT.
    """
    database = SqliteDatabase(path)
    try:
        database.write_now(_prepare)
        with observe(database) as observed:
            yield observed
    finally:
        database.close()


def _prepare(connection: Connection) -> None:
    migrate(connection, "coordination")
    for table in (locks, instances):
        connection.execute(update(table).values(expires_at=None))
