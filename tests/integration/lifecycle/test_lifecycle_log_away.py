"""A coordinator whose log is away for a moment goes on, and misses nothing that was wished meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from synapsenet.adapters.sql.coordination import open_coordination
from synapsenet.adapters.sql.lifecycle import SqlLifecycleWork, metadata
from synapsenet.adapters.sql.locks import SqlLocks
from synapsenet.clock import SystemClock
from synapsenet.errors import Unavailable
from synapsenet.lifecycle.model import Caller, OperationState
from synapsenet.platform.events import Event, EventFeed
from synapsenet.platform.work import ANONYMOUS
from synapsenet.testing.lifecycle_stage import staged
from tests.contract.databases import sqlite_records

CLOCK = SystemClock()


class Faltering(EventFeed):
    """A feed whose database can be away."""

    def __init__(self, feed: EventFeed) -> None:
        self._feed = feed
        self.away = False
        self.broken = asyncio.Event()

    async def read(self, *, after: int, limit: int, aggregate: str = "") -> Sequence[Event]:
        self._check()
        return await self._feed.read(after=after, limit=limit, aggregate=aggregate)

    async def newest(self) -> int:
        self._check()
        return await self._feed.newest()

    async def watch(self, *, after: int, aggregate: str = "") -> AsyncIterator[Event]:
        async for event in self._feed.watch(after=after, aggregate=aggregate):
            self._check()
            yield event

    def _check(self) -> None:
        if self.away:
            self.broken.set()
            raise Unavailable("DATABASE_UNAVAILABLE", "the database of lifecycle does not answer")


async def test_a_cancellation_is_heard_that_came_while_the_log_was_away(tmp_path: Path) -> None:
    async with (
        open_coordination(tmp_path / "coordination.sqlite") as coordination,
        sqlite_records(tmp_path)("lifecycle", metadata=metadata, unit=SqlLifecycleWork, clock=CLOCK) as work,
    ):
        feed = Faltering(work.feed)
        async with staged(work, feed, SqlLocks(coordination, CLOCK), CLOCK) as stage:
            stage.troupe.acts["execute load"] = lambda _call: asyncio.Event().wait()
            operation = await stage.deploy(1)
            await stage.troupe.asked("execute load")
            feed.away = True
            await stage.lifecycle.desk.cancel(operation.id, Caller(), ANONYMOUS)
            await asyncio.wait_for(feed.broken.wait(), 5)
            feed.away = False
            assert (await stage.ended(operation)).state is OperationState.COMPENSATED
