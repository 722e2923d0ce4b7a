"""The sink suite over a broker of Kafka's protocol and over librdkafka's mock cluster, and the form of a message."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import pytest

from synapsenet.testing.sink import EventSinkContract, event
from synapsenet_api.platform.v1.event_pb2 import Event as Message
from tests.contract.kafka.kafka_stage import KafkaStage, kafka_stage
from tests.kafka_mock import KafkaMock, kafka_mock
from tests.kafka_server import KafkaServer, kafka_server
from tests.relayed_events import headers_of


@pytest.fixture(scope="module")
def server() -> Iterator[KafkaServer]:
    with kafka_server() as running:
        yield running


@pytest.fixture(scope="module")
def mock() -> Iterator[KafkaMock]:
    with kafka_mock() as running:
        yield running


class TestKafkaSink(EventSinkContract):
    """The shared suite over a broker."""

    @pytest.fixture
    async def stage(self, server: KafkaServer) -> AsyncIterator[KafkaStage]:
        @contextmanager
        def away() -> Iterator[None]:
            server.pause()
            try:
                yield
            finally:
                server.resume()

        async with kafka_stage(server.address, away) as opened:
            yield opened


class TestKafkaSinkOnTheMock(EventSinkContract):
    """The shared suite over librdkafka's mock cluster, whose brokers go down."""

    @pytest.fixture
    async def stage(self, mock: KafkaMock) -> AsyncIterator[KafkaStage]:
        @contextmanager
        def away() -> Iterator[None]:
            mock.set_down(True)
            try:
                yield
            finally:
                mock.set_down(False)

        async with kafka_stage(mock.address, away) as opened:
            yield opened


async def test_a_message_is_a_cloud_event_in_binary_mode_with_a_protobuf_value(server: KafkaServer) -> None:
    async with kafka_stage(server.address, contextmanager(lambda: iter(()))) as stage:
        await stage.sink.publish([event("model/mdl-1", 7)])
        await stage.arrived(1)
        (message,) = stage.reader.messages
        area = str(message.topic()).split(".")[1]
    assert message.key() == b"model/mdl-1"
    assert headers_of(message) == {
        "ce_specversion": "1.0",
        "ce_id": "event-model/mdl-1-7",
        "ce_source": f"/synapsenet/{area}",
        "ce_type": f"synapsenet.{area}.EntryBooked",
        "ce_time": "2026-01-01T12:00:00+00:00",
        "ce_subject": "model/mdl-1",
        "ce_partitionkey": "model/mdl-1",
        "ce_sequence": "7",
        "content-type": "application/protobuf",
    }
    value = Message.FromString(message.value() or b"")
    assert (value.id, value.area, value.aggregate) == ("event-model/mdl-1-7", area, "model/mdl-1")
    assert (value.sequence, value.position, value.type) == (7, 7, "EntryBooked")
    assert value.occur_time.ToJsonString() == "2026-01-01T12:00:00Z"
    assert value.record_json == '{"amount":1}'
