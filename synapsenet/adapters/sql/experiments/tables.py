"""The schema. Values that are not finite stand as NULL with a kind beside them: databases differ in what they make of NaN."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Float,
    ForeignKey,
    Index,
    MetaData,
    SmallInteger,
    String,
    Table,
    UniqueConstraint,
)

from synapsenet.adapters.sql.tables import RowNumber, UtcDateTime, add_platform_tables

metadata = MetaData()
add_platform_tables(metadata)

experiments = Table(
    "experiments",
    metadata,
    Column("id", String, primary_key=True),
    Column("project", String, nullable=False),
    Column("name", String, nullable=False),
    Column("description", String, nullable=False),
    Column("tags", JSON, nullable=False),
    Column("metric_definitions", String, nullable=False),
    Column("parameter_definitions", String, nullable=False),
    Column("create_time", UtcDateTime, nullable=False),
    Column("update_time", UtcDateTime, nullable=False),
    UniqueConstraint("project", "name", name="uq_experiments_project_name"),
    Index("ix_experiments_create_time", "create_time", "id"),
)

runs = Table(
    "runs",
    metadata,
    Column("id", String, primary_key=True),
    Column("experiment_id", String, ForeignKey("experiments.id", ondelete="CASCADE"), nullable=False),
    Column("name", String, nullable=False),
    Column("state", String, nullable=False),
    Column("state_reason", String, nullable=False),
    Column("seed", BigInteger),
    Column("configuration_id", String, nullable=False),
    Column("create_time", UtcDateTime, nullable=False),
    Column("end_time", UtcDateTime),
    Column("heartbeat_time", UtcDateTime, nullable=False),
    Index("ix_runs_experiment_id", "experiment_id", "configuration_id"),
    Index("ix_runs_create_time", "create_time", "id"),
)

# Of `number`, `whole` and `text` those are set that the type has: a float its number; an integer both, the number for
# comparisons and the whole for itself; a truth value the whole; a text the text.
params = Table(
    "params",
    metadata,
    Column("run_id", String, ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True),
    Column("name", String, primary_key=True),
    Column("number", Float),
    Column("whole", BigInteger),
    Column("text", String),
    Index("ix_params_number", "name", "number", "run_id"),
    Index("ix_params_text", "name", "text", "run_id"),
)

tags = Table(
    "tags",
    metadata,
    Column("run_id", String, ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True),
    Column("name", String, primary_key=True),
    Column("text", String, nullable=False),
    Index("ix_tags_text", "name", "text", "run_id"),
)

series = Table(
    "series",
    metadata,
    Column("id", RowNumber, primary_key=True, autoincrement=True),
    Column("run_id", String, ForeignKey("runs.id", ondelete="CASCADE"), nullable=False),
    Column("metric", String, nullable=False),
    Column("count", BigInteger, nullable=False),
    Column("nan_count", BigInteger, nullable=False),
    Column("infinite_count", BigInteger, nullable=False),
    Column("first_step", BigInteger, nullable=False),
    Column("last_step", BigInteger, nullable=False),
    Column("last", Float),
    Column("last_kind", SmallInteger, nullable=False),
    Column("min", Float),
    Column("min_step", BigInteger),
    Column("max", Float),
    Column("max_step", BigInteger),
    UniqueConstraint("run_id", "metric", name="uq_series_run_id_metric"),
    Index("ix_series_last", "metric", "last", "run_id"),
)

points = Table(
    "points",
    metadata,
    Column("series_id", RowNumber, ForeignKey("series.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("step", BigInteger, primary_key=True, autoincrement=False),
    Column("value", Float),
    Column("kind", SmallInteger, nullable=False),
    Column("time_us", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
