"""The suites of locks and membership over etcd, in real time: etcd's leases run by its own clock."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from synapsenet.adapters.etcd.locks import EtcdLocks
from synapsenet.adapters.etcd.membership import EtcdMembership
from synapsenet.adapters.etcd.options import EtcdOptions
from synapsenet.adapters.etcd.session import EtcdSession, open_session
from synapsenet.platform.locks import Locks
from synapsenet.platform.membership import Membership
from synapsenet.testing.clock import RealClock
from synapsenet.testing.locks import LocksContract
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


class TestEtcdMembership(MembershipContract):
    """The shared suite."""

    ttl = TTL
