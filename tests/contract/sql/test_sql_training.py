"""Training's suite over SQLite, and its schema against its migrations."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine

from synapsenet.adapters.sql.migrate import migrate
from synapsenet.adapters.sql.training import SqlTrainingWork, metadata
from synapsenet.adapters.sql.work import SqlWork, open_work
from synapsenet.ids import SeededIds
from synapsenet.testing.clock import FakeClock
from synapsenet.testing.training import TrainingRecordsContract


@pytest.fixture
async def work(tmp_path: Path) -> AsyncIterator[SqlWork[SqlTrainingWork]]:
    path, ids = tmp_path / "training.sqlite", SeededIds("event", 1)
    async with open_work(
        path, area="training", metadata=metadata, unit=SqlTrainingWork, clock=FakeClock(), event_ids=ids
    ) as opened:
        yield opened


class TestSqlTraining(TrainingRecordsContract):
    """The shared suite."""


def test_the_migrations_make_the_schema_of_training(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'made.sqlite'}")
    with engine.begin() as connection:
        migrate(connection, "training")
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    engine.dispose()
