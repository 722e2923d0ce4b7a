"""The suites of the coordinator at work, over every database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from synapsenet.adapters.sql.coordination import open_coordination
from synapsenet.adapters.sql.lifecycle import SqlLifecycleWork, metadata
from synapsenet.adapters.sql.locks import SqlLocks
from synapsenet.adapters.sql.work import SqlWork
from synapsenet.clock import SystemClock
from synapsenet.testing.lifecycle_sagas import OpenStage, SagaContract
from synapsenet.testing.lifecycle_stage import Shelf, Stage, staged
from synapsenet.testing.lifecycle_tables import TableContract
from synapsenet.testing.lifecycle_use_cases import CoordinatorContract
from tests.contract.databases import OpenRecords

CLOCK = SystemClock()


@pytest.fixture
async def work(records: OpenRecords) -> AsyncIterator[SqlWork[SqlLifecycleWork]]:
    async with records("lifecycle", metadata=metadata, unit=SqlLifecycleWork, clock=CLOCK) as opened:
        yield opened


@pytest.fixture
async def open_stage(work: SqlWork[SqlLifecycleWork], tmp_path: Path) -> AsyncIterator[OpenStage]:
    async with open_coordination(tmp_path / "coordination.sqlite") as coordination:
        yield partial(staged, work, work.feed, SqlLocks(coordination, CLOCK), CLOCK)


@pytest.fixture
async def stage(open_stage: OpenStage) -> AsyncIterator[Stage]:
    async with open_stage() as opened:
        yield opened


class TestSqlSagas(SagaContract):
    """The shared suite."""


class TestSqlTables(TableContract):
    """The shared suite."""


class TestSqlCoordinator(CoordinatorContract):
    """The shared suite."""

    @pytest.fixture
    async def stage(self, open_stage: OpenStage) -> AsyncIterator[Stage]:
        async with open_stage(shelf=Shelf(state="created")) as opened:
            yield opened
