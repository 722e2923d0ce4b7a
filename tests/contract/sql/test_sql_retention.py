"""Events that are kept no longer than an operator said, on both databases, whoever commits meanwhile or nobody."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta

import pytest

from synapsenet.adapters.sql.relay import SqlRelayLog
from synapsenet.adapters.sql.retention import Retention
from synapsenet.adapters.sql.work import SqlWork
from synapsenet.errors import OutOfRange
from synapsenet.testing.clock import FakeClock
from synapsenet.testing.relay_log import ALONE
from synapsenet.testing.work import DEADLINE, appending, positioned
from tests.contract.databases import OpenRecords
from tests.contract.sql.ledger import AREA, REVISIONS, SqlLedgerWork, metadata

HOUR = timedelta(hours=1)

LOOK_S = 60.0

Opened = Callable[..., AbstractAsyncContextManager[SqlWork[SqlLedgerWork]]]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def opened(records: OpenRecords, clock: FakeClock) -> Opened:
    def of_age(*, relayed: bool = False) -> AbstractAsyncContextManager[SqlWork[SqlLedgerWork]]:
        kept = Retention(events_age=HOUR, relayed=relayed)
        return records(AREA, metadata=metadata, unit=SqlLedgerWork, clock=clock, retention=kept, revisions=REVISIONS)

    return of_age


@pytest.fixture
async def ledger(opened: Opened) -> AsyncIterator[SqlWork[SqlLedgerWork]]:
    async with opened() as ledger:
        yield ledger


async def append(ledger: SqlWork[SqlLedgerWork], count: int) -> None:
    before = await ledger.feed.newest()
    for _ in range(count):
        await ledger.run(appending("entry/a"))
    await positioned(ledger, count, after=before)


async def oldest_after_trimming(ledger: SqlWork[SqlLedgerWork], clock: FakeClock) -> int:
    """The oldest position that is kept, once any is not."""
    async with asyncio.timeout(DEADLINE):
        while True:
            try:
                await ledger.feed.read(after=0, limit=1)
            except OutOfRange as refusal:
                return int(refusal.metadata["oldest"])
            await clock.advance(LOOK_S)
            await asyncio.sleep(0.01)


async def test_events_past_their_age_go_while_nobody_commits_and_younger_ones_stay(
    ledger: SqlWork[SqlLedgerWork], clock: FakeClock
) -> None:
    await append(ledger, 5)
    await clock.advance(HOUR.total_seconds() / 2)
    await append(ledger, 3)
    assert len(await ledger.feed.read(after=0, limit=100)) == 8
    assert await oldest_after_trimming(ledger, clock) == 6
    assert clock.monotonic() < HOUR.total_seconds() + 10 * LOOK_S
    assert [event.position for event in await ledger.feed.read(after=5, limit=100)] == [6, 7, 8]


async def test_the_newest_event_stays_however_old_and_positions_go_on_after_it(
    ledger: SqlWork[SqlLedgerWork], clock: FakeClock
) -> None:
    await append(ledger, 4)
    await clock.advance(HOUR.total_seconds() * 100)
    assert await oldest_after_trimming(ledger, clock) == 4
    await append(ledger, 1)
    assert [event.position for event in await ledger.feed.read(after=3, limit=100)] == [4, 5]


async def test_an_old_event_stays_until_the_relay_has_sent_it(opened: Opened, clock: FakeClock) -> None:
    async with opened(relayed=True) as ledger:
        log = SqlRelayLog(ledger.database, ledger.tables, ledger.feed)
        await log.claim(ALONE, 1)
        await append(ledger, 5)
        for _ in range(5):
            await clock.advance(HOUR.total_seconds())
            await asyncio.sleep(0.05)
        assert len(await ledger.feed.read(after=0, limit=100)) == 5
        await log.settle(ALONE, 1, position=2, parked=())
        assert await oldest_after_trimming(ledger, clock) == 3
