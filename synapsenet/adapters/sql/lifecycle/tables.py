"""The schema: the columns that are searched and compared, and beside them the whole record."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    text,
)

from synapsenet.adapters.sql.tables import RowNumber, UtcDateTime, add_platform_tables

metadata = MetaData()
add_platform_tables(metadata)

versions = Table(
    "versions",
    metadata,
    Column("model_id", String, primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("state", String, nullable=False),
    Column("operation_id", String, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("entered_at", UtcDateTime, nullable=False),
    Column("record", LargeBinary, nullable=False),
    Index("ix_versions_state_entered_at", "state", "entered_at"),
)

fences = Table(
    "fences",
    metadata,
    Column("model_id", String, primary_key=True),
    Column("token", BigInteger, nullable=False),
)

operations = Table(
    "operations",
    metadata,
    Column("ordinal", RowNumber, primary_key=True, autoincrement=True),
    Column("id", String, nullable=False),
    Column("model_id", String, nullable=False),
    Column("saga", String, nullable=False),
    Column("state", String, nullable=False),
    Column("has_ended", Boolean, nullable=False),
    Column("ended_at", UtcDateTime),
    Column("revision", BigInteger, nullable=False),
    Column("record", LargeBinary, nullable=False),
    UniqueConstraint("id", name="uq_operations_id"),
    Index("ix_operations_model_id", "model_id", "ordinal"),
    Index("ix_operations_state", "state", "ordinal"),
    Index("ix_operations_ended_at", "ended_at"),
    Index(
        "ix_operations_unended",
        "model_id",
        "ordinal",
        postgresql_where=text("NOT has_ended"),
        sqlite_where=text("has_ended = 0"),
    ),
    sqlite_autoincrement=True,
)

transitions = Table(
    "transitions",
    metadata,
    Column("model_id", String, primary_key=True),
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("version", Integer, nullable=False),
    Column("source", String, nullable=False),
    Column("event", String, nullable=False),
    Column("target", String, nullable=False),
    Column("actor", String, nullable=False),
    Column("reason", String, nullable=False),
    Column("request_id", String, nullable=False),
    Column("trace_id", String, nullable=False),
    Column("operation_id", String, nullable=False),
    Column("at", UtcDateTime, nullable=False),
)

reports = Table(
    "reports",
    metadata,
    Column("number", RowNumber, primary_key=True, autoincrement=True),
    Column("operation_id", String, nullable=False),
    Column("model_id", String, nullable=False),
    Column("version", Integer, nullable=False),
    Column("record", LargeBinary, nullable=False),
    UniqueConstraint("operation_id", name="uq_reports_operation_id"),
    Index("ix_reports_version", "model_id", "version", "number"),
    sqlite_autoincrement=True,
)

marks = Table(
    "marks",
    metadata,
    Column("name", String, primary_key=True),
    Column("position", BigInteger, nullable=False),
)
