"""Brokers behind TLS: they are known by their certificate, and shown ours; strangers get nothing."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path

import pytest

from synapsenet.adapters.kafka.options import KafkaSecurity
from synapsenet.adapters.kafka.sink import open_kafka_sink
from synapsenet.clock import SystemClock
from synapsenet.platform.sink import Receipt
from synapsenet.testing.sink import event
from synapsenet_servers.mesh.edge import free_port
from synapsenet_servers.security.certificates import make_all
from tests.contract.kafka.kafka_stage import options
from tests.kafka_server import LOOPBACK, KafkaServer

A_DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificates")
    make_all(folder, hosts=[], life=A_DAY, now=SystemClock().now())
    return folder


@asynccontextmanager
async def tls_broker(certificates: Path, folder: Path) -> AsyncIterator[str]:
    """A broker whose clients come through TLS, and must show a certificate; its address."""
    secure = free_port(LOOPBACK, 0)
    server = KafkaServer(folder, port=free_port(LOOPBACK, 0), advertised=f"{LOOPBACK}:{secure}")
    await asyncio.to_thread(server.start)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(certificates / "ca.pem"))
    context.load_cert_chain(certificates / "kafka.pem", certificates / "kafka.key")
    context.verify_mode = ssl.CERT_REQUIRED

    open_connections: set[asyncio.WriteTransport] = set()

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection(LOOPBACK, server.port)
        both = {writer.transport, inner_writer.transport}
        open_connections.update(both)
        ways = [asyncio.create_task(copy(reader, inner_writer)), asyncio.create_task(copy(inner_reader, writer))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            for transport in both:
                transport.abort()  # a TLS connection that is closed politely waits for its peer's goodbye
            open_connections.difference_update(both)

    proxy = await asyncio.start_server(pass_on, LOOPBACK, secure, ssl=context)
    try:
        yield f"{LOOPBACK}:{secure}"
    finally:
        proxy.close()
        server.kill()
        for transport in open_connections:
            transport.abort()
        await asyncio.sleep(0.1)  # the connections' ends are noticed


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()


async def test_events_reach_brokers_that_want_tls_and_a_certificate(certificates: Path, tmp_path: Path) -> None:
    mine = KafkaSecurity(
        protocol="SSL",
        ca=str(certificates / "ca.pem"),
        certificate=str(certificates / "client.pem"),
        key=str(certificates / "client.key"),
    )
    other = tmp_path / "other"
    make_all(other, hosts=[], life=A_DAY, now=SystemClock().now())
    strange = KafkaSecurity(protocol="SSL", ca=str(other / "ca.pem"))
    async with tls_broker(certificates, tmp_path / "broker") as address:
        async with open_kafka_sink(options(address, security=mine), area="tls", encode=lambda _: b"value") as sink:
            assert await sink.publish([event("entry/a", 1)]) == Receipt()
        async with open_kafka_sink(options(address, security=strange), area="tls", encode=lambda _: b"value") as sink:
            receipt = await sink.publish([event("entry/a", 2)])
    assert receipt.unsettled == {"event-entry/a-2"}
    assert "certificate verify failed" in receipt.away
