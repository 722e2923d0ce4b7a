"""What every event sink promises."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from synapsenet.platform.events import Event
from synapsenet.platform.sink import EventSink, Receipt
from synapsenet.testing.clock import NOON

DEADLINE = 30.0


@dataclass(frozen=True, slots=True)
class Arrived:
    """One delivery, as a receiver finds it."""

    id: str
    aggregate: str
    sequence: int


class SinkStage(ABC):
    """A sink, and what a receiver sees of it.

    Attributes:
        sink: as empty as new.
        largest: bytes of payload that the sink refuses.
    """

    sink: EventSink
    largest: int

    @abstractmethod
    async def arrived(self, count: int) -> Sequence[Arrived]:
        """All deliveries so far, once there are `count`."""

    @abstractmethod
    def away(self) -> AbstractContextManager[object]:
        """Inside the `with` nothing reaches the sink; what it took stays."""


def event(aggregate: str, sequence: int, payload: bytes = b'{"amount":1}') -> Event:
    return Event(
        id=f"event-{aggregate}-{sequence}",
        aggregate=aggregate,
        sequence=sequence,
        position=sequence,
        type="EntryBooked",
        payload=payload,
        occurred_at=NOON,
    )


def events(aggregates: int, each: int) -> list[Event]:
    """`each` events of several aggregates, taking turns."""
    return [event(f"entry/{number}", sequence) for sequence in range(1, each + 1) for number in range(aggregates)]


def sequences(arrived: Sequence[Arrived], aggregate: str) -> list[int]:
    """Those of one aggregate, each where it came first."""
    return list(dict.fromkeys(one.sequence for one in arrived if one.aggregate == aggregate))


async def publish_all(sink: EventSink, batch: Sequence[Event]) -> None:
    """Hand over until all are delivered, as a relay does."""
    async with asyncio.timeout(DEADLINE):
        while batch:
            receipt = await sink.publish(batch)
            assert not receipt.refused
            batch = [one for one in batch if one.id in receipt.unsettled]


class EventSinkContract:
    """Run over every adapter by a class that provides the fixture `stage`."""

    async def test_what_was_delivered_is_found_once_and_in_order(self, stage: SinkStage) -> None:
        assert await stage.sink.publish(events(5, 40)) == Receipt()
        found = await stage.arrived(200)
        assert len(found) == len({one.id for one in found}) == 200
        for number in range(5):
            assert sequences(found, f"entry/{number}") == list(range(1, 41))

    async def test_order_holds_over_calls(self, stage: SinkStage) -> None:
        for one in events(2, 10):
            assert await stage.sink.publish([one]) == Receipt()
        found = await stage.arrived(20)
        assert sequences(found, "entry/0") == sequences(found, "entry/1") == list(range(1, 11))

    async def test_an_event_that_is_too_large_is_refused_and_holds_only_its_own_aggregate_back(self, stage: SinkStage) -> None:
        batch = events(3, 4)
        large = batch[3]._replace(payload=b'"' + b"x" * stage.largest + b'"')  # entry/0, sequence 2
        batch[3] = large
        receipt = await stage.sink.publish(batch)
        assert list(receipt.refused) == [large.id]
        assert receipt.unsettled == {"event-entry/0-3", "event-entry/0-4"}
        assert not receipt.away
        found = await stage.arrived(9)
        assert sequences(found, "entry/0") == [1]
        assert sequences(found, "entry/1") == sequences(found, "entry/2") == [1, 2, 3, 4]

    async def test_a_sink_goes_on_after_a_refusal(self, stage: SinkStage) -> None:
        await stage.sink.publish([event("entry/large", 1, b'"' + b"x" * stage.largest + b'"')])
        assert await stage.sink.publish([event("entry/small", 1)]) == Receipt()
        assert [one.aggregate for one in await stage.arrived(1)] == ["entry/small"]

    async def test_a_sink_that_is_away_says_so_and_takes_the_events_later_in_order(self, stage: SinkStage) -> None:
        batch = events(3, 20)
        assert await stage.sink.publish(batch[:30]) == Receipt()
        with stage.away():
            async with asyncio.timeout(DEADLINE):
                receipt = await stage.sink.publish(batch[30:])
            assert receipt.away
            assert receipt.unsettled == {one.id for one in batch[30:]}
        await publish_all(stage.sink, batch[30:])
        found = await stage.arrived(60)
        for number in range(3):
            assert sequences(found, f"entry/{number}") == list(range(1, 21))

    async def test_a_caller_that_gives_up_can_hand_the_same_events_over_again(self, stage: SinkStage) -> None:
        batch = events(2, 200)
        publishing = asyncio.create_task(stage.sink.publish(batch))
        await asyncio.sleep(0.02)
        publishing.cancel()
        await asyncio.wait([publishing], timeout=DEADLINE)
        await publish_all(stage.sink, batch)
        found = await stage.arrived(400)
        assert sequences(found, "entry/0") == sequences(found, "entry/1") == list(range(1, 201))
