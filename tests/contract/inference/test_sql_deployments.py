"""Inference's records over SQLite."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine

from synapsenet.adapters.sql.inference import SqlInferenceWork, metadata
from synapsenet.adapters.sql.migrate import migrate
from synapsenet.adapters.sql.work import SqlWork, open_work
from synapsenet.ids import SeededIds
from synapsenet.testing.clock import FakeClock
from synapsenet.testing.inference import DeploymentsContract


@pytest.fixture
async def work(tmp_path: Path) -> AsyncIterator[SqlWork[SqlInferenceWork]]:
    path = tmp_path / "inference.sqlite"
    event_ids = SeededIds("event", 0)
    async with open_work(
        path, area="inference", metadata=metadata, unit=SqlInferenceWork, clock=FakeClock(), event_ids=event_ids
    ) as opened:
        yield opened


class TestSqliteDeployments(DeploymentsContract):
    """The shared suite."""


def test_the_migrations_make_the_schema_that_the_adapter_has(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'migrated.sqlite'}")
    with engine.begin() as connection:
        migrate(connection, "inference")
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
    engine.dispose()
