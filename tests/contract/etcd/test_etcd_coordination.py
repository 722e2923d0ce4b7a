"""The suites of locks and membership over etcd, in real time: etcd's leases run by its own clock."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from synapsenet.adapters.etcd.locks import EtcdLocks
from synapsenet.adapters.etcd.membership import EtcdMembership
from synapsenet.adapters.etcd.options import EtcdOptions
from synapsenet.adapters.etcd.requests import everything_below
from synapsenet.adapters.etcd.session import EtcdSession, open_session
from synapsenet.errors import Aborted
from synapsenet.platform.locks import Locks
from synapsenet.platform.membership import Membership
from synapsenet.testing.clock import RealClock
from synapsenet.testing.locks import DEADLINE, LocksContract
from synapsenet.testing.membership import MembershipContract
from tests.contract.etcd.counters import Counters
from tests.etcd_server import EtcdServer, etcd_server

TTL = 2.0


@pytest.fixture(scope="module")
def etcd() -> Iterator[EtcdServer]:
    with etcd_server() as server:
        yield server


@pytest.fixture
def clock() -> RealClock:
    return RealClock()


@pytest.fixture(scope="module")
def epochs() -> Counters:
    return Counters()


@pytest.fixture
async def session(etcd: EtcdServer, clock: RealClock, epochs: Counters) -> AsyncIterator[EtcdSession]:
    options = EtcdOptions(endpoints=(etcd.endpoint,), session_ttl_s=TTL, call_s=3.0, prefix="/contract/")
    async with open_session(options, clock=clock, epochs=epochs) as opened:
        yield opened
    assert etcd.keys("/contract/") <= 1  # the epoch: whatever a test began, all else is gone with the session


@pytest.fixture
def locks(session: EtcdSession) -> Locks:
    return EtcdLocks(session)


@pytest.fixture
def membership(session: EtcdSession) -> Membership:
    return EtcdMembership(session)


class TestEtcdLocks(LocksContract):
    """The shared suite."""

    ttl = TTL

    @pytest.fixture(autouse=True)
    def store(self, session: EtcdSession) -> None:
        self._channel = session.channel

    async def in_line(self, waiters: int) -> None:
        line = everything_below(b"/contract/locks/a/")
        async with asyncio.timeout(DEADLINE):
            while (await self._channel.call(lambda member: member.kv.Range, line)).count != waiters + 1:
                await asyncio.sleep(0.01)


class TestEtcdMembership(MembershipContract):
    """The shared suite."""

    ttl = TTL


async def test_a_lock_that_asks_for_less_than_the_session_is_free_earlier_and_the_others_stay(
    etcd: EtcdServer, clock: RealClock, epochs: Counters
) -> None:
    options = EtcdOptions(endpoints=(etcd.endpoint,), session_ttl_s=60.0, prefix="/short/")
    async with (
        open_session(options, clock=clock, epochs=epochs) as process,
        open_session(options, clock=clock, epochs=epochs) as another,
        EtcdLocks(process).hold("short", holder="process", ttl=TTL, wait=0) as short,
        EtcdLocks(process).hold("long", holder="process", ttl=600.0, wait=0) as long,
    ):
        clock.jump(TTL + 1)
        with pytest.raises(Aborted):
            short.check()
        long.check()
        async with EtcdLocks(another).hold("short", holder="another", ttl=TTL, wait=10) as held:
            assert held.token > short.token
        with pytest.raises(Aborted, match="process"):
            async with EtcdLocks(another).hold("long", holder="another", ttl=TTL, wait=0):
                pytest.fail("two held one lock")
