"""The sample area's table."""

import sqlalchemy as sa
from alembic import op

from synapsenet.adapters.sql.migrations.platform import create_platform_tables

revision = "0001"
down_revision = None


def upgrade() -> None:
    create_platform_tables(op)
    op.create_table(
        "entries",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("amount", sa.BigInteger, nullable=False),
    )
