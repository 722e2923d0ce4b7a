"""Versions with their fences, operations, transitions, reports, and how far readers of the log came."""

import sqlalchemy as sa
from alembic import op

from synapsenet.adapters.sql.migrations.platform import add_sequencing, add_traces, create_platform_tables
from synapsenet.adapters.sql.tables import RowNumber, UtcDateTime

revision = "0001"
down_revision = None


def upgrade() -> None:
    create_platform_tables(op)
    add_sequencing(op)
    add_traces(op)
    _versions()
    _operations()
    _history()


def _versions() -> None:
    op.create_table(
        "versions",
        sa.Column("model_id", sa.String, primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("operation_id", sa.String, nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.Column("entered_at", UtcDateTime, nullable=False),
        sa.Column("record", sa.LargeBinary, nullable=False),
    )
    op.create_index("ix_versions_state_entered_at", "versions", ["state", "entered_at"])
    op.create_table(
        "fences",
        sa.Column("model_id", sa.String, primary_key=True),
        sa.Column("token", sa.BigInteger, nullable=False),
    )


def _operations() -> None:
    op.create_table(
        "operations",
        sa.Column("ordinal", RowNumber, primary_key=True, autoincrement=True),
        sa.Column("id", sa.String, nullable=False),
        sa.Column("model_id", sa.String, nullable=False),
        sa.Column("saga", sa.String, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("has_ended", sa.Boolean, nullable=False),
        sa.Column("ended_at", UtcDateTime),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("record", sa.LargeBinary, nullable=False),
        sa.UniqueConstraint("id", name="uq_operations_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_operations_model_id", "operations", ["model_id", "ordinal"])
    op.create_index("ix_operations_state", "operations", ["state", "ordinal"])
    op.create_index("ix_operations_ended_at", "operations", ["ended_at"])
    op.create_index(
        "ix_operations_unended",
        "operations",
        ["model_id", "ordinal"],
        postgresql_where=sa.text("NOT has_ended"),
        sqlite_where=sa.text("has_ended = 0"),
    )


def _history() -> None:
    op.create_table(
        "transitions",
        sa.Column("model_id", sa.String, primary_key=True),
        sa.Column("sequence", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("source", sa.String, nullable=False),
        sa.Column("event", sa.String, nullable=False),
        sa.Column("target", sa.String, nullable=False),
        sa.Column("actor", sa.String, nullable=False),
        sa.Column("reason", sa.String, nullable=False),
        sa.Column("request_id", sa.String, nullable=False),
        sa.Column("trace_id", sa.String, nullable=False),
        sa.Column("operation_id", sa.String, nullable=False),
        sa.Column("at", UtcDateTime, nullable=False),
    )
    op.create_table(
        "reports",
        sa.Column("number", RowNumber, primary_key=True, autoincrement=True),
        sa.Column("operation_id", sa.String, nullable=False),
        sa.Column("model_id", sa.String, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("record", sa.LargeBinary, nullable=False),
        sa.UniqueConstraint("operation_id", name="uq_reports_operation_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_reports_version", "reports", ["model_id", "version", "number"])
    op.create_table(
        "marks",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("position", sa.BigInteger, nullable=False),
    )
