"""Models."""

import sqlalchemy as sa
from alembic import op

from synapsenet.adapters.sql.migrations.platform import create_platform_tables
from synapsenet.adapters.sql.tables import UtcDateTime

revision = "0001"
down_revision = None


def upgrade() -> None:
    create_platform_tables(op)
    op.create_table(
        "models",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("description", sa.String, nullable=False),
        sa.Column("labels", sa.JSON, nullable=False),
        sa.Column("task", sa.String, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("updated_at", UtcDateTime, nullable=False),
        sa.UniqueConstraint("name", name="uq_models_name"),
    )
