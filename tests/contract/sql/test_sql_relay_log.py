"""The suite of the relays' log over each database, and that nothing is trimmed which a relay still needs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import update

from synapsenet.adapters.sql.relay import SqlParkedEvents, SqlRelayLog
from synapsenet.adapters.sql.retention import Retention
from synapsenet.adapters.sql.work import SqlWork
from synapsenet.clock import SystemClock
from synapsenet.testing.relay_log import ALONE, LogStage, RelayLogContract
from synapsenet.testing.work import RETAINED, appending
from tests.contract.databases import OpenRecords
from tests.contract.sql.ledger import AREA, REVISIONS, SqlLedgerWork, metadata

DEADLINE = 10.0
MANY = 1_500  # past the retention and its slack


class SqlLogStage(LogStage):
    """The log of the sample area."""

    def __init__(self, ledger: SqlWork[SqlLedgerWork]) -> None:
        self._ledger = ledger
        self.log = SqlRelayLog(ledger.database, ledger.tables, ledger.feed)
        self.parked = SqlParkedEvents(ledger.database, ledger.tables)

    async def append(self, *aggregates: str) -> None:
        for aggregate in aggregates:
            await self.append_at_once(aggregate)

    async def trim(self, position: int) -> None:
        """Forget events up to `position`, as an area does that has no relays."""
        bounds = self._ledger.tables.log_bounds
        await self._ledger.database.tend(lambda connection: connection.execute(update(bounds).values(trimmed=position)) is None)

    async def append_at_once(self, *aggregates: str) -> None:
        """In one commit."""
        before = await self._ledger.feed.newest()
        await self._ledger.run(lambda tx: [appending(aggregate)(tx) for aggregate in aggregates])
        async with asyncio.timeout(DEADLINE):
            while (newest := await self._ledger.feed.newest()) < before + len(aggregates):
                await self.log.news(after=newest)


@pytest.fixture
async def stage(records: OpenRecords) -> AsyncIterator[SqlLogStage]:
    kept = Retention(events=RETAINED, relayed=True)
    async with records(
        AREA, metadata=metadata, unit=SqlLedgerWork, clock=SystemClock(), retention=kept, revisions=REVISIONS
    ) as ledger:
        yield SqlLogStage(ledger)


class TestSqlRelayLog(RelayLogContract):
    """The shared suite."""


async def test_nothing_is_trimmed_that_was_not_passed_on_or_is_parked(stage: SqlLogStage) -> None:
    async def oldest() -> str:
        return (await stage.log.read(after=0, limit=1))[0].aggregate

    await stage.log.claim(ALONE, 1)
    await stage.append("parked")
    await stage.park("parked")
    await stage.append_at_once(*["a"] * MANY)
    await stage.log.settle(ALONE, 1, position=MANY + 1, parked=())
    await stage.append_at_once(*["a"] * MANY)
    assert await oldest() == "parked"
    (refused,), _ = await stage.parked.refused(limit=1)
    await stage.parked.skip(refused.event_id)
    async with asyncio.timeout(DEADLINE):
        while await oldest() != "a":
            await stage.append_at_once(*["a"] * MANY)
    assert (await stage.log.read(after=0, limit=1))[0].position <= MANY + 2


async def test_what_was_trimmed_while_no_relay_ran_is_told_and_left_behind(
    stage: SqlLogStage, caplog: pytest.LogCaptureFixture
) -> None:
    await stage.append("a", "a", "a")
    await stage.log.claim(ALONE, 1)
    await stage.log.settle(ALONE, 1, position=1, parked=())
    await stage.trim(2)
    assert await stage.log.claim(ALONE, 2) == 2
    (message,) = caplog.messages
    assert message.startswith("ledger")
    assert message.endswith(": events 2 to 2 were trimmed while no relay ran")
