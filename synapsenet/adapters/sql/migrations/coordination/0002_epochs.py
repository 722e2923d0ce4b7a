"""Epochs of counters that a restored backup may set back."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "epochs",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("epoch", sa.BigInteger, nullable=False),
    )
