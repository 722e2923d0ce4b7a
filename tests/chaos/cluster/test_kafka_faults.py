"""Kafka's faults: brokers that are away, relays that die or hang between acknowledgement and mark, errors of the brokers.

Each commits events all the while, and asks a consumer whether one was lost, or came after a later one of its aggregate.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path

import psycopg
import pytest

from synapsenet.adapters.sql.work import SqlWork
from synapsenet.testing.work import appending
from tests.chaos.conftest import Tell
from tests.contract.sql.ledger import AREA, SqlLedgerWork
from tests.etcd_server import etcd_server
from tests.kafka_server import KafkaServer, kafka_server
from tests.postgres_server import postgres_server
from tests.relay_process import LEASE_S, Places, opened_ledger, relay_process
from tests.relayed_events import EventReader, Seen, Verdict, judge

AWAY_S = float(os.environ.get("CHAOS_BROKER_AWAY_S", "4"))
DEATHS = int(os.environ.get("CHAOS_RELAY_DEATHS", "2"))
AGGREGATES = 7
DRAINED_S = 30.0
COMMIT_S = 2.0
TOPIC = f"synapsenet.{AREA}.events"


class Traffic:
    """Commits events of a few aggregates, one after the other, and counts them.

    Attributes:
        committed: how many events each aggregate has.
        slowest_s: seconds that the longest commit took.
    """

    def __init__(self, work: SqlWork[SqlLedgerWork]) -> None:
        self._work = work
        self.committed: Counter[str] = Counter()
        self.slowest_s = 0.0

    async def commit(self, count: int) -> None:
        for _ in range(count):
            aggregate = f"entry/{sum(self.committed.values()) % AGGREGATES}"
            begun = time.monotonic()
            await self._work.run(appending(aggregate))
            self.slowest_s = max(self.slowest_s, time.monotonic() - begun)
            self.committed[aggregate] += 1

    @asynccontextmanager
    async def going_on(self) -> AsyncIterator[None]:
        """Commit inside the `async with`, some fifty a second."""
        ended = asyncio.Event()

        async def go_on() -> None:
            while not ended.is_set():
                await self.commit(1)
                await asyncio.sleep(0.02)

        going = asyncio.create_task(go_on())
        try:
            yield
        finally:
            ended.set()
            await going


@pytest.fixture(scope="module")
def lasting() -> Iterator[Places]:
    """PostgreSQL and etcd for all tests of this module."""
    with postgres_server() as postgres, etcd_server() as etcd:
        yield Places(postgres.url, etcd.endpoint, "")


@pytest.fixture
def broker() -> Iterator[KafkaServer]:
    with kafka_server() as running:
        yield running


@pytest.fixture
def places(lasting: Places, broker: KafkaServer) -> Places:
    """An empty database and an empty broker."""
    with psycopg.connect(lasting.postgres, autocommit=True) as connection:
        connection.execute(f'DROP SCHEMA IF EXISTS "{AREA}" CASCADE'.encode())
    return Places(lasting.postgres, lasting.etcd, broker.address)


@pytest.fixture
async def traffic(places: Places) -> AsyncIterator[Traffic]:
    async with opened_ledger(places, "traffic") as (work, _):
        yield Traffic(work)


async def received(places: Places, committed: Mapping[str, int], *, before: Sequence[Seen] = ()) -> list[Seen]:
    """What the topic holds, once everything committed is in it or in `before`, or it takes too long."""
    total = sum(committed.values())

    def read() -> list[Seen]:
        with closing(EventReader(places.kafka, TOPIC)) as reader:
            reader.await_topic(seconds=DRAINED_S)
            return reader.read_until(lambda seen: len({one.id for one in (*before, *seen)}) >= total, seconds=DRAINED_S)

    return [*before, *await asyncio.to_thread(read)]


def show(tell: Tell, fault: str, verdict: Verdict) -> None:
    """Assert that nothing was lost, or came as no consumer could know it."""
    tell(
        f"{fault} ({verdict.duplicates} duplicates, all known as such)",
        lost_events=verdict.lost,
        reordered=verdict.reordered,
        strangers=verdict.strangers,
    )


async def died(process: subprocess.Popen[str]) -> None:
    """Wait until it was killed by itself."""
    assert await asyncio.to_thread(process.wait, DRAINED_S) == -signal.SIGKILL


async def test_a_broker_that_is_away_stops_no_commit_and_gets_the_backlog_in_order(
    places: Places, broker: KafkaServer, traffic: Traffic, tmp_path: Path, tell: Tell
) -> None:
    log = tmp_path / "relay.log"
    with relay_process(places, log):
        await traffic.commit(100)
        before = await received(places, traffic.committed)
        broker.kill()  # it forgets what it has, but all of that was read
        async with traffic.going_on():
            await asyncio.sleep(AWAY_S)
            broker.start()
            await asyncio.sleep(1.0)
        verdict = judge(await received(places, traffic.committed, before=before), traffic.committed)
    assert sum(traffic.committed.values()) > 100 + 10 * AWAY_S
    assert traffic.slowest_s < COMMIT_S
    assert log.read_text().count("events wait in the log until it is over") == 1, log.read_text()
    assert len(log.read_text().splitlines()) < 6, log.read_text()
    show(tell, f"broker away for {AWAY_S:g} s", verdict)


async def test_a_relay_killed_between_acknowledgement_and_mark_loses_nothing(
    places: Places, traffic: Traffic, tmp_path: Path, tell: Tell
) -> None:
    async with traffic.going_on():
        for death in range(DEATHS):
            with relay_process(places, tmp_path / "relay.log", fault="die", at=2 + death) as dying:
                await died(dying)
        await traffic.commit(50)
    with relay_process(places, tmp_path / "relay.log"):
        verdict = judge(await received(places, traffic.committed), traffic.committed)
    assert verdict.duplicates >= DEATHS, "nobody died between acknowledgement and mark"
    show(tell, f"relay killed {DEATHS} times between acknowledgement and mark", verdict)


async def test_a_relay_that_hangs_past_its_lease_is_succeeded_and_marks_nothing_more(
    places: Places, traffic: Traffic, tmp_path: Path, tell: Tell
) -> None:
    first_log, second_log = tmp_path / "first.log", tmp_path / "second.log"
    with relay_process(places, first_log, fault="stop", at=3) as first:
        async with traffic.going_on():
            await stopped(first)
            with relay_process(places, second_log):
                await asyncio.sleep(LEASE_S + 2.0)
                first.send_signal(signal.SIGCONT)
                await logged(first_log, "another takes over")
                await logged(first_log, "superseded")
        await traffic.commit(50)
        verdict = judge(await received(places, traffic.committed), traffic.committed)
        assert first.poll() is None
    show(tell, "relay stopped past its lease, succeeded and continued", verdict)


async def stopped(process: subprocess.Popen[str]) -> None:
    """Wait until it stopped itself."""
    async with asyncio.timeout(DRAINED_S):
        while "T (stopped)" not in await asyncio.to_thread(Path(f"/proc/{process.pid}/status").read_text):
            await asyncio.sleep(0.05)


async def logged(log: Path, words: str) -> None:
    async with asyncio.timeout(DRAINED_S):
        while words not in log.read_text():
            await asyncio.sleep(0.05)
