"""A consumer of relayed events, as docs/events.md tells people to write one, and the judge of what it received."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from synapsenet_api.platform.v1.event_pb2 import Event

POLL_S = 0.1
METADATA_S = 10.0


@dataclass(frozen=True, slots=True)
class Seen:
    """One delivery of one event, as its headers say."""

    id: str
    aggregate: str
    sequence: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What became of the committed events.

    Attributes:
        lost: committed events that were never delivered.
        reordered: events whose first delivery came after that of a later one of their aggregate: consumers drop them.
        duplicates: further deliveries, known by id and sequence.
        strangers: deliveries with the place of another event, or another place than before: no consumer could know them.
    """

    lost: int
    reordered: int
    duplicates: int
    strangers: int


def judge(received: Sequence[Seen], committed: Mapping[str, int]) -> Verdict:
    """Compare what was received, in order, with how many events each aggregate has."""
    places: dict[str, tuple[str, int]] = {}
    ids: dict[tuple[str, int], str] = {}
    last: dict[str, int] = {}
    reordered = duplicates = strangers = 0
    for seen in received:
        place = (seen.aggregate, seen.sequence)
        if places.setdefault(seen.id, place) != place or ids.setdefault(place, seen.id) != seen.id:
            strangers += 1
            continue
        if seen.sequence == last.get(seen.aggregate, 0) + 1:
            last[seen.aggregate] = seen.sequence
        elif seen.sequence <= last.get(seen.aggregate, 0):
            duplicates += 1
        else:
            reordered += 1
    expected = {(aggregate, sequence) for aggregate, count in committed.items() for sequence in range(1, count + 1)}
    strangers += len(set(ids) - expected)
    return Verdict(lost=len(expected - set(ids)), reordered=reordered, duplicates=duplicates, strangers=strangers)


class Deduplicated:
    """Whether a delivery is new, going by the highest sequence of its aggregate: all that a consumer has to keep."""

    def __init__(self) -> None:
        self._last: dict[str, int] = {}

    def is_new(self, seen: Seen) -> bool:
        if seen.sequence <= self._last.get(seen.aggregate, 0):
            return False
        self._last[seen.aggregate] = seen.sequence
        return True


class EventReader:
    """Reads a topic from its beginning.

    Args:
        security: librdkafka's settings for brokers that ask for more than an address.

    Attributes:
        messages: all that was read so far, in the order of each partition.
    """

    def __init__(self, brokers: str, topic: str, security: Mapping[str, Any] | None = None) -> None:
        self._consumer = Consumer(
            {
                **(security or {}),
                "bootstrap.servers": brokers,
                "group.id": "tests",
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "session.timeout.ms": 6_000,
                "fetch.wait.max.ms": 50,
                "reconnect.backoff.max.ms": 500,
                "log_level": 0,
            }
        )
        self._topic = topic
        self.messages: list[Message] = []

    def close(self) -> None:
        self._consumer.close()

    def assign(self) -> None:
        """Read every partition that the topic has now, from its beginning."""
        metadata = self._consumer.list_topics(self._topic, timeout=METADATA_S)
        partitions = metadata.topics[self._topic].partitions
        self._consumer.assign([TopicPartition(self._topic, number, 0) for number in partitions])

    def follow(self) -> None:
        """Read every partition that the topic has now, from what comes next."""
        metadata = self._consumer.list_topics(self._topic, timeout=METADATA_S)
        partitions = [TopicPartition(self._topic, number) for number in metadata.topics[self._topic].partitions]
        for partition in partitions:
            partition.offset = self._consumer.get_watermark_offsets(partition, timeout=METADATA_S)[1]
        self._consumer.assign(partitions)

    def await_topic(self, *, seconds: float) -> None:
        """Assign as soon as there is such a topic."""
        end = time.monotonic() + seconds
        while True:
            try:
                metadata = self._consumer.list_topics(self._topic, timeout=METADATA_S)
                if metadata.topics[self._topic].partitions:
                    return self.assign()
            except KafkaException:
                if time.monotonic() > end:
                    raise
            time.sleep(POLL_S)

    def arrivals(self, count: int, *, above: int, seconds: float) -> dict[int, float]:
        """When `count` events whose records have amounts from `above` on arrived, monotonic seconds, by that amount."""
        arrived: dict[int, float] = {}
        end = time.monotonic() + seconds
        while len(arrived) < count and time.monotonic() < end:
            message = self._consumer.poll(POLL_S)
            if message is not None and message.error() is None:
                record = json.loads(Event.FromString(message.value() or b"").record_json)
                if record["amount"] >= above:
                    arrived.setdefault(record["amount"], time.monotonic())
        return arrived

    def read_until(self, done: Callable[[Sequence[Seen]], bool], *, seconds: float) -> list[Seen]:
        """All deliveries so far, once they are `done` or `seconds` are over."""
        end = time.monotonic() + seconds
        while not done(seen := self.seen) and time.monotonic() < end:
            self._poll()
        return seen

    def read_for(self, seconds: float) -> list[Seen]:
        """All deliveries so far, after `seconds` more."""
        return self.read_until(lambda _: False, seconds=seconds)

    @property
    def seen(self) -> list[Seen]:
        return [seen_in(message) for message in self.messages]

    def _poll(self) -> None:
        for message in self._consumer.consume(500, POLL_S):
            error = message.error()
            if error is None:
                self.messages.append(message)
            elif not error.retriable() and error.code() not in (KafkaError._ALL_BROKERS_DOWN, KafkaError._TRANSPORT):
                raise KafkaException(error)


def headers_of(message: Message) -> dict[str, str]:
    headers: Any = message.headers() or ()  # pairs; the binding's type also has what `produce` takes
    return {name: value.decode() for name, value in headers}


def seen_in(message: Message) -> Seen:
    """The delivery that `message` is."""
    headers = headers_of(message)
    return Seen(headers["ce_id"], headers["ce_subject"], int(headers["ce_sequence"]))
