"""What consumers see of sagas while the broker is away, and when the relay dies between acknowledgement and mark."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event as Flag

import psycopg
import pytest
from confluent_kafka import Message

from synapsenet.clock import SystemClock
from synapsenet.lifecycle.audit import Entry, audit, entry_of
from synapsenet.lifecycle.table import MACHINE
from synapsenet.platform.events import Event
from synapsenet_api.platform.v1.event_pb2 import Event as Relayed
from tests.chaos.lifecycle.beginnings import begin_all
from tests.chaos.lifecycle.conftest import Judge
from tests.chaos.lifecycle.killed import run_coordinator, run_participants
from tests.chaos.lifecycle.lives import Life, reborn
from tests.chaos.lifecycle.relaying import TOPIC, run_relay
from tests.chaos.lifecycle.scripts import Script
from tests.chaos.lifecycle.stores import AREA, Places
from tests.chaos.lifecycle.verdicts import check
from tests.cluster import until
from tests.etcd_server import EtcdServer, etcd_server
from tests.kafka_server import KafkaServer, kafka_server
from tests.postgres_server import RunningPostgres, postgres_server
from tests.relayed_events import EventReader, Seen, seen_in
from tests.relayed_events import judge as judged

AWAY_S = float(os.environ.get("CHAOS_BROKER_AWAY_S", "4"))
DEATHS = int(os.environ.get("CHAOS_RELAY_DEATHS", "2"))
DRAINED_S = 40.0
SETTLED_S = 40.0
KINDS = (("deploy", ""), ("deploy", "warm_up"), ("roll_back", ""), ("validate", "judge"), ("undeploy", "unload"))
"""Sagas of which some turn back."""


@pytest.fixture(scope="module")
def postgres() -> Iterator[RunningPostgres]:
    with postgres_server() as running:
        yield running


@pytest.fixture(scope="module")
def etcd() -> Iterator[EtcdServer]:
    with etcd_server() as running:
        yield running


@pytest.fixture
def broker() -> Iterator[KafkaServer]:
    with kafka_server() as running:
        yield running


@pytest.fixture
def places(postgres: RunningPostgres, etcd: EtcdServer, broker: KafkaServer, tmp_path: Path) -> Places:
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute(f'DROP SCHEMA IF EXISTS "{AREA}" CASCADE'.encode())
    return Places(folder=tmp_path, postgres=postgres.url, etcd=etcd.endpoint, kafka=broker.address)


class Traffic:
    """Operations on ever more models.

    Attributes:
        models: all that there are.
    """

    def __init__(self, coordinator: Life) -> None:
        self._coordinator = coordinator
        self.models: list[str] = []

    def begin(self) -> None:
        """One of each kind, on a model of its own."""
        number = len(self.models)
        batch = [Script(saga=saga, fails_at=at, number=number + place).model_id for place, (saga, at) in enumerate(KINDS)]
        self.models += begin_all(self._coordinator, batch)

    def settle(self) -> None:
        assert self._coordinator.ask("settle", SETTLED_S) == []

    @contextmanager
    def going_on(self) -> Iterator[None]:
        """One operation of each kind after the other inside the `with`, the last ended after it."""
        ended = Flag()

        def go_on() -> None:
            while not ended.is_set():
                self.begin()
                self.settle()

        with ThreadPoolExecutor(1) as thread:
            going = thread.submit(go_on)
            try:
                yield
            finally:
                ended.set()
            going.result()


class Consumer:
    """All that a topic ever held, over the deaths of its broker."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._messages: list[Message] = []

    def read(self, entries: Sequence[Entry]) -> list[Message]:
        """All deliveries, once each of `entries` was among them or it takes too long."""
        reader = EventReader(self._places.kafka, TOPIC)
        former = {seen_in(message).id for message in self._messages}
        try:
            reader.await_topic(seconds=DRAINED_S)
            reader.read_until(lambda seen: len(former | {one.id for one in seen}) >= len(entries), seconds=DRAINED_S)
            self._messages += reader.messages
        finally:
            reader.close()
        return self._messages


def told(message: Message) -> Entry:
    """An event as the audit reads it, from what a consumer gets."""
    relayed = Relayed.FromString(message.value() or b"")
    event = Event(
        id=relayed.id,
        aggregate=relayed.aggregate,
        sequence=relayed.sequence,
        position=relayed.position,
        type=relayed.type,
        payload=relayed.record_json.encode(),
        occurred_at=SystemClock().now(),
    )
    return entry_of(event)


def first_deliveries(messages: Sequence[Message]) -> list[Entry]:
    """What is left when duplicates are dropped by their ids."""
    known: set[str] = set()
    left: list[Entry] = []
    for message in messages:
        if (event_id := seen_in(message).id) not in known:
            known.add(event_id)
            left.append(told(message))
    return left


def same_story(entries: Sequence[Entry], messages: Sequence[Message]) -> int:
    """Assert that consumers were told all of the log, in its order model by model; how many deliveries were duplicates."""
    counts: dict[str, int] = {}
    for entry in entries:
        counts[f"model/{entry.model_id}"] = max(entry.sequence, counts.get(f"model/{entry.model_id}", 0))
    seen: list[Seen] = [seen_in(message) for message in messages]
    verdict = judged(seen, counts)
    assert (verdict.lost, verdict.reordered, verdict.strangers) == (0, 0, 0), verdict
    left = first_deliveries(messages)
    assert audit(MACHINE, left).all == ()
    assert len(left) == len(entries)
    assert {entry.model_id: entry for entry in left} == {entry.model_id: entry for entry in entries}  # the newest of each
    return verdict.duplicates


def test_a_broker_that_is_away_stops_no_saga_and_its_consumers_miss_nothing(
    broker: KafkaServer, places: Places, judge: Judge
) -> None:
    with (
        reborn(run_participants, places) as participants,
        reborn(run_coordinator, places) as coordinator,
        reborn(run_relay, places) as relay,
    ):
        traffic, consumer = Traffic(coordinator.life), Consumer(places)
        traffic.begin()
        traffic.settle()
        consumer.read(coordinator.life.ask("entries"))
        broker.kill()  # it forgets what it has, but all of that was read
        before = len(traffic.models)
        with traffic.going_on():
            time.sleep(AWAY_S)
            until(lambda: len(traffic.models) >= before + 2 * len(KINDS), within=DRAINED_S)  # some end without a broker
            broker.start()
            time.sleep(1.0)
        entries = coordinator.life.ask("entries")
        duplicates = same_story(entries, consumer.read(entries))
        assert relay.life.ask("is_relaying")
        fault = f"broker away for {AWAY_S:g} s under {len(traffic.models)} sagas ({duplicates} duplicates, all known as such)"
        check(judge, fault, 1, coordinator.life, participants.life, traffic.models)


def test_a_relay_killed_between_acknowledgement_and_mark_tells_consumers_all_and_what_they_know(
    places: Places, judge: Judge
) -> None:
    with (
        reborn(run_participants, places) as participants,
        reborn(run_coordinator, places) as coordinator,
        reborn(run_relay, places) as relay,
    ):
        traffic, consumer = Traffic(coordinator.life), Consumer(places)
        with traffic.going_on():
            for death in range(DEATHS):
                relay.life.ask("doom", 2 + death)
                relay.again()
        entries = coordinator.life.ask("entries")
        duplicates = same_story(entries, consumer.read(entries))
        assert duplicates >= DEATHS, "nobody died between acknowledgement and mark"
        fault = f"relay killed {DEATHS} times under {len(traffic.models)} sagas ({duplicates} duplicates, all known as such)"
        check(judge, fault, DEATHS, coordinator.life, participants.life, traffic.models)
