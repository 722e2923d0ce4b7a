"""Training's suite over every database."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from synapsenet.adapters.sql.training import SqlTrainingWork, metadata
from synapsenet.adapters.sql.work import SqlWork
from synapsenet.testing.clock import FakeClock
from synapsenet.testing.training import TrainingRecordsContract
from tests.contract.databases import OpenRecords


@pytest.fixture
async def work(records: OpenRecords) -> AsyncIterator[SqlWork[SqlTrainingWork]]:
    async with records("training", metadata=metadata, unit=SqlTrainingWork, clock=FakeClock()) as opened:
        yield opened


class TestSqlTraining(TrainingRecordsContract):
    """The shared suite."""
