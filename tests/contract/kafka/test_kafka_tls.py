"""Brokers behind TLS: they are known by their certificate, and shown ours; strangers get nothing."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509

from synapsenet.adapters.kafka.options import KafkaOptions, KafkaSecurity
from synapsenet.adapters.kafka.sink import open_kafka_sink
from synapsenet.clock import SystemClock
from synapsenet.platform.sink import EventSink, Receipt
from synapsenet.testing.sink import event
from synapsenet_servers.mesh.edge import free_port
from synapsenet_servers.security.certificates import make_all
from synapsenet_servers.translate.events import event_encoder
from tests.contract.kafka.kafka_stage import options
from tests.kafka_server import LOOPBACK, KafkaServer
from tests.relayed_events import EventReader

A_DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificates")
    make_all(folder, hosts=[], life=A_DAY, now=SystemClock().now())
    return folder


class TlsDoor:
    """TLS before a broker: who comes in must show a certificate.

    Attributes:
        address: `host:port` for clients.
        shown: serial numbers of the certificates that were shown, the newest last.
    """

    def __init__(self, broker_port: int) -> None:
        self._broker_port = broker_port
        self._port = free_port(LOOPBACK, 0)
        self._proxy: asyncio.Server | None = None
        self._connections: set[asyncio.WriteTransport] = set()
        self.address = f"{LOOPBACK}:{self._port}"
        self.shown: list[int] = []

    async def open(self, own: Path, trusted: Path) -> None:
        """Show newcomers the broker's certificate in the folder `own`, and let in whom the authorities in `trusted` signed."""
        if self._proxy is not None:
            self._proxy.close()
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(trusted))
        context.load_cert_chain(own / "kafka.pem", own / "kafka.key")
        context.verify_mode = ssl.CERT_REQUIRED
        self._proxy = await asyncio.start_server(self._pass_on, LOOPBACK, self._port, ssl=context)

    def cut(self) -> None:
        for transport in self._connections:
            transport.abort()

    async def close(self) -> None:
        if self._proxy is not None:
            self._proxy.close()
        self.cut()
        await asyncio.sleep(0.1)  # the connections' ends are noticed

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.shown.append(int(writer.get_extra_info("peercert")["serialNumber"], 16))
        with self._held(writer.transport):
            inner_reader, inner_writer = await asyncio.open_connection(LOOPBACK, self._broker_port)
            with self._held(inner_writer.transport):
                ways = [asyncio.create_task(copy(reader, inner_writer)), asyncio.create_task(copy(inner_reader, writer))]
                try:
                    await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for way in ways:
                        way.cancel()

    @contextmanager
    def _held(self, transport: asyncio.WriteTransport) -> Iterator[None]:
        self._connections.add(transport)
        try:
            yield
        finally:
            self._connections.discard(transport)
            transport.abort()  # a TLS connection that is closed politely waits for its peer's goodbye


@asynccontextmanager
async def tls_broker(certificates: Path, folder: Path) -> AsyncIterator[TlsDoor]:
    """A broker whose clients come through TLS, and must show a certificate."""
    port = free_port(LOOPBACK, 0)
    door = TlsDoor(port)
    server = KafkaServer(folder, port=port, advertised=door.address)
    await asyncio.to_thread(server.start)
    try:
        await door.open(certificates, certificates / "ca.pem")
        yield door
    finally:
        server.kill()
        await door.close()


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()


def security(folder: Path) -> KafkaSecurity:
    return KafkaSecurity(
        protocol="SSL",
        ca=str(folder / "ca.pem"),
        certificate=str(folder / "client.pem"),
        key=str(folder / "client.key"),
    )


def put(path: Path, *contents: Path) -> None:
    """Exchange the file `path` by a rename."""
    draft = path.with_suffix(".draft")
    draft.write_bytes(b"".join(content.read_bytes() for content in contents))
    draft.replace(path)


def serial(path: Path) -> int:
    return x509.load_pem_x509_certificate(path.read_bytes()).serial_number


async def test_events_reach_brokers_that_want_tls_and_a_certificate(certificates: Path, tmp_path: Path) -> None:
    mine = security(certificates)
    other = tmp_path / "other"
    make_all(other, hosts=[], life=A_DAY, now=SystemClock().now())
    strange = KafkaSecurity(protocol="SSL", ca=str(other / "ca.pem"))
    async with tls_broker(certificates, tmp_path / "broker") as door:
        async with open_kafka_sink(options(door.address, security=mine), area="tls", encode=lambda _: b"value") as sink:
            assert await sink.publish([event("entry/a", 1)]) == Receipt()
        async with open_kafka_sink(options(door.address, security=strange), area="tls", encode=lambda _: b"value") as sink:
            receipt = await sink.publish([event("entry/a", 2)])
    assert receipt.unsettled == {"event-entry/a-2"}
    assert "certificate verify failed" in receipt.away


class Load:
    """Batches of three events of one aggregate, each sent as soon as the one before was acknowledged."""

    def __init__(self, sink: EventSink) -> None:
        self._sink = sink
        self._more = asyncio.Event()
        self.receipts: list[Receipt] = []

    async def run(self) -> None:
        while True:
            first = len(self.receipts) * 3
            self.receipts.append(await self._sink.publish([event("entry/a", first + number) for number in (1, 2, 3)]))
            self._more.set()

    async def go_on(self) -> None:
        """Return after some more batches, all but the first of which began after this was called."""
        wanted = len(self.receipts) + 5
        while len(self.receipts) < wanted:
            self._more.clear()
            await asyncio.wait_for(self._more.wait(), 20)


async def test_certificates_that_are_exchanged_under_load_cost_no_event(certificates: Path, tmp_path: Path) -> None:
    mine, new = tmp_path / "mine", tmp_path / "new"
    make_all(new, hosts=[], life=A_DAY, now=SystemClock().now())
    mine.mkdir()
    for name in ("ca.pem", "client.pem", "client.key"):
        put(mine / name, certificates / name)
    async with tls_broker(certificates, tmp_path / "broker") as door:
        chosen = options(door.address, security=security(mine), partitions=1)
        async with open_kafka_sink(chosen, area="rotated", encode=event_encoder("rotated")) as sink:
            load = Load(sink)
            running = asyncio.create_task(load.run())
            await load.go_on()
            put(mine / "ca.pem", certificates / "ca.pem", new / "ca.pem")
            await door.open(new, mine / "ca.pem")
            await load.go_on()
            put(mine / "client.key", new / "client.key")
            await load.go_on()  # with a pair that does not fit together
            assert set(door.shown) == {serial(certificates / "client.pem")}
            put(mine / "client.pem", new / "client.pem")
            await load.go_on()
            assert door.shown[-1] == serial(new / "client.pem")
            put(mine / "ca.pem", new / "ca.pem")
            await load.go_on()
            running.cancel()
            await asyncio.wait({running})
            assert [receipt for receipt in load.receipts if receipt != Receipt()] == []
            arrived = await asyncio.to_thread(sequences, door.address, chosen, len(load.receipts) * 3)
            assert arrived[: len(load.receipts) * 3] == list(range(1, len(load.receipts) * 3 + 1))

            await door.open(certificates, mine / "ca.pem")
            door.cut()
            refused = await sink.publish([event("entry/a", 1_000_000)])
    assert refused.unsettled == {"event-entry/a-1000000"}
    assert "certificate verify failed" in refused.away


def sequences(address: str, chosen: KafkaOptions, count: int) -> list[int]:
    """Those of the topic's first messages, as they stand there; `count` of them, or more."""
    reader = EventReader(address, chosen.topic_of("rotated"), chosen.security.settings())
    try:
        reader.assign()
        return [seen.sequence for seen in reader.read_until(lambda seen: len(seen) >= count, seconds=20)]
    finally:
        reader.close()
