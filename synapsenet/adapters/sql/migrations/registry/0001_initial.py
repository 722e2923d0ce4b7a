"""Models as the registry knows them, versions, aliases."""

import sqlalchemy as sa
from alembic import op

from synapsenet.adapters.sql.migrations.platform import create_platform_tables
from synapsenet.adapters.sql.tables import UtcDateTime

revision = "0001"
down_revision = None


def upgrade() -> None:
    create_platform_tables(op)
    op.create_table(
        "models",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("versions", sa.Integer, nullable=False),
        sa.Column("closed", sa.Boolean, nullable=False),
    )
    op.create_index("ix_models_name", "models", ["name"])
    op.create_table(
        "versions",
        sa.Column("model_id", sa.String, primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("model_name", sa.String, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("condition", sa.Text),
        sa.Column("description", sa.String, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("signature", sa.Text),
        sa.Column("metrics", sa.Text, nullable=False),
        sa.Column("labels", sa.Text, nullable=False),
        sa.Column("artifact_format", sa.String),
        sa.Column("artifact_sha256", sa.String),
        sa.Column("artifact_size", sa.BigInteger),
        sa.Column("artifact_uploaded_at", UtcDateTime),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("updated_at", UtcDateTime, nullable=False),
        sa.ForeignKeyConstraint(["model_id"], ["models.id"], name="fk_versions_model"),
    )
    op.create_table(
        "aliases",
        sa.Column("model_id", sa.String, primary_key=True),
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("updated_at", UtcDateTime, nullable=False),
        sa.ForeignKeyConstraint(["model_id", "number"], ["versions.model_id", "versions.number"], name="fk_aliases_version"),
    )
    op.create_index("ix_aliases_version", "aliases", ["model_id", "number"])
