"""Experiments, runs with their labels, series with their points."""

import sqlalchemy as sa
from alembic import op

from synapsenet.adapters.sql.migrations.platform import create_platform_tables
from synapsenet.adapters.sql.tables import RowNumber, UtcDateTime

revision = "0001"
down_revision = None


def upgrade() -> None:
    create_platform_tables(op)
    _create_experiments()
    _create_runs()
    _create_labels()
    _create_series()


def _create_experiments() -> None:
    op.create_table(
        "experiments",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("project", sa.String, nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("description", sa.String, nullable=False),
        sa.Column("tags", sa.JSON, nullable=False),
        sa.Column("metric_definitions", sa.String, nullable=False),
        sa.Column("parameter_definitions", sa.String, nullable=False),
        sa.Column("create_time", UtcDateTime, nullable=False),
        sa.Column("update_time", UtcDateTime, nullable=False),
        sa.UniqueConstraint("project", "name", name="uq_experiments_project_name"),
    )
    op.create_index("ix_experiments_create_time", "experiments", ["create_time", "id"])


def _create_runs() -> None:
    op.create_table(
        "runs",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("experiment_id", sa.String, sa.ForeignKey("experiments.id", ondelete="CASCADE"), nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("state_reason", sa.String, nullable=False),
        sa.Column("seed", sa.BigInteger),
        sa.Column("configuration_id", sa.String, nullable=False),
        sa.Column("create_time", UtcDateTime, nullable=False),
        sa.Column("end_time", UtcDateTime),
        sa.Column("heartbeat_time", UtcDateTime, nullable=False),
    )
    op.create_index("ix_runs_experiment_id", "runs", ["experiment_id", "configuration_id"])
    op.create_index("ix_runs_create_time", "runs", ["create_time", "id"])


def _create_labels() -> None:
    op.create_table(
        "params",
        sa.Column("run_id", sa.String, sa.ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("number", sa.Float),
        sa.Column("whole", sa.BigInteger),
        sa.Column("text", sa.String),
    )
    op.create_index("ix_params_number", "params", ["name", "number", "run_id"])
    op.create_index("ix_params_text", "params", ["name", "text", "run_id"])
    op.create_table(
        "tags",
        sa.Column("run_id", sa.String, sa.ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("text", sa.String, nullable=False),
    )
    op.create_index("ix_tags_text", "tags", ["name", "text", "run_id"])


def _create_series() -> None:
    op.create_table(
        "series",
        sa.Column("id", RowNumber, primary_key=True, autoincrement=True),
        sa.Column("run_id", sa.String, sa.ForeignKey("runs.id", ondelete="CASCADE"), nullable=False),
        sa.Column("metric", sa.String, nullable=False),
        sa.Column("count", sa.BigInteger, nullable=False),
        sa.Column("nan_count", sa.BigInteger, nullable=False),
        sa.Column("infinite_count", sa.BigInteger, nullable=False),
        sa.Column("first_step", sa.BigInteger, nullable=False),
        sa.Column("last_step", sa.BigInteger, nullable=False),
        sa.Column("last", sa.Float),
        sa.Column("last_kind", sa.SmallInteger, nullable=False),
        sa.Column("min", sa.Float),
        sa.Column("min_step", sa.BigInteger),
        sa.Column("max", sa.Float),
        sa.Column("max_step", sa.BigInteger),
        sa.UniqueConstraint("run_id", "metric", name="uq_series_run_id_metric"),
    )
    op.create_index("ix_series_last", "series", ["metric", "last", "run_id"])
    op.create_table(
        "points",
        sa.Column(
            "series_id", RowNumber, sa.ForeignKey("series.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
        ),
        sa.Column("step", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("value", sa.Float),
        sa.Column("kind", sa.SmallInteger, nullable=False),
        sa.Column("time_us", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
