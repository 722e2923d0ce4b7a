"""An etcd that asks for a user: who may, who may not, and what each is told."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from synapsenet.adapters.etcd.locks import EtcdLocks
from synapsenet.adapters.etcd.membership import EtcdMembership
from synapsenet.adapters.etcd.options import EtcdOptions
from synapsenet.adapters.etcd.session import EtcdSession, open_session
from synapsenet.clock import SystemClock
from synapsenet.errors import PermissionDenied, SynapseError, Unauthenticated
from synapsenet.platform.membership import Instance
from tests.contract.etcd.counters import Counters
from tests.etcd_server import EtcdServer, etcd_server

TTL = 5.0
PATIENCE_S = 10.0
PASSWORD = "a secret that no message tells"


@pytest.fixture(scope="module")
def etcd() -> Iterator[EtcdServer]:
    """It knows the user `synapsenet`, who may touch what is below `/synapsenet/`."""
    with etcd_server() as server:
        server.require_users(PASSWORD)
        server.ctl("user", "add", f"synapsenet:{PASSWORD}")
        server.ctl("role", "add", "platform")
        server.ctl("role", "grant-permission", "platform", "readwrite", "--prefix=true", "/synapsenet/")
        server.ctl("user", "grant-role", "synapsenet", "platform")
        yield server


@pytest.fixture
def password(tmp_path: Path) -> Path:
    file = tmp_path / "password"
    file.write_text(f"{PASSWORD}\n")
    return file


def options(etcd: EtcdServer, password: Path | None, *, prefix: str = "/synapsenet/") -> EtcdOptions:
    return EtcdOptions(
        endpoints=(etcd.endpoint,),
        session_ttl_s=TTL,
        prefix=prefix,
        user="synapsenet" if password else "",
        password_file=password,
    )


def session(chosen: EtcdOptions) -> AbstractAsyncContextManager[EtcdSession]:
    return open_session(chosen, clock=SystemClock(), epochs=Counters())


async def token(opened: EtcdSession) -> int:
    async with EtcdLocks(opened).hold("a", holder="tester", ttl=TTL, wait=1) as held:
        held.check()
        return held.token


async def refusal(chosen: EtcdOptions) -> SynapseError:
    """Why there is no session."""
    with pytest.raises(SynapseError) as refused:
        async with session(chosen):
            pytest.fail("there is a session")
    assert PASSWORD not in f"{refused.value} {refused.value.secret}"
    return refused.value


async def test_a_user_who_may_touch_only_the_platforms_keys_has_all_that_it_needs(etcd: EtcdServer, password: Path) -> None:
    async with session(options(etcd, password)) as opened:
        await token(opened)
        watch = aiter(EtcdMembership(opened).watch("g"))
        assert await anext(watch) == []
        async with EtcdMembership(opened).join(Instance(group="g", id="i"), ttl=TTL) as joined:
            assert await asyncio.wait_for(anext(watch), PATIENCE_S) == [joined.instance]


async def test_a_token_that_etcd_has_forgotten_is_asked_for_anew(etcd: EtcdServer, password: Path) -> None:
    async with (
        session(options(etcd, password)) as opened,
        EtcdLocks(opened).hold("held", holder="tester", ttl=TTL, wait=0) as held,
    ):
        etcd.stop()
        await asyncio.to_thread(etcd.start)
        assert await token(opened) > held.token
        held.check()


async def test_a_watch_goes_on_with_a_new_token(etcd: EtcdServer, password: Path) -> None:
    async with session(options(etcd, password)) as opened:
        watch = aiter(EtcdMembership(opened).watch("g"))
        assert await anext(watch) == []
        etcd.stop()
        await asyncio.to_thread(etcd.start)
        seen = asyncio.ensure_future(anext(watch))
        async with EtcdMembership(opened).join(Instance(group="g", id="i"), ttl=TTL) as joined:
            assert await asyncio.wait_for(seen, PATIENCE_S) == [joined.instance]


async def test_who_names_no_user_is_told_that_one_is_missing(etcd: EtcdServer) -> None:
    error = await refusal(options(etcd, None))
    assert isinstance(error, Unauthenticated)
    assert error.reason == "ETCD_USER_MISSING"


async def test_a_wrong_password_is_told_without_it(etcd: EtcdServer, password: Path) -> None:
    password.write_text(f"{PASSWORD}!")
    error = await refusal(options(etcd, password))
    assert isinstance(error, Unauthenticated)
    assert error.reason == "ETCD_PASSWORD_WRONG"


async def test_keys_that_the_user_may_not_touch_are_refused_by_name(etcd: EtcdServer, password: Path) -> None:
    error = await refusal(options(etcd, password, prefix="/foreign/"))
    assert isinstance(error, PermissionDenied)
    assert error.reason == "ETCD_PERMISSION_MISSING"


async def test_a_user_is_no_hindrance_where_etcd_asks_for_none(password: Path) -> None:
    with etcd_server() as open_to_all:
        async with session(options(open_to_all, password)) as opened:
            await token(opened)
