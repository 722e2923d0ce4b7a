"""The platform's own tables as migrations see them: a revision keeps its shape, whatever the models become."""

from __future__ import annotations

from types import ModuleType

import sqlalchemy as sa

from synapsenet.adapters.sql.tables import RowNumber, UtcDateTime


def create_platform_tables(op: ModuleType) -> None:
    """Outbox, aggregates' counters, bounds of the log, request ids: the first revision of an area calls this."""
    op.create_table(
        "outbox",
        sa.Column("number", RowNumber, primary_key=True, autoincrement=True),
        sa.Column("id", sa.String, nullable=False),
        sa.Column("aggregate", sa.String, nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.Column("position", sa.BigInteger),
        sa.Column("type", sa.String, nullable=False),
        sa.Column("payload", sa.LargeBinary, nullable=False),
        sa.Column("occurred_at", UtcDateTime, nullable=False),
        sa.UniqueConstraint("id", name="uq_outbox_id"),
        sa.UniqueConstraint("aggregate", "sequence", name="uq_outbox_aggregate_sequence"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_outbox_position", "outbox", ["position"], unique=True)
    op.create_table(
        "aggregates",
        sa.Column("aggregate", sa.String, primary_key=True),
        sa.Column("sequence", sa.BigInteger, nullable=False),
    )
    bounds = op.create_table(
        "log_bounds",
        sa.Column("shard", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("trimmed", sa.BigInteger, nullable=False),
    )
    op.bulk_insert(bounds, [{"shard": 0, "trimmed": 0}])
    op.create_table(
        "requests",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("answer", sa.LargeBinary, nullable=False),
        sa.Column("remembered_at", UtcDateTime, nullable=False),
    )
    op.create_index("ix_requests_remembered_at", "requests", ["remembered_at"])


def add_sequencing(op: ModuleType) -> None:
    """What a sequencer, a relay and their successors agree on: the second revision of an area calls this.

    Positions given before stay the newest ones, so the count goes on from them.
    """
    for column in ("newest", "fence"):
        op.add_column("log_bounds", sa.Column(column, sa.BigInteger, nullable=False, server_default=sa.text("0")))
    op.execute("UPDATE log_bounds SET newest = coalesce((SELECT max(position) FROM outbox), trimmed)")
    waiting = sa.text("position IS NULL")
    op.create_index("ix_outbox_waiting", "outbox", ["number"], postgresql_where=waiting, sqlite_where=waiting)
    op.create_table(
        "relay_progress",
        sa.Column("shard", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("fence", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "parked_events",
        sa.Column("event_id", sa.String, primary_key=True),
        sa.Column("aggregate", sa.String, nullable=False),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("reason", sa.String, nullable=False),
        sa.Column("parked_at", UtcDateTime, nullable=False),
    )


def add_participation(op: ModuleType) -> None:
    """What an area keeps of the steps that it carries out for sagas: a revision of an area that takes part calls this."""
    op.create_table(
        "participation_steps",
        sa.Column("operation_id", sa.String, primary_key=True),
        sa.Column("step", sa.String, primary_key=True),
        sa.Column("direction", sa.String, primary_key=True),
        sa.Column("result", sa.LargeBinary),
        sa.Column("noted_at", UtcDateTime, nullable=False),
    )
    op.create_index("ix_participation_steps_noted_at", "participation_steps", ["noted_at"])
    op.create_table(
        "participation_fences",
        sa.Column("model_id", sa.String, primary_key=True),
        sa.Column("fence", sa.BigInteger, nullable=False),
    )


def add_traces(op: ModuleType) -> None:
    """The trace that an event was committed in: the third revision of an area calls this."""
    op.add_column("outbox", sa.Column("trace", sa.String))
