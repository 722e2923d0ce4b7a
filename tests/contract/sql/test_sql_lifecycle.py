"""The suites of the coordinator's records, over every database."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from synapsenet.adapters.sql.lifecycle import SqlLifecycleWork, metadata
from synapsenet.adapters.sql.work import SqlWork
from synapsenet.testing.clock import FakeClock
from synapsenet.testing.lifecycle import HistoryRecordsContract, OperationRecordsContract, VersionRecordsContract
from synapsenet.testing.lifecycle_forgetting import ForgettingContract
from tests.contract.databases import OpenRecords


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def work(records: OpenRecords, clock: FakeClock) -> AsyncIterator[SqlWork[SqlLifecycleWork]]:
    async with records("lifecycle", metadata=metadata, unit=SqlLifecycleWork, clock=clock) as opened:
        yield opened


class TestSqlVersionRecords(VersionRecordsContract):
    """The shared suite."""


class TestSqlOperationRecords(OperationRecordsContract):
    """The shared suite."""


class TestSqlHistoryRecords(HistoryRecordsContract):
    """The shared suite."""


class TestSqlForgetting(ForgettingContract):
    """The shared suite."""
