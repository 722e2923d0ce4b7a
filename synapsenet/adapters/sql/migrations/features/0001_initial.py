"""Feature groups and training sets."""

import sqlalchemy as sa
from alembic import op

from synapsenet.adapters.sql.migrations.platform import create_platform_tables
from synapsenet.adapters.sql.tables import UtcDateTime

revision = "0001"
down_revision = None


def upgrade() -> None:
    create_platform_tables(op)
    op.create_table(
        "groups",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("name", sa.String, nullable=False, unique=True),
        sa.Column("record", sa.LargeBinary, nullable=False),
    )
    op.create_table("deleted_groups", sa.Column("id", sa.String, primary_key=True))
    op.create_table(
        "training_sets",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("record", sa.LargeBinary, nullable=False),
    )
    op.create_index("ix_training_sets_created_at", "training_sets", ["created_at", "id"])
