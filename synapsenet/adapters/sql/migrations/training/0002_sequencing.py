"""Positions by a sequencer, events for a relay."""

from alembic import op

from synapsenet.adapters.sql.migrations.platform import add_sequencing

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    add_sequencing(op)
