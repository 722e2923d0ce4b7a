"""The sink suite over a broker of Kafka's protocol and over librdkafka's mock cluster, and the form of a message."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from synapsenet.adapters.kafka.options import KafkaOptions, KafkaSecurity
from synapsenet.adapters.kafka.sink import open_kafka_sink
from synapsenet.errors import FailedPrecondition, InvalidArgument
from synapsenet.platform.sink import Receipt
from synapsenet.testing.sink import EventSinkContract, event, events
from synapsenet_api.platform.v1.event_pb2 import Event as Message
from tests.contract.kafka.kafka_stage import KafkaStage, kafka_stage, options
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

        def make_topic(topic: str, partitions: int) -> None:
            mock.create_topic(topic, partitions=partitions)

        async with kafka_stage(mock.address, away, make_topic) as opened:
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


async def test_a_topic_that_brokers_do_not_make_when_asked_is_theirs_to_make_when_it_is_written(mock: KafkaMock) -> None:
    async with kafka_stage(mock.address, contextmanager(lambda: iter(()))) as stage:
        assert await stage.sink.publish(events(2, 3)) == Receipt()
        assert len(await stage.arrived(6)) == 6


async def test_brokers_that_cannot_be_dialled_as_set_are_told_by_the_setting() -> None:
    security = KafkaSecurity(protocol="SSL", ca="/no/such/file.pem")
    async with open_kafka_sink(options("127.0.0.1:9", security=security), area="a", encode=lambda _: b"") as sink:
        with pytest.raises(FailedPrecondition) as refusal:
            await sink.publish([event("a", 1)])
    assert refusal.value.reason == "KAFKA_SETTINGS_UNUSABLE"


@pytest.mark.parametrize(
    ("field", "setting"),
    [
        ("kafka.brokers", {"brokers": ("localhost",)}),
        ("kafka.topic", {"topic": "events"}),
        ("kafka.topic", {"topic": "{area}/events"}),
        ("kafka.shards", {"shards": 0}),
        ("kafka.partitions", {"partitions": 0}),
        ("kafka.in_flight", {"in_flight": 6}),
        ("kafka.delivery_timeout_s", {"delivery_timeout_s": 0}),
    ],
)
def test_what_cannot_be_set_is_refused_by_its_name(field: str, setting: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        KafkaOptions(**setting)
    assert (refusal.value.reason, refusal.value.field) == ("KAFKA_OPTION_INVALID", field)


@pytest.mark.parametrize(
    "setting", [{"protocol": "TLS"}, {"protocol": "SASL_SSL"}, {"protocol": "SASL_SSL", "mechanism": "GSSAPI"}]
)
def test_security_that_cannot_be_is_refused_and_a_password_is_never_shown(setting: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument):
        KafkaSecurity(**setting)
    assert "hunter2" not in repr(KafkaSecurity(protocol="SASL_SSL", username="me", password="hunter2"))
