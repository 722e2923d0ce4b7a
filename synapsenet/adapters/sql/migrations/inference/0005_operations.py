"""Deployments are carried out by operations, on every replica, and requests are spread by routes."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column("deployments", sa.Column("stage", sa.Integer, nullable=False, server_default="3"))
    op.add_column("deployments", sa.Column("operation_id", sa.String, nullable=False, server_default=""))
    op.add_column("deployments", sa.Column("attempt", sa.BigInteger, nullable=False, server_default="0"))
    op.create_table(
        "routes",
        sa.Column("model_id", sa.String, primary_key=True),
        sa.Column("generation", sa.BigInteger, nullable=False),
        sa.Column("shares", sa.LargeBinary, nullable=False),
        sa.Column("operation_id", sa.String, nullable=False),
    )
    op.create_table(
        "replica_reports",
        sa.Column("model_id", sa.String, primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("replica", sa.String, primary_key=True),
        sa.Column("report", sa.LargeBinary, nullable=False),
    )
