"""What brokers may answer instead of taking an event, each by librdkafka's mock cluster; the relay is in this process."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, closing
from pathlib import Path

import pytest
from confluent_kafka import KafkaError

from synapsenet.adapters.kafka.options import KafkaOptions
from synapsenet.adapters.sql.coordination import open_coordination
from synapsenet.adapters.sql.locks import SqlLocks
from synapsenet.adapters.sql.relay import SqlParkedEvents
from synapsenet.adapters.sql.work import SqlWork
from synapsenet.clock import SystemClock
from synapsenet.platform.relay import RelayOptions
from synapsenet.platform.relay_log import ParkedEvent
from synapsenet.testing.work import appending
from synapsenet_servers.bootstrap.relay import relays
from tests.chaos.conftest import Tell
from tests.contract.databases import in_background
from tests.contract.sql.ledger import AREA, SqlLedgerWork, open_ledger
from tests.kafka_mock import KafkaMock, kafka_mock
from tests.relayed_events import EventReader, Seen, Verdict, judge

PASSING = (
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.REQUEST_TIMED_OUT,
    KafkaError.NOT_ENOUGH_REPLICAS,
    KafkaError.NOT_ENOUGH_REPLICAS_AFTER_APPEND,
    KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER,
    KafkaError.UNKNOWN_PRODUCER_ID,
)
FOR_GOOD = (KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_RECORD, KafkaError.TOPIC_AUTHORIZATION_FAILED)
TOPIC = f"synapsenet.{AREA}.events"
DRAINED_S = 20.0
REQUESTS = 100  # more than a relay makes before it parks what was refused


class RelayedLedger:
    """The sample area with its relay to the mock cluster at work.

    Attributes:
        committed: how many events each aggregate has.
    """

    def __init__(self, work: SqlWork[SqlLedgerWork], mock: KafkaMock) -> None:
        self._work = work
        self._mock = mock
        self.parked = SqlParkedEvents(work.database, work.tables)
        self.committed: Counter[str] = Counter()

    async def commit(self, *aggregates: str) -> None:
        """One event of each, in one transaction."""
        await self._work.run(lambda tx: [appending(aggregate)(tx) for aggregate in aggregates])
        self.committed.update(aggregates)

    async def received(self, count: int) -> list[Seen]:
        """What the topic holds once it has `count` events, or it takes too long."""

        def read() -> list[Seen]:
            with closing(EventReader(self._mock.address, TOPIC)) as reader:
                reader.await_topic(seconds=DRAINED_S)
                return reader.read_until(lambda seen: len({one.id for one in seen}) >= count, seconds=DRAINED_S)

        return await asyncio.to_thread(read)

    async def verdict(self) -> Verdict:
        return judge(await self.received(self.committed.total()), self.committed)

    async def refused(self, until: Callable[[Sequence[ParkedEvent]], bool]) -> Sequence[ParkedEvent]:
        async with asyncio.timeout(DRAINED_S):
            while not until(found := (await self.parked.refused(limit=100))[0]):
                await asyncio.sleep(0.05)
        return found

    async def all_unparked(self) -> None:
        """What was delivered after all is marked a moment later."""
        async with asyncio.timeout(DRAINED_S):
            while await self.parked.refused(limit=1) != ([], 0):
                await asyncio.sleep(0.05)


@pytest.fixture
def mock() -> Iterator[KafkaMock]:
    with kafka_mock() as running:
        running.create_topic(TOPIC, partitions=2)
        yield running


@pytest.fixture
async def ledger(mock: KafkaMock, tmp_path: Path) -> AsyncIterator[RelayedLedger]:
    options = KafkaOptions(
        brokers=tuple(mock.address.split(",")),
        delivery_timeout_s=2.0,
        relay=RelayOptions(batch=20, longest_pause_s=0.5, parked_check_s=0.1),
    )
    clock = SystemClock()
    async with (
        open_ledger(tmp_path / "ledger.sqlite") as work,
        open_coordination(tmp_path / "coordination.sqlite") as coordination,
        AsyncExitStack() as stack,
    ):
        locks = SqlLocks(coordination, clock)
        tasks = await relays(work, options, stack, area=AREA, locks=locks, clock=clock, holder="test")
        async with in_background() as background:
            for task in tasks:
                background(task.name, task.run)
            yield RelayedLedger(work, mock)


@pytest.mark.parametrize("code", PASSING, ids=lambda code: KafkaError(code).name())
async def test_an_error_that_passes_costs_nothing_but_time(
    code: int, ledger: RelayedLedger, mock: KafkaMock, tell: Tell
) -> None:
    await ledger.commit("entry/a", "entry/b")
    await ledger.received(2)
    mock.fail_next(0, code, 0, code, code)
    for _ in range(3):
        await ledger.commit(*["entry/a", "entry/b", "entry/c"] * 5)
    verdict = await ledger.verdict()
    tell(
        f"brokers answer {KafkaError(code).name()}",
        lost_events=verdict.lost,
        reordered=verdict.reordered,
        strangers=verdict.strangers,
    )


@pytest.mark.parametrize("code", FOR_GOOD, ids=lambda code: KafkaError(code).name())
async def test_an_event_refused_for_good_is_parked_with_those_behind_it_and_drains_when_retried(
    code: int, ledger: RelayedLedger, mock: KafkaMock, tell: Tell
) -> None:
    await ledger.commit("entry/a")
    await ledger.received(1)
    mock.fail_next(code)
    await ledger.commit("entry/a")
    (refused,) = await ledger.refused(lambda found: len(found) == 1)
    assert (refused.aggregate, refused.reason) == ("entry/a", KafkaError(code).name())
    await ledger.commit(*["entry/a", "entry/b"] * 5)
    seen = await ledger.received(6)
    assert [one.sequence for one in seen if one.aggregate == "entry/a"] == [1]
    assert [one.sequence for one in seen if one.aggregate == "entry/b"] == [1, 2, 3, 4, 5]
    assert await ledger.parked.retry(refused.event_id) == 1
    verdict = await ledger.verdict()
    await ledger.all_unparked()
    tell(
        f"brokers refuse an event for good: {KafkaError(code).name()}",
        lost_events=verdict.lost,
        reordered=verdict.reordered,
        strangers=verdict.strangers,
    )


async def test_only_the_event_to_blame_is_parked_of_a_batch_that_was_refused(
    ledger: RelayedLedger, mock: KafkaMock, tell: Tell
) -> None:
    await ledger.commit("entry/a", "entry/b")
    await ledger.received(2)
    mock.fail_next(KafkaError.MSG_SIZE_TOO_LARGE)  # the batch; alone each of its events is taken
    await ledger.commit(*["entry/a", "entry/b", "entry/c"] * 6)
    verdict = await ledger.verdict()
    assert await ledger.parked.refused(limit=1) == ([], 0)
    tell("brokers refuse a batch, and none of its events", lost_events=verdict.lost, reordered=verdict.reordered)


async def test_a_topic_that_may_not_be_written_parks_what_it_meets_until_it_may(
    ledger: RelayedLedger, mock: KafkaMock, tell: Tell
) -> None:
    await ledger.commit("entry/a", "entry/b")
    await ledger.received(2)
    mock.fail_next(*[KafkaError.TOPIC_AUTHORIZATION_FAILED] * REQUESTS)
    await ledger.commit(*["entry/a", "entry/b"] * 3)
    await ledger.refused(lambda found: {one.aggregate for one in found} == {"entry/a", "entry/b"})
    mock.fail_no_more()
    assert await ledger.parked.retry() == 2
    verdict = await ledger.verdict()
    tell("topic not authorized for a while", lost_events=verdict.lost, reordered=verdict.reordered)


async def test_a_skipped_event_is_never_sent_and_those_behind_it_are(ledger: RelayedLedger, mock: KafkaMock) -> None:
    await ledger.commit("entry/a")
    await ledger.received(1)
    mock.fail_next(KafkaError.INVALID_RECORD)
    await ledger.commit("entry/a")
    (refused,) = await ledger.refused(lambda found: len(found) == 1)
    await ledger.commit("entry/a", "entry/a")
    assert await ledger.parked.skip(refused.event_id) == 1
    assert [one.sequence for one in await ledger.received(3)] == [1, 3, 4]
