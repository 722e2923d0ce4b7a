"""Relays with a fault of their own: the judge who clears the right one of all faults convicts each of these."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from synapsenet.adapters.kafka.options import KafkaOptions
from synapsenet.adapters.kafka.sink import open_kafka_sink
from synapsenet.adapters.sql.coordination import open_coordination
from synapsenet.adapters.sql.locks import SqlLocks
from synapsenet.adapters.sql.relay import SqlRelayLog
from synapsenet.clock import SystemClock
from synapsenet.platform.events import Event
from synapsenet.platform.relay import Relay
from synapsenet.platform.relay_log import Shard
from synapsenet.platform.sink import EventSink, Receipt
from synapsenet.testing.work import appending
from synapsenet_servers.translate.events import event_encoder
from tests.contract.databases import in_background
from tests.contract.sql.ledger import AREA, open_ledger
from tests.kafka_mock import KafkaMock, kafka_mock
from tests.relayed_events import EventReader, Verdict, judge

TOPIC = f"synapsenet.{AREA}.events"
COMMITTED = {"entry/a": 6, "entry/b": 6}
PAGE = 4
READ_S = 3.0


class RightLog(SqlRelayLog):
    async def read(self, *, after: int, limit: int) -> Sequence[Event]:
        return await super().read(after=after, limit=PAGE)


class ForgetfulLog(RightLog):
    """Forgets the first event of each page."""

    async def read(self, *, after: int, limit: int) -> Sequence[Event]:
        return (await super().read(after=after, limit=limit))[1:]


class RightSink(EventSink):
    def __init__(self, sink: EventSink) -> None:
        self._sink = sink

    async def publish(self, events: Sequence[Event], *, handed_over: Callable[[], object] | None = None) -> Receipt:
        return await self._sink.publish(events)


class HastySink(RightSink):
    """Hands the last event over first."""

    async def publish(self, events: Sequence[Event], *, handed_over: Callable[[], object] | None = None) -> Receipt:
        return await self._sink.publish(events[::-1])


class CarelessSink(RightSink):
    """Takes what it hands over for delivered, and hands over all but the last event."""

    async def publish(self, events: Sequence[Event], *, handed_over: Callable[[], object] | None = None) -> Receipt:
        await self._sink.publish(events[:-1])
        return Receipt()


@pytest.fixture
def mock() -> Iterator[KafkaMock]:
    with kafka_mock() as running:
        running.create_topic(TOPIC, partitions=2)
        yield running


async def relayed(folder: Path, mock: KafkaMock, log: type[SqlRelayLog], sink: type[RightSink]) -> Verdict:
    """What the judge says of events that such a relay passed on."""
    options, clock = KafkaOptions(brokers=tuple(mock.address.split(","))), SystemClock()

    def read() -> Verdict:
        with closing(EventReader(mock.address, TOPIC)) as reader:
            reader.await_topic(seconds=READ_S)
            total = sum(COMMITTED.values())
            return judge(reader.read_until(lambda seen: len(seen) >= total, seconds=READ_S), COMMITTED)

    async with (
        open_ledger(folder / "ledger.sqlite") as work,
        open_coordination(folder / "coordination.sqlite") as coordination,
        open_kafka_sink(options, area=AREA, encode=event_encoder(AREA)) as kafka,
    ):
        for _ in range(6):
            await work.run(lambda tx: [appending(aggregate)(tx) for aggregate in COMMITTED])
        relay = Relay(
            AREA,
            Shard(),
            log=log(work.database, work.tables, work.feed),
            sink=sink(kafka),
            locks=SqlLocks(coordination, clock),
            clock=clock,
            holder="test",
        )
        async with in_background() as background:
            background(relay.name, relay.run)
            return await asyncio.to_thread(read)


async def test_the_right_relay_is_cleared(mock: KafkaMock, tmp_path: Path) -> None:
    verdict = await relayed(tmp_path, mock, RightLog, RightSink)
    assert verdict == Verdict(lost=0, reordered=0, duplicates=0, strangers=0)


async def test_a_relay_that_forgets_events_is_convicted_of_losing_them(mock: KafkaMock, tmp_path: Path) -> None:
    assert (await relayed(tmp_path, mock, ForgetfulLog, RightSink)).lost > 0


async def test_a_relay_that_takes_events_for_delivered_is_convicted_of_losing_them(mock: KafkaMock, tmp_path: Path) -> None:
    assert (await relayed(tmp_path, mock, RightLog, CarelessSink)).lost > 0


async def test_a_relay_that_hands_later_events_over_first_is_convicted_of_reordering(mock: KafkaMock, tmp_path: Path) -> None:
    assert (await relayed(tmp_path, mock, RightLog, HastySink)).reordered > 0
