"""The suites of the coordinator's records, over every database."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from synapsenet.adapters.sql.lifecycle import SqlLifecycleWork, metadata
from synapsenet.adapters.sql.work import SqlWork
from synapsenet.testing.clock import FakeClock
from synapsenet.testing.lifecycle import HistoryRecordsContract, OperationRecordsContract, VersionRecordsContract
from tests.contract.databases import OpenRecords


@pytest.fixture
async def work(records: OpenRecords) -> AsyncIterator[SqlWork[SqlLifecycleWork]]:
    async with records("lifecycle", metadata=metadata, unit=SqlLifecycleWork, clock=FakeClock()) as opened:
        yield opened


class TestSqlVersionRecords(VersionRecordsContract):
    """The shared suite."""


class TestSqlOperationRecords(OperationRecordsContract):
    """The shared suite."""


class TestSqlHistoryRecords(HistoryRecordsContract):
    """The shared suite."""
