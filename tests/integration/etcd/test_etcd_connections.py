"""How the platform gets to etcd: over several endpoints and by TLS; and what it says when it does not."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import grpc
import pytest

from synapsenet.adapters.etcd.locks import EtcdLocks
from synapsenet.adapters.etcd.member import Interceptors
from synapsenet.adapters.etcd.membership import EtcdMembership
from synapsenet.adapters.etcd.options import EtcdOptions
from synapsenet.adapters.etcd.session import EtcdSession, open_session
from synapsenet.clock import SystemClock
from synapsenet.errors import Cancelled, FailedPrecondition, SynapseError, Unavailable
from synapsenet.platform.membership import Instance
from synapsenet_servers.backends.etcd import EtcdTls
from synapsenet_servers.mesh.edge import free_port
from synapsenet_servers.security import certificates
from tests.chaos.cutting_proxy import cutting_proxy
from tests.contract.etcd.counters import Counters
from tests.etcd_server import EtcdServer, etcd_server

TTL = 5.0
PATIENCE_S = 10.0
LIFE = timedelta(days=1)


@pytest.fixture(scope="module")
def etcd() -> Iterator[EtcdServer]:
    with etcd_server() as server:
        yield server


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority and certificates, among them one of etcd's and a client's."""
    made = tmp_path_factory.mktemp("certificates")
    certificates.make_all(made, hosts=(), life=LIFE, now=datetime.now(UTC))
    return made


@pytest.fixture(scope="module")
def secure_etcd(folder: Path) -> Iterator[EtcdServer]:
    """It takes clients with a certificate only."""
    tls = EtcdTls(authority=folder / "ca.pem", certificate=folder / "etcd.pem", key=folder / "etcd.key")
    with etcd_server(tls=tls) as server:
        yield server


def options(*endpoints: str) -> EtcdOptions:
    return EtcdOptions(endpoints=endpoints, session_ttl_s=TTL, attempt_s=0.5, call_s=1.5)


def mutual(etcd: EtcdServer, folder: Path) -> EtcdOptions:
    return replace(
        options(etcd.endpoint),
        ca_file=folder / "ca.pem",
        certificate_file=folder / "mesh.pem",
        key_file=folder / "mesh.key",
    )


def session(chosen: EtcdOptions) -> AbstractAsyncContextManager[EtcdSession]:
    return open_session(chosen, clock=SystemClock(), epochs=Counters())


async def lock_once(opened: EtcdSession) -> None:
    async with EtcdLocks(opened).hold("a", holder="tester", ttl=TTL, wait=1) as held:
        held.check()


async def refusal(chosen: EtcdOptions) -> SynapseError:
    """Why there is no session."""
    with pytest.raises(SynapseError) as refused:
        async with session(chosen):
            pytest.fail("there is a session")
    return refused.value


def beginning_with(first: str, *others: str) -> tuple[str, ...]:
    """Endpoints of which this process takes `first` first."""
    ordered = list(others)
    ordered.insert(os.getpid() % (len(others) + 1), first)
    return tuple(ordered)


async def test_an_endpoint_that_is_dead_at_the_start_is_passed_over(etcd: EtcdServer) -> None:
    dead = f"127.0.0.1:{free_port('127.0.0.1', 0)}"
    async with session(options(*beginning_with(dead, f"localhost:{etcd.member.client_port}"))) as opened:
        await lock_once(opened)


async def test_a_connection_that_dies_later_is_followed_by_one_to_the_next_endpoint(etcd: EtcdServer) -> None:
    with cutting_proxy(etcd.endpoint) as proxy:
        async with session(options(*beginning_with(proxy.address, etcd.endpoint))) as opened:
            assert opened.channel.member.endpoint == proxy.address
            async with EtcdLocks(opened).hold("held", holder="tester", ttl=TTL, wait=0) as held:
                proxy.close()
                await lock_once(opened)
                assert opened.channel.member.endpoint == etcd.endpoint
                held.check()


async def test_without_any_endpoint_that_answers_there_is_no_session() -> None:
    error = await refusal(options(f"127.0.0.1:{free_port('127.0.0.1', 0)}"))
    assert isinstance(error, Unavailable)
    assert error.reason == "ETCD_UNAVAILABLE"


async def test_the_lock_is_had_over_mutual_tls(secure_etcd: EtcdServer, folder: Path) -> None:
    async with session(mutual(secure_etcd, folder)) as opened:
        await lock_once(opened)


async def test_without_a_certificate_or_with_another_authority_the_sentence_says_where_to_look(
    secure_etcd: EtcdServer, folder: Path, tmp_path: Path
) -> None:
    certificates.make_all(tmp_path / "other", hosts=(), life=LIFE, now=datetime.now(UTC))
    unsigned = replace(options(secure_etcd.endpoint), ca_file=folder / "ca.pem")
    foreign = mutual(secure_etcd, tmp_path / "other")
    for chosen in (unsigned, foreign):
        error = await refusal(chosen)
        assert isinstance(error, Unavailable)
        assert error.reason == "ETCD_UNAVAILABLE"
    assert "etcd.ca_file" in (await refusal(foreign)).public


async def test_a_credential_file_that_is_not_there_is_named(secure_etcd: EtcdServer, folder: Path, tmp_path: Path) -> None:
    error = await refusal(replace(mutual(secure_etcd, folder), ca_file=tmp_path / "none.pem"))
    assert isinstance(error, FailedPrecondition)
    assert "etcd.ca_file" in error.public


async def test_certificates_that_were_renewed_serve_the_next_connection_without_a_restart(tmp_path: Path) -> None:
    own = tmp_path / "own"
    certificates.make_all(own, hosts=(), life=LIFE, now=datetime.now(UTC))
    tls = EtcdTls(authority=own / "ca.pem", certificate=own / "etcd.pem", key=own / "etcd.key")
    with etcd_server(tls=tls) as server:
        async with session(mutual(server, own)) as opened:
            watch = aiter(EtcdMembership(opened).watch("g"))
            assert await anext(watch) == []
            changed = asyncio.ensure_future(anext(watch))
            certificates.make_all(own, hosts=(), life=LIFE, now=datetime.now(UTC), force=True)  # another authority
            server.stop()
            await asyncio.to_thread(server.start)
            await lock_once(opened)
            async with EtcdMembership(opened).join(Instance(group="g", id="i"), ttl=TTL) as joined:
                assert await asyncio.wait_for(changed, PATIENCE_S) == [joined.instance]


class Counting(grpc.aio.UnaryUnaryClientInterceptor):  # type: ignore[type-arg]  # not generic at run time
    """Counts the calls that it sees."""

    def __init__(self) -> None:
        self.methods: list[str] = []

    async def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
        self.methods.append(str(details.method))
        return await continuation(details, request)


async def test_whoever_wants_to_tell_of_calls_to_etcd_sees_every_transaction(etcd: EtcdServer) -> None:
    seen = Counting()
    chosen, interceptors = options(etcd.endpoint), cast("Interceptors", [seen])
    async with open_session(chosen, clock=SystemClock(), epochs=Counters(), interceptors=interceptors) as opened:
        seen.methods.clear()
        await lock_once(opened)
    assert [method.rpartition("/")[2].rstrip("'") for method in seen.methods[:2]] == ["Txn", "DeleteRange"]


async def test_a_session_that_has_ended_says_so_to_whoever_still_uses_it(etcd: EtcdServer) -> None:
    async with session(options(etcd.endpoint)) as opened:
        watch = aiter(EtcdMembership(opened).watch("g"))
        assert await anext(watch) == []
        pending = asyncio.ensure_future(anext(watch))
        await asyncio.sleep(0.1)
    for late in (pending, lock_once(opened)):
        with pytest.raises(Cancelled) as ended:
            await asyncio.wait_for(late, PATIENCE_S)
        assert ended.value.reason == "ETCD_CLOSED"
