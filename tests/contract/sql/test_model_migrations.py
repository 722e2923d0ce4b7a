"""What the migrations of models and registry make is what their repositories expect."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import MetaData, create_engine

from synapsenet.adapters.sql import models, registry
from synapsenet.adapters.sql.migrate import migrate


@pytest.mark.parametrize(("area", "metadata"), [("models", models.metadata), ("registry", registry.metadata)])
def test_the_migrations_make_the_schema(tmp_path: Path, area: str, metadata: MetaData) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'made.sqlite'}")
    with engine.begin() as connection:
        migrate(connection, area)
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    engine.dispose()
