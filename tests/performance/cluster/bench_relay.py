"""What the way over the outbox costs beside producing straight, and how long an event takes from its commit to a consumer."""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from functools import partial
from pathlib import Path

import confluent_kafka
from sqlalchemy import update

from synapsenet.adapters.kafka.cloud_events import Headers, header_writer
from synapsenet.adapters.kafka.options import KafkaOptions
from synapsenet.adapters.kafka.sink import KafkaSink, open_kafka_sink
from synapsenet.adapters.sql.coordination import open_coordination
from synapsenet.adapters.sql.locks import SqlLocks
from synapsenet.adapters.sql.postgres_options import PostgresOptions
from synapsenet.adapters.sql.relay import SqlRelayLog
from synapsenet.adapters.sql.retention import Retention
from synapsenet.adapters.sql.work import SqlWork
from synapsenet.clock import SystemClock
from synapsenet.platform.events import Event
from synapsenet.platform.locks import Locks
from synapsenet.platform.relay import Relay
from synapsenet.platform.relay_log import ParkedEvent, Shard
from synapsenet.testing.work import EntryBooked
from synapsenet_servers.translate.events import event_encoder
from tests.contract.databases import schema_records
from tests.contract.sql.ledger import AREA, REVISIONS, SqlLedgerWork, metadata
from tests.kafka_server import kafka_server
from tests.performance.benchmark import AtLeast, Bench, Benchmark, Length, Observed
from tests.performance.measures import rate
from tests.postgres_server import postgres_server
from tests.relayed_events import EventReader

AGGREGATES = 200
ROWS = 30_000  # what a producer's queue holds of such records, and a relay passes on in some batches
RECORD = "x" * 1_000  # bytes in a record, about what a model version with its signature takes
PER_SECOND = 500
PER_COMMIT = 5
LONGEST_MS = 250.0
DRAINED_S = 60.0
TIMED = 1_000_000_000  # amounts from here on are of events that are timed
CLOCK = SystemClock()


class MarkedLog(SqlRelayLog):
    """The log, which says when a position is marked."""

    end = 0
    reached: asyncio.Event

    async def settle(self, shard: Shard, token: int, *, position: int, parked: Sequence[ParkedEvent]) -> None:
        await super().settle(shard, token, position=position, parked=parked)
        if position >= self.end:
            self.reached.set()


class Relaying:
    """The sample area's relay, started when there is something to measure."""

    def __init__(self, work: SqlWork[SqlLedgerWork], sink: KafkaSink, locks: Locks) -> None:
        self._work = work
        self._log = MarkedLog(work.database, work.tables, work.feed)
        self._relay = Relay(AREA, Shard(), log=self._log, sink=sink, locks=locks, clock=CLOCK, holder="bench")

    async def fill(self, count: int) -> Sequence[Event]:
        """Commit events of many aggregates, and wait for their positions."""
        for start in range(0, count, 1_000):
            await self._work.run(partial(append, range(start, min(count, start + 1_000))))
        async with asyncio.timeout(DRAINED_S):
            while (newest := await self._work.feed.newest()) < count:
                await self._log.news(after=newest)
        return await self._log.read(after=0, limit=count)

    async def drain(self, events: Sequence[Event]) -> float:
        """Pass the backlog on from its beginning, until all of it is marked: rows a second, from when the relay starts."""
        progress = self._work.tables.relay_progress
        await self._work.database.tend(lambda connection: connection.execute(update(progress).values(position=0)) is None)
        self._log.end = events[-1].position
        begun = time.perf_counter()
        async with self.going_on(), asyncio.timeout(DRAINED_S):
            await self._log.reached.wait()
            return len(events) / (time.perf_counter() - begun)

    @asynccontextmanager
    async def going_on(self) -> AsyncIterator[None]:
        """The relay at work inside the `async with`."""
        self._log.reached = asyncio.Event()
        relaying = asyncio.create_task(self._relay.run())
        try:
            yield
        finally:
            relaying.cancel()
            await asyncio.gather(relaying, return_exceptions=True)


def append(numbers: range, tx: SqlLedgerWork) -> None:
    for number in numbers:
        tx.events.append(f"entry/{number % AGGREGATES}", EntryBooked(entry=RECORD, amount=number))


class Straight:
    """The same messages, ready made, by the same producer and nothing else."""

    def __init__(self, settings: dict[str, object], topic: str, messages: Sequence[tuple[bytes, str, Headers]]) -> None:
        self.settings = settings
        self._producer = confluent_kafka.Producer(settings)
        self._topic = topic
        self.messages = messages
        self._failures: list[object] = []

    def produce(self) -> int:
        """Until the last one is acknowledged."""
        failed = self._failures.append
        for value, key, head in self.messages:
            self._producer.produce(self._topic, value, key, headers=head, on_delivery=lambda error, _: failed(error))
        assert self._producer.flush(DRAINED_S) == 0
        assert not self._failures
        return len(self.messages)


async def delays_ms(work: SqlWork[SqlLedgerWork], brokers: str, topic: str, commits: int) -> list[float]:
    """Commit at a steady pace; for each event the time from its commit's return to the consumer."""
    reader = EventReader(brokers, topic)
    with closing(reader):
        await asyncio.to_thread(reader.follow)  # one that first read the backlog would be timed doing that
        sent: dict[int, float] = {}
        reading = asyncio.create_task(asyncio.to_thread(reader.arrivals, commits * PER_COMMIT, above=TIMED, seconds=DRAINED_S))
        begun = time.monotonic()
        for number in range(commits):
            await asyncio.sleep(begun + number * PER_COMMIT / PER_SECOND - time.monotonic())
            first = TIMED + number * PER_COMMIT
            numbers = range(first, first + PER_COMMIT)
            await work.run(partial(append, numbers))
            sent.update(dict.fromkeys(numbers, time.monotonic()))
        arrived = await reading
    assert set(arrived) == set(sent)
    return [max(0.0, arrived[number] - sent[number]) * 1e3 for number in sent]


@asynccontextmanager
async def relay(length: Length) -> AsyncIterator[Sequence[Benchmark]]:
    """One shard on PostgreSQL with its sequencer at work, one topic of twelve partitions on a broker in memory."""
    with tempfile.TemporaryDirectory() as folder, postgres_server() as postgres, kafka_server() as broker:
        options = KafkaOptions(brokers=(broker.address,))
        records = schema_records(PostgresOptions(url=postgres.url), Path(folder))
        async with (
            records(
                AREA,
                metadata=metadata,
                unit=SqlLedgerWork,
                clock=CLOCK,
                retention=Retention(relayed=True),
                revisions=REVISIONS,
            ) as work,
            open_coordination(Path(folder) / "relay.sqlite") as leases,
            open_kafka_sink(options, area=AREA, encode=event_encoder(AREA)) as sink,
        ):
            relaying, topic = Relaying(work, sink, SqlLocks(leases, CLOCK)), options.topic_of(AREA)
            events = await relaying.fill(length.of(ROWS, 200))
            await relaying.drain(events)
            async with relaying.going_on():
                delays = await delays_ms(work, broker.address, topic, length.of(1_000, 20))
            slowest = statistics.quantiles(delays, n=100, method="inclusive")[98]
            value, head = event_encoder(AREA), header_writer(AREA)
            messages = [(value(event), event.aggregate, head(event)) for event in events]
            straight = Straight(options.producer(), topic, messages)
            yield [
                Benchmark(
                    name="relay",
                    unit="rows/s",
                    value=lambda: relaying.drain(events),
                    baseline=rate(straight.produce),
                    target=AtLeast(0.8),
                    also=[
                        Observed(
                            f"p99 from commit to consumer {slowest:.0f} ms < {LONGEST_MS:g} ms at {PER_SECOND} events/s",
                            lambda: slowest < LONGEST_MS,
                        )
                    ],
                    alike={"producer": (sink.settings, straight.settings), "rows": (len(events), len(straight.messages))},
                )
            ]


BENCHES: tuple[Bench, ...] = (relay,)
