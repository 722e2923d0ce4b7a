"""What every log promises its relays, and the operators who look after what was parked."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod

import pytest

from synapsenet.errors import Aborted
from synapsenet.platform.relay_log import ParkedEvent, ParkedEvents, RelayLog, Shard
from synapsenet.testing.clock import NOON

DEADLINE = 10.0
ALONE = Shard()


class LogStage(ABC):
    """An empty log.

    Attributes:
        log: as relays see it.
        parked: as operators do.
    """

    log: RelayLog
    parked: ParkedEvents

    @abstractmethod
    async def append(self, *aggregates: str) -> None:
        """Commit one event of each, and wait until they have positions."""

    async def park(self, *refused: str) -> None:
        """Park the events of all aggregates, giving a reason for the first of those that are `refused`."""
        rows, seen = [], set()
        for event in await self.log.read(after=0, limit=100):
            reason = "TOO_LARGE" if event.aggregate in refused and event.aggregate not in seen else ""
            seen.add(event.aggregate)
            rows.append(
                ParkedEvent(
                    event_id=event.id, aggregate=event.aggregate, position=event.position, reason=reason, parked_at=NOON
                )
            )
        await self.log.settle(ALONE, 1, position=rows[-1].position, parked=rows)

    async def released(self) -> list[tuple[str, int]]:
        """Aggregate and sequence of what is to be tried again."""
        return [(event.aggregate, event.sequence) for event in await self.log.released(after=0, limit=100)]


class RelayLogContract:
    """Run over every adapter by a class that provides the fixture `stage`."""

    async def test_events_are_read_in_order_of_position(self, stage: LogStage) -> None:
        await stage.append("a", "b", "a")
        events = await stage.log.read(after=0, limit=10)
        assert [(event.aggregate, event.sequence) for event in events] == [("a", 1), ("b", 1), ("a", 2)]
        assert [event.position for event in events] == sorted({event.position for event in events})
        assert await stage.log.read(after=events[0].position, limit=1) == events[1:2]

    async def test_news_are_waited_for(self, stage: LogStage) -> None:
        waiting = asyncio.create_task(stage.log.news(after=0))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        await stage.append("a")
        await asyncio.wait_for(waiting, DEADLINE)

    async def test_a_shard_begins_at_the_oldest_event_and_goes_on_from_where_it_was(self, stage: LogStage) -> None:
        await stage.append("a", "a")
        assert await stage.log.claim(ALONE, 1) == 0
        await stage.log.settle(ALONE, 1, position=2, parked=())
        assert await stage.log.claim(ALONE, 2) == 2

    async def test_a_lower_token_is_refused_everything_once_a_higher_one_has_claimed(self, stage: LogStage) -> None:
        await stage.append("a")
        await stage.log.claim(ALONE, 1)
        await stage.log.claim(ALONE, 2)
        for writing in (
            stage.log.claim(ALONE, 1),
            stage.log.settle(ALONE, 1, position=9, parked=()),
            stage.log.unpark(ALONE, 1, delivered=["event"], refused={}),
        ):
            with pytest.raises(Aborted) as refusal:
                await writing
            assert refusal.value.reason == "RELAY_SUPERSEDED"
        assert await stage.log.claim(ALONE, 2) == 0

    async def test_shards_are_claimed_by_themselves(self, stage: LogStage) -> None:
        first, second = Shard(number=0, count=2), Shard(number=1, count=2)
        await stage.log.claim(first, 5)
        assert await stage.log.claim(second, 1) == 0
        await stage.log.settle(second, 1, position=7, parked=())
        assert await stage.log.claim(first, 6) == 0
        assert await stage.log.claim(second, 2) == 7

    async def test_another_number_of_shards_starts_all_from_where_the_last_one_was(self, stage: LogStage) -> None:
        for number, position in enumerate((30, 10, 20)):
            shard = Shard(number=number, count=3)
            await stage.log.claim(shard, 1)
            await stage.log.settle(shard, 1, position=position, parked=())
        assert await stage.log.claim(Shard(number=0, count=2), 2) == 10
        assert await stage.log.claim(Shard(number=1, count=2), 2) == 10
        assert await stage.log.claim(Shard(number=3, count=4), 1) == 10

    async def test_what_is_refused_blocks_its_aggregate_and_no_other(self, stage: LogStage) -> None:
        await stage.append("a", "b", "a", "b")
        await stage.log.claim(ALONE, 1)
        await stage.park("a")
        assert await stage.log.blocked() == {"a", "b"}
        assert await stage.released() == [("b", 1), ("b", 2)]
        (refused,), behind = await stage.parked.refused(limit=10)
        assert (refused.aggregate, refused.reason, refused.parked_at, behind) == ("a", "TOO_LARGE", NOON, 3)

    async def test_parking_an_event_twice_keeps_the_first_reason(self, stage: LogStage) -> None:
        await stage.append("a")
        await stage.log.claim(ALONE, 1)
        await stage.park("a")
        await stage.park()
        assert await stage.released() == []

    async def test_a_retry_releases_an_event_and_those_behind_it(self, stage: LogStage) -> None:
        await stage.append("a", "a", "b")
        await stage.log.claim(ALONE, 1)
        await stage.park("a", "b")
        (first, _), _ = await stage.parked.refused(limit=10)
        assert await stage.parked.retry("no such event") == 0
        assert await stage.parked.retry(first.event_id) == 1
        assert await stage.released() == [("a", 1), ("a", 2)]
        assert await stage.parked.retry() == 1
        assert await stage.released() == [("a", 1), ("a", 2), ("b", 1)]

    async def test_a_skipped_event_is_gone_and_those_behind_it_follow(self, stage: LogStage) -> None:
        await stage.append("a", "a")
        await stage.log.claim(ALONE, 1)
        await stage.park("a")
        (first,), _ = await stage.parked.refused(limit=10)
        behind = (await stage.log.read(after=first.position, limit=1))[0]
        assert await stage.parked.skip(behind.id) == 0
        assert await stage.parked.skip(first.event_id) == 1
        assert await stage.released() == [("a", 2)]

    async def test_what_was_delivered_after_all_is_forgotten_and_what_was_refused_again_stays(self, stage: LogStage) -> None:
        await stage.append("a", "b")
        await stage.log.claim(ALONE, 1)
        await stage.park()
        a, b = await stage.log.released(after=0, limit=10)
        await stage.log.unpark(ALONE, 1, delivered=[a.id], refused={b.id: "TOO_LARGE"})
        assert await stage.log.blocked() == {"b"}
        assert await stage.released() == []
