"""The tables that every area's database has beside its own, and the column types that all share."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Dialect,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    TypeDecorator,
    UniqueConstraint,
    bindparam,
    func,
    insert,
    select,
    text,
    update,
)


class UtcDateTime(TypeDecorator[datetime]):
    """A timezone-aware instant in UTC, to the microsecond, on databases with and without time zones."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a naive datetime has no place in the database")
        instant = value.astimezone(UTC)
        return instant.replace(tzinfo=None) if dialect.name == "sqlite" else instant

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        instant: datetime = value
        return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)


# SQLite numbers rows by itself only in an INTEGER primary key; elsewhere the log must outlive 2^31 events.
RowNumber = BigInteger().with_variant(Integer(), "sqlite")


def add_platform_tables(metadata: MetaData) -> None:
    """Add the outbox, the aggregates' counters, the log's bounds, the relay's progress with the events that it could not
    deliver, and the request ids to an area's schema."""
    Table(
        "outbox",
        metadata,
        Column("number", RowNumber, primary_key=True, autoincrement=True),
        Column("id", String, nullable=False),
        Column("aggregate", String, nullable=False),
        Column("sequence", BigInteger, nullable=False),
        Column("position", BigInteger),
        Column("type", String, nullable=False),
        Column("payload", LargeBinary, nullable=False),
        Column("occurred_at", UtcDateTime, nullable=False),
        Column("trace", String),
        UniqueConstraint("id", name="uq_outbox_id"),
        UniqueConstraint("aggregate", "sequence", name="uq_outbox_aggregate_sequence"),
        Index("ix_outbox_position", "position", unique=True),
        Index("ix_outbox_waiting", "number", postgresql_where=text("position IS NULL"), sqlite_where=text("position IS NULL")),
        sqlite_autoincrement=True,
    )
    Table(
        "aggregates",
        metadata,
        Column("aggregate", String, primary_key=True),
        Column("sequence", BigInteger, nullable=False),
    )
    Table(
        "log_bounds",
        metadata,
        Column("shard", Integer, primary_key=True, autoincrement=False),
        Column("trimmed", BigInteger, nullable=False),
        Column("newest", BigInteger, nullable=False, server_default=text("0")),
        Column("fence", BigInteger, nullable=False, server_default=text("0")),
    )
    Table(
        "relay_progress",
        metadata,
        Column("shard", Integer, primary_key=True, autoincrement=False),
        Column("position", BigInteger, nullable=False),
        Column("fence", BigInteger, nullable=False),
    )
    Table(
        "parked_events",
        metadata,
        Column("event_id", String, primary_key=True),
        Column("aggregate", String, nullable=False),
        Column("position", BigInteger, nullable=False),
        Column("reason", String, nullable=False),
        Column("parked_at", UtcDateTime, nullable=False),
    )
    Table(
        "requests",
        metadata,
        Column("id", String, primary_key=True),
        Column("digest", LargeBinary, nullable=False),
        Column("answer", LargeBinary, nullable=False),
        Column("remembered_at", UtcDateTime, nullable=False),
        Index("ix_requests_remembered_at", "remembered_at"),
    )


class PlatformTables:
    """The tables that `add_platform_tables` made, and the statements of every commit, built once: building them anew costs a
    fifth of a small commit.

    Args:
        positioned: whether an event gets its position with its row, which is in commit order where commits are serialized
            for good: in a database that one process owns. Elsewhere a sequencer gives positions to what is committed.
    """

    def __init__(self, metadata: MetaData, *, positioned: bool = True) -> None:
        self.outbox = outbox = metadata.tables["outbox"]
        self.aggregates = aggregates = metadata.tables["aggregates"]
        self.parked_events = metadata.tables["parked_events"]
        self.relay_progress = metadata.tables["relay_progress"]
        self.log_bounds = metadata.tables["log_bounds"]
        self.requests = requests = metadata.tables["requests"]
        self.next_sequence = (
            update(aggregates)
            .where(aggregates.c.aggregate == bindparam("of"))
            .values(sequence=aggregates.c.sequence + 1)
            .returning(aggregates.c.sequence)
        )
        self.first_sequence = insert(aggregates)
        next_position = select(func.coalesce(func.max(outbox.c.position), 0) + 1).scalar_subquery()
        self.append_event = (
            insert(outbox).values(position=next_position).returning(outbox.c.position)
            if positioned
            else insert(outbox).returning(outbox.c.number)
        )
        self.find_request = select(requests.c.digest, requests.c.answer).where(requests.c.id == bindparam("id"))
        self.keep_request = insert(requests)
