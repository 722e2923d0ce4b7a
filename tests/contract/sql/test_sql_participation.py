"""The suites of taking part in sagas, over the records of an area that does, on every database."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from synapsenet.adapters.sql.registry import SqlRegistryWork, metadata
from synapsenet.clock import SystemClock
from synapsenet.platform.participation import ParticipantWork
from synapsenet.platform.work import WorkFactory
from synapsenet.testing.participants import ParticipantContract
from synapsenet.testing.participation import StepNotesContract
from tests.contract.databases import OpenRecords


@pytest.fixture
async def work(records: OpenRecords) -> AsyncIterator[WorkFactory[ParticipantWork]]:
    async with records("registry", metadata=metadata, unit=SqlRegistryWork, clock=SystemClock()) as opened:
        yield opened


class TestSqlStepNotes(StepNotesContract):
    """The shared suite."""


class TestParticipantOverSql(ParticipantContract):
    """The shared suite."""
