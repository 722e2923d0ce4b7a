"""Taking part in sagas."""

from alembic import op

from synapsenet.adapters.sql.migrations.platform import add_participation

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    add_participation(op)
