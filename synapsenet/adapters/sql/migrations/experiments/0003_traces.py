"""Events keep the trace in which they were committed."""

from alembic import op

from synapsenet.adapters.sql.migrations.platform import add_traces

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    add_traces(op)
