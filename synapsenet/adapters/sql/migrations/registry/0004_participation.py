"""Taking part in sagas; what the lifecycle's coordinator has said of a version, and what it has yet to say."""

import sqlalchemy as sa
from alembic import op

from synapsenet.adapters.sql.migrations.platform import add_participation

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    add_participation(op)
    op.add_column("versions", sa.Column("lifecycle_sequence", sa.BigInteger, nullable=False, server_default=sa.text("0")))
    for column in ("sealed", "artifact_offered"):
        op.add_column("versions", sa.Column(column, sa.Boolean, nullable=False, server_default=sa.false()))
    versions = sa.table("versions", sa.column("state", sa.String), sa.column("sealed", sa.Boolean))
    op.execute(versions.update().where(versions.c.state == "archived").values(sealed=sa.true()))
