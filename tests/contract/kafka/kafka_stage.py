"""A Kafka topic as the stage of the sink suite."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractContextManager, asynccontextmanager

from synapsenet.adapters.kafka.options import KafkaOptions
from synapsenet.adapters.kafka.sink import KafkaSink, open_kafka_sink
from synapsenet.testing.sink import Arrived, SinkStage
from synapsenet_servers.translate.events import event_encoder
from tests.relayed_events import EventReader

LARGEST = 20_000
READ_S = 20.0
PATIENCE_S = 1.5

_areas = itertools.count()


def options(brokers: str, **others: object) -> KafkaOptions:
    """As an operator sets them, with less patience."""
    chosen = {"message_bytes": LARGEST, "delivery_timeout_s": PATIENCE_S, "partitions": 3, "linger_ms": 1.0, **others}
    return KafkaOptions(brokers=tuple(brokers.split(",")), **chosen)  # type: ignore[arg-type]  # each has its field's type


class KafkaStage(SinkStage):
    """One area's topic; each stage has its own."""

    def __init__(self, sink: KafkaSink, brokers: str, topic: str, away: Callable[[], AbstractContextManager[object]]) -> None:
        self.sink = sink
        self.largest = LARGEST
        self.reader = EventReader(brokers, topic)
        self._away = away

    async def arrived(self, count: int) -> Sequence[Arrived]:
        return await asyncio.to_thread(self._read, count)

    def away(self) -> AbstractContextManager[object]:
        return self._away()

    def _read(self, count: int) -> Sequence[Arrived]:
        self.reader.assign()
        self.reader.messages.clear()
        seen = self.reader.read_until(lambda seen: len({one.id for one in seen}) >= count, seconds=READ_S)
        return [Arrived(one.id, one.aggregate, one.sequence) for one in seen]


@asynccontextmanager
async def kafka_stage(
    brokers: str,
    away: Callable[[], AbstractContextManager[object]],
    make_topic: Callable[[str, int], None] = lambda topic, partitions: None,
) -> AsyncIterator[KafkaStage]:
    """A stage on `brokers` with a topic of its own.

    Args:
        make_topic: makes the topic where brokers cannot be asked to: the sink would ask in vain for seconds.
    """
    area, chosen = f"area{next(_areas)}", options(brokers)
    make_topic(chosen.topic_of(area), chosen.partitions)
    async with open_kafka_sink(chosen, area=area, encode=event_encoder(area)) as sink:
        stage = KafkaStage(sink, brokers, chosen.topic_of(area), away)
        try:
            yield stage
        finally:
            stage.reader.close()
