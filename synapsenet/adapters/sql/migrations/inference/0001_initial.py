"""Deployments."""

import sqlalchemy as sa
from alembic import op

from synapsenet.adapters.sql.migrations.platform import create_platform_tables
from synapsenet.adapters.sql.tables import UtcDateTime

revision = "0001"
down_revision = None


def upgrade() -> None:
    create_platform_tables(op)
    op.create_table(
        "deployments",
        sa.Column("model_id", sa.String, primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("model_name", sa.String, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("artifact_sha256", sa.String, nullable=False),
        sa.Column("artifact_size", sa.BigInteger, nullable=False),
        sa.Column("artifact_format", sa.String, nullable=False),
        sa.Column("max_batch_size", sa.Integer, nullable=False),
        sa.Column("max_linger_s", sa.Float, nullable=False),
        sa.Column("max_queued_rows", sa.Integer, nullable=False),
        sa.Column("max_queued_bytes", sa.BigInteger, nullable=False),
        sa.Column("max_running_batches", sa.Integer, nullable=False),
        sa.Column("relaxed", sa.Boolean, nullable=False),
        sa.Column("pinned", sa.Boolean, nullable=False),
        sa.Column("deploy_order", sa.BigInteger, nullable=False),
        sa.Column("deployed_at", UtcDateTime, nullable=False),
        sa.Column("condition_reason", sa.String),
        sa.Column("condition_message", sa.String),
        sa.Column("condition_since", UtcDateTime),
        sa.Column("request_id", sa.String, nullable=False),
        sa.Column("request_digest", sa.LargeBinary, nullable=False),
    )
