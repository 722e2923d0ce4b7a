"""The probe that containers run: its exit code says whether a server is healthy."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from synapsenet_servers.probe import is_serving
from synapsenet_servers.security.certificates import make_all
from synapsenet_servers.security.credentials import server_credentials
from synapsenet_servers.security.options import SecurityOptions
from synapsenet_servers.server import Server
from synapsenet_servers.server_options import ServerOptions


async def probe(*arguments: str) -> int:
    """The exit code of the probe as a process of its own."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "synapsenet_servers.probe", *arguments)
    async with asyncio.timeout(30):
        return await process.wait()


@asynccontextmanager
async def served(address: str, security: SecurityOptions | None = None) -> AsyncIterator[int]:
    """A server without services of ours at `address`; its port."""
    credentials = server_credentials(security) if security else None
    server = Server([], [address], options=ServerOptions(drain_s=0.1), credentials=credentials)
    async with server.serving():
        yield server.ports[0]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificates")
    make_all(folder, hosts=(), life=timedelta(days=1), now=datetime.now(UTC))
    return folder


async def test_a_server_that_serves_is_healthy_and_a_service_that_it_does_not_know_is_not(tmp_path: Path) -> None:
    address = f"unix:{tmp_path}/a.sock"
    async with served(address):
        assert await probe(address) == 0
        assert await probe(address, "--service", "synapsenet.models.v1.ModelService") == 1


def test_where_nobody_listens_nobody_is_healthy(tmp_path: Path) -> None:
    assert not is_serving(f"unix:{tmp_path}/none.sock", within=0.3)


async def test_a_server_that_wants_certificates_is_healthy_for_who_shows_one(certificates: Path) -> None:
    ca, mesh, key = (str(certificates / name) for name in ("ca.pem", "mesh.pem", "mesh.key"))
    security = SecurityOptions(ca_file=ca, certificate_file=mesh, key_file=key)
    async with served("127.0.0.1:0", security) as port:
        assert await probe(f"127.0.0.1:{port}", "--ca", ca, "--certificate", mesh, "--key", key) == 0
        assert not await asyncio.to_thread(is_serving, f"127.0.0.1:{port}", within=0.3)
