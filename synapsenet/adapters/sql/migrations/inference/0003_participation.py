"""Taking part in sagas."""

from alembic import op

from synapsenet.adapters.sql.migrations.platform import add_participation

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    add_participation(op)
