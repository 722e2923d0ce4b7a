"""Jobs and their workers."""

import sqlalchemy as sa
from alembic import op

from synapsenet.adapters.sql.migrations.platform import create_platform_tables
from synapsenet.adapters.sql.tables import UtcDateTime

revision = "0001"
down_revision = None


def upgrade() -> None:
    create_platform_tables(op)
    op.create_table(
        "jobs",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("experiment_id", sa.String, nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("record", sa.LargeBinary, nullable=False),
    )
    op.create_index("ix_jobs_created_at", "jobs", ["created_at", "id"])
    op.create_index("ix_jobs_state_created_at", "jobs", ["state", "created_at", "id"])
    op.create_index("ix_jobs_experiment_id_created_at", "jobs", ["experiment_id", "created_at", "id"])
    op.create_table(
        "workers",
        sa.Column("job_id", sa.String, primary_key=True),
        sa.Column("index", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("record", sa.LargeBinary, nullable=False),
    )
