"""What the migrations make is what the repositories expect, on every database."""

from __future__ import annotations

from functools import partial
from importlib import import_module
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from synapsenet.adapters.sql import coordination, experiments, features, inference, lifecycle, models, registry, training
from synapsenet.adapters.sql.migrate import migrate
from synapsenet.adapters.sql.postgres_options import PostgresOptions
from tests.contract.databases import KINDS, Place, schema_engine, sqlite_engine

import_module("synapsenet.adapters.sql.tokens")  # adds its table to those of coordination

AREAS = {
    "coordination": coordination.metadata,
    "experiments": experiments.metadata,
    "features": features.metadata,
    "inference": inference.metadata,
    "lifecycle": lifecycle.metadata,
    "models": models.metadata,
    "registry": registry.metadata,
    "training": training.metadata,
}


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "sqlite":
        return partial(sqlite_engine, tmp_path)
    options: PostgresOptions = request.getfixturevalue("bare_postgres")
    return partial(schema_engine, options)


@pytest.mark.parametrize("area", AREAS)
def test_the_migrations_make_the_schema(area: str, place: Place) -> None:
    with place(area) as engine, engine.begin() as connection:
        migrate(connection, area)
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, AREAS[area]) == []
