"""Wrong, old and foreign certificates, and some exchanged under load: who is let in, who is told what, what is lost."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import grpc
import pytest

from synapsenet.clock import SystemClock
from synapsenet_api.models.v1 import model_service_pb2 as models
from synapsenet_api.models.v1 import model_service_pb2_grpc as models_grpc
from synapsenet_client import Options, Retries, SynapseNetError, Tls, connect_async
from synapsenet_servers.security.certificate_files import mesh_files
from synapsenet_servers.security.certificates import make_all, renew
from synapsenet_servers.security.credentials import channel_credentials
from synapsenet_servers.server_options import ServerOptions
from tests.chaos.conftest import Tell
from tests.secured_server import OF_ITS_OWN, YEAR, SecuredServer, secured_server, security

ROTATIONS = int(os.environ.get("CHAOS_ROTATIONS", "6"))
ONCE = Retries(attempts=1)
CHANNELS = 3


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[SecuredServer]:
    async with secured_server(tmp_path) as running:
        yield running


@pytest.fixture(scope="module")
def strangers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificates with the same names and identities, by another authority."""
    folder = tmp_path_factory.mktemp("strangers")
    make_all(folder, hosts=[], life=YEAR, now=SystemClock().now())
    return folder


def put(source: Path, target: Path, *names: str) -> None:
    """Exchange files as `certs renew` does, one rename each."""
    for name in names:
        draft = target / f".{name}.draft"
        shutil.copy(source / name, draft)
        draft.replace(target / name)


async def ask(server: SecuredServer, tls: Tls, token: str = "") -> str:
    """The name of a model over a connection of its own, or the reason why there is none."""
    try:
        async with connect_async(server.address, options=Options(timeout=10, tls=tls, token=token, retries=ONCE)) as client:
            return (await client.models.get("m")).name
    except SynapseNetError as refusal:
        return refusal.reason


def tls(ca: Path, own: Path, shown: str = "mesh", server_name: str = "") -> Tls:
    return Tls(ca=ca / "ca.pem", certificate=own / f"{shown}.pem", key=own / f"{shown}.key", server_name=server_name)


async def test_each_side_refuses_the_other_sides_wrong_authority(server: SecuredServer, strangers: Path, tell: Tell) -> None:
    ours = server.certificates
    assert await ask(server, tls(ours, ours)) == "m"
    told = [await ask(server, tls(strangers, ours)), await ask(server, tls(ours, strangers))]
    tell("certificates of another authority, on either side: no handshake", strangers_let_in=told.count("m"))
    assert told == ["CERTIFICATE_NOT_TRUSTED", "HANDSHAKE_REFUSED"]
    assert await ask(server, tls(ours, ours)) == "m"


async def test_a_certificate_for_other_names_is_not_the_server_that_was_meant(server: SecuredServer, tell: Tell) -> None:
    ours = server.certificates
    told = await ask(server, tls(ours, ours, server_name="bank.example"))
    tell("a server's certificate for other names: no handshake", strangers_let_in=int(told == "m"))
    assert told == "CERTIFICATE_OF_ANOTHER"


async def test_a_caller_whose_certificate_has_expired_is_let_in_no_more(
    server: SecuredServer, tmp_path: Path, tell: Tell
) -> None:
    """The same authority and the same key, so that only the date is wrong."""
    ours, old = server.certificates, tmp_path / "old"
    shutil.copytree(ours, old)
    renew(old, life=timedelta(hours=1), now=SystemClock().now() - timedelta(hours=2))
    told = await ask(server, tls(ours, old))
    tell("a caller's certificate that has expired: no handshake until it is renewed", strangers_let_in=int(told == "m"))
    assert told == "HANDSHAKE_REFUSED"
    renew(old, life=timedelta(hours=1), now=SystemClock().now())
    assert await ask(server, tls(ours, old)) == "m"


async def test_a_server_whose_certificate_expired_is_named_as_such_and_heals_by_renewal_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, tell: Tell
) -> None:
    certificates = tmp_path / "certificates"
    make_all(certificates, hosts=[], life=timedelta(hours=1), now=SystemClock().now() - timedelta(hours=2))
    own = tmp_path / "own"
    shutil.copytree(certificates, own)
    renew(own, life=YEAR, now=SystemClock().now())
    async with secured_server(tmp_path) as server:
        assert await ask(server, tls(own, own)) == "CERTIFICATE_NOT_TRUSTED"
        tell("a server's certificate that has expired: named as such, healed by its renewal without a restart", restarts=0)
        renew(certificates, life=YEAR, now=SystemClock().now())
        assert await ask(server, tls(own, own)) == "m"
    assert "is used from now on" in caplog.text


async def test_a_half_written_rotation_leaves_the_old_pair_in_use_until_the_new_one_is_whole(
    server: SecuredServer, tmp_path: Path, caplog: pytest.LogCaptureFixture, tell: Tell
) -> None:
    ours, fresh = server.certificates, tmp_path / "fresh"
    shutil.copytree(ours, fresh)
    renew(fresh, life=timedelta(days=30), now=SystemClock().now(), new_keys=True)
    client = tmp_path / "client"
    shutil.copytree(ours, client)
    whole = (fresh / "mesh.pem").read_bytes()
    with caplog.at_level(logging.WARNING):
        answers = []
        for damage in (b"", whole[: len(whole) // 2], b"\x00" * 500, whole):
            (ours / "mesh.pem").write_bytes(damage)
            answers += [await ask(server, tls(client, client)) for _ in range(3)]
        (ours / "mesh.pem").unlink()
        answers.append(await ask(server, tls(client, client)))
        lost = len(answers) - answers.count("m")
        tell("a rotation half-written, mismatched and missing: the old pair stays in use", lost_calls=lost)
        put(fresh, ours, "mesh.key", "mesh.pem")
        assert await ask(server, tls(client, client)) == "m"
    kept = [record.getMessage() for record in caplog.records if "the old one stays" in record.getMessage()]
    assert len(kept) == 3  # unreadable (said once for three kinds of damage), not the key's, not there
    assert any("is not the key of" in line for line in kept)
    assert "PRIVATE" not in caplog.text
    assert "is used from now on" in caplog.records[-1].getMessage()


@dataclass(slots=True)
class Traffic:
    """Calls that go on until they are told to stop.

    Attributes:
        answered: calls that ended well.
        failed: what the others were told.
        connections: the clients' ends of those that the calls came over.
    """

    answered: int = 0
    failed: list[str] = field(default_factory=list)
    connections: set[str] = field(default_factory=set)
    over: asyncio.Event = field(default_factory=asyncio.Event)

    async def on_one_channel(self, server: SecuredServer) -> None:
        """Calls on a channel that outlives the certificates it was made with."""
        async with server.channel("mesh") as channel:
            while not self.over.is_set():
                await self._ask(channel)

    async def on_new_connections(self, server: SecuredServer) -> None:
        """Each call with a handshake of its own, and the newest files that fit together."""
        files = mesh_files(security(server.certificates))
        assert files is not None
        while not self.over.is_set():
            credentials = channel_credentials(files.newest()[1])
            async with grpc.aio.secure_channel(server.address, credentials, options=OF_ITS_OWN) as channel:
                await self._ask(channel)

    async def _ask(self, channel: grpc.aio.Channel) -> None:
        try:
            stub = models_grpc.ModelServiceStub(channel)
            answer = await stub.GetModel(models.GetModelRequest(model_id="m"), timeout=10)
            self.connections.add(answer.model.description)
            self.answered += 1
        except grpc.aio.AioRpcError as failure:
            self.failed.append(f"{failure.code().name}: {failure.details()}")


async def test_certificates_exchanged_under_load_lose_no_call(server: SecuredServer, tmp_path: Path, tell: Tell) -> None:
    """First the certificates alone, then a new authority: trusted beside the old one, then in use, then alone."""
    traffic = Traffic()
    running = [
        asyncio.create_task(traffic.on_one_channel(server)),
        asyncio.create_task(traffic.on_new_connections(server)),
        asyncio.create_task(traffic.on_new_connections(server)),
    ]
    served = set()
    for _ in range(ROTATIONS):
        await asyncio.sleep(0.1)
        renew(server.certificates, life=YEAR, now=SystemClock().now())
        await asyncio.sleep(0.1)
        served.add(await certificate_of(server))
    await exchange_authority(server.certificates, tmp_path / "second")
    served.add(await certificate_of(server))
    before = traffic.answered
    await asyncio.sleep(0.3)
    traffic.over.set()
    await asyncio.gather(*running)
    tell(f"certificates and authority exchanged under {traffic.answered} calls", lost_calls=len(traffic.failed))
    assert traffic.answered > before > 0
    assert len(served) == ROTATIONS + 1


async def test_connections_are_made_anew_in_time_and_no_call_notices(tmp_path: Path, tell: Tell) -> None:
    """So that who got in with a certificate does not stay for ever after its end."""
    traffic = Traffic()
    async with secured_server(tmp_path, options=ServerOptions(drain_s=1.0, connection_age_s=0.5)) as server:
        callers = asyncio.gather(*(traffic.on_one_channel(server) for _ in range(CHANNELS)))
        await asyncio.sleep(2.5)
        traffic.over.set()
        await callers
    tell(f"connections made anew every half second under {traffic.answered} calls", lost_calls=len(traffic.failed))
    assert traffic.answered > 100
    assert len(traffic.connections) >= 3 * CHANNELS


async def exchange_authority(certificates: Path, fresh: Path) -> None:
    """Another authority takes over, step by step, each file by one rename."""
    make_all(fresh, hosts=[], life=YEAR, now=SystemClock().now())
    both = fresh / "both"
    both.mkdir()
    (both / "ca.pem").write_bytes((certificates / "ca.pem").read_bytes() + (fresh / "ca.pem").read_bytes())
    put(both, certificates, "ca.pem")
    await asyncio.sleep(0.1)
    put(fresh, certificates, "mesh.key")
    await asyncio.sleep(0.1)  # with which the old certificate does not go
    put(fresh, certificates, "mesh.pem")
    await asyncio.sleep(0.1)
    put(fresh, certificates, "ca.pem")


async def certificate_of(server: SecuredServer) -> bytes:
    """The certificate that the server shows to a newcomer."""
    host, _, port = server.address.partition(":")
    context = ssl.create_default_context(cafile=str(server.certificates / "ca.pem"))
    context.load_cert_chain(server.certificates / "mesh.pem", server.certificates / "mesh.key")
    _, writer = await asyncio.open_connection(host, int(port), ssl=context)
    found: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    return found
