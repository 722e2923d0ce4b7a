"""What an operator may set of the events' way to Kafka."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from synapsenet.errors import InvalidArgument
from synapsenet.platform.relay import RelayOptions

_PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
_MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,200}")
_MOST_SHARDS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class KafkaSecurity:
    """How the platform and the brokers know each other; files that are replaced are used from the next batch on.

    Attributes:
        protocol: `PLAINTEXT`, `SSL`, `SASL_PLAINTEXT` or `SASL_SSL`.
        ca: PEM file of who signed the brokers' certificates; empty: whom the system trusts.
        certificate: PEM file that this process shows to the brokers; empty: none.
        key: PEM file of its key.
        mechanism: of SASL: `PLAIN`, `SCRAM-SHA-256` or `SCRAM-SHA-512`.
        username: of SASL.
        password: of SASL; better set by its environment variable than in a file.
    """

    protocol: str = "PLAINTEXT"
    ca: str = ""
    certificate: str = ""
    key: str = ""
    mechanism: str = "SCRAM-SHA-512"
    username: str = ""
    password: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        if self.protocol not in _PROTOCOLS:
            raise _invalid("security.protocol", f"choose one of {', '.join(_PROTOCOLS)}")
        if self.protocol.startswith("SASL"):
            if self.mechanism not in _MECHANISMS:
                raise _invalid("security.mechanism", f"choose one of {', '.join(_MECHANISMS)}")
            if not (self.username and self.password):
                raise _invalid("security.username", f"{self.protocol} needs a user name and a password")

    def files(self) -> dict[str, str]:
        """The files that connections read, by librdkafka's names for them."""
        if not self.protocol.endswith("SSL"):
            return {}
        named = {"ssl.ca.location": self.ca, "ssl.certificate.location": self.certificate, "ssl.key.location": self.key}
        return {name: path for name, path in named.items() if path}

    def settings(self) -> dict[str, Any]:
        """As librdkafka's configuration."""
        settings = {"security.protocol": self.protocol, **self.files()}
        if self.protocol.startswith("SASL"):
            sasl = {"sasl.mechanisms": self.mechanism, "sasl.username": self.username, "sasl.password": self.password}
            settings |= sasl
        return settings


@dataclass(frozen=True, slots=True, kw_only=True)
class KafkaOptions:
    """Events on Kafka.

    Attributes:
        brokers: `host:port` of some brokers; none: events stay in the areas' logs, for those who watch them.
        topic: the topic of an area's events, with `{area}` in it.
        partitions: of a topic that is made; 1 or more. More of them later breaks the order of what is under way.
        replicas: of a topic that is made; -1: as many as the brokers make by default.
        shards: parts of an area that are relayed beside each other, 1 to 64. Change it while no relay runs.
        message_bytes: largest message; not above what the brokers take.
        linger_ms: milliseconds for which a message waits for company.
        in_flight: requests to one broker at one time, 1 to 5. From 2 on, events behind a refused one are held back only by
            brokers that check the sequence of what an idempotent producer sends, as Apache Kafka does.
        compression: `none`, `gzip`, `snappy`, `lz4` or `zstd`.
        queue_bytes: bytes that wait in memory for the brokers, at most, a relay.
        delivery_timeout_s: seconds without an acknowledgement after which the brokers are taken to be away.
        security: how the platform and the brokers know each other.
        relay: bounds of the relays.
    """

    brokers: tuple[str, ...] = ()
    topic: str = "synapsenet.{area}.events"
    partitions: int = 12
    replicas: int = -1
    shards: int = 1
    message_bytes: int = 1_000_000
    linger_ms: float = 5.0
    in_flight: int = 1
    compression: str = "none"
    queue_bytes: int = 64 << 20
    delivery_timeout_s: float = 10.0
    security: KafkaSecurity = field(default_factory=KafkaSecurity)
    relay: RelayOptions = field(default_factory=RelayOptions)

    def __post_init__(self) -> None:
        for broker in self.brokers:
            host, _, port = broker.rpartition(":")
            if not host or not port.isdecimal():
                raise _invalid("brokers", f"say {broker!r} as host:port")
        if "{area}" not in self.topic or not _TOPIC.fullmatch(self.topic.replace("{area}", "area")):
            raise _invalid("topic", "use letters, digits, '.', '_', '-' and {area}, the area's name")
        if not 1 <= self.shards <= _MOST_SHARDS:
            raise _invalid("shards", f"choose a number within 1..{_MOST_SHARDS}")
        if self.partitions < 1:
            raise _invalid("partitions", "choose 1 or more")
        if not 1 <= self.in_flight <= 5:
            raise _invalid("in_flight", "choose a number within 1..5")
        if self.delivery_timeout_s <= 0:
            raise _invalid("delivery_timeout_s", "choose a positive number of seconds")

    def topic_of(self, area: str) -> str:
        """The topic with the events of `area`."""
        return self.topic.replace("{area}", area)

    def client(self) -> dict[str, Any]:
        """What every client of librdkafka is configured with."""
        return {"bootstrap.servers": ",".join(self.brokers), "client.id": "synapsenet", **self.security.settings()}

    def producer(self) -> dict[str, Any]:
        """What a relay's producer is configured with: no event overtakes another of its partition, come what may.

        A batch that is refused for good ends an idempotent producer without gaps, so nothing behind it is sent; and no
        message ever times out by itself, which would let those behind it pass.
        """
        return {
            **self.client(),
            "enable.idempotence": True,
            "enable.gapless.guarantee": True,
            "acks": "all",
            "message.timeout.ms": 0,
            "max.in.flight.requests.per.connection": self.in_flight,
            "partitioner": "murmur2_random",  # the one of Kafka's own clients
            "delivery.report.only.error": True,
            "linger.ms": self.linger_ms,
            "compression.type": self.compression,
            "message.max.bytes": self.message_bytes,
            "queue.buffering.max.kbytes": max(1, self.queue_bytes >> 10),
            "reconnect.backoff.max.ms": 2_000,
            "log_level": 2,  # that the brokers are away is told once, by the relay
        }


def _invalid(field: str, remedy: str) -> InvalidArgument:
    return InvalidArgument("KAFKA_OPTION_INVALID", field=f"kafka.{field}", remedy=remedy)
