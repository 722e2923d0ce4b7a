"""Locks and instances."""

import sqlalchemy as sa
from alembic import op

from synapsenet.adapters.sql.tables import UtcDateTime

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "locks",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("token", sa.BigInteger, nullable=False),
        sa.Column("holder", sa.String, nullable=False),
        sa.Column("expires_at", UtcDateTime),
    )
    op.create_table(
        "instances",
        sa.Column("group", sa.String, primary_key=True),
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("incarnation", sa.BigInteger, nullable=False),
        sa.Column("address", sa.String, nullable=False),
        sa.Column("zone", sa.String, nullable=False),
        sa.Column("metadata", sa.JSON, nullable=False),
        sa.Column("expires_at", UtcDateTime),
    )
