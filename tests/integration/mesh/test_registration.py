"""A process's place in the registry and its place as the only one of its role, through lost leases and an absent store."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from synapsenet.adapters.sql.coordination import open_coordination
from synapsenet.adapters.sql.locks import SqlLocks
from synapsenet.adapters.sql.membership import SqlMembership
from synapsenet.errors import Aborted, FailedPrecondition, Unavailable
from synapsenet.platform.membership import Instance, Joined, Membership
from synapsenet.testing.clock import FakeClock
from synapsenet_servers.mesh.mesh_options import MeshOptions
from synapsenet_servers.mesh.registration import Registration, group
from synapsenet_servers.mesh.sole import Sole, sole_place

OPTIONS = MeshOptions(zone="z", lease_ttl_s=9.0, rejoin_s=1.0, lost_after_s=15.0, sole_wait_s=2.0)
ROLES = ("models", "registry")
ADDRESS = "127.0.0.1:7"
SOON_S = 10.0


class Absent(SqlMembership):
    """A registry that can be away."""

    away = False

    def join(self, instance: Instance, *, ttl: float) -> AbstractAsyncContextManager[Joined]:
        if self.away:
            raise Unavailable("ETCD_UNAVAILABLE", "etcd does not answer")
        return super().join(instance, ttl=ttl)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def membership(tmp_path: Path, clock: FakeClock) -> AsyncIterator[Absent]:
    async with open_coordination(tmp_path / "c.sqlite") as coordination:
        yield Absent(coordination, clock)


@pytest.fixture
async def locks(tmp_path: Path, clock: FakeClock) -> AsyncIterator[SqlLocks]:
    async with open_coordination(tmp_path / "l.sqlite") as coordination:
        yield SqlLocks(coordination, clock)


@asynccontextmanager
async def registering(membership: Membership, clock: FakeClock) -> AsyncIterator[Registration]:
    registration = Registration(membership, roles=ROLES, address=ADDRESS, facts={"host": "h"}, options=OPTIONS, clock=clock)
    running = asyncio.create_task(registration.run())
    try:
        yield registration
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def present(membership: Membership) -> list[str]:
    return [role for role in ROLES for found in await membership.instances(group(role)) if found.address == ADDRESS]


async def pass_slowly(clock: FakeClock) -> None:
    """Half a second, and time for the disk: else leases would run out while their renewals are being written."""
    await clock.advance(0.5)
    await asyncio.sleep(0.03)


async def until_present(membership: Membership, clock: FakeClock, *roles: str) -> None:
    async with asyncio.timeout(SOON_S):
        while await present(membership) != list(roles):
            await pass_slowly(clock)


async def test_every_role_is_registered_with_its_address_and_zone_until_it_leaves(membership: Absent, clock: FakeClock) -> None:
    async with registering(membership, clock) as registration:
        await registration.registered()
        (found,) = await membership.instances(group("models"))
        assert (found.address, found.zone, found.metadata) == (ADDRESS, "z", {"host": "h"})
        assert await present(membership) == list(ROLES)
        await registration.leave(within=SOON_S)
        assert await present(membership) == []


async def test_a_lost_lease_is_followed_by_a_new_registration(membership: Absent, clock: FakeClock) -> None:
    async with registering(membership, clock) as registration:
        await registration.registered()
        clock.jump(OPTIONS.lease_ttl_s + 1)
        assert await present(membership) == []
        await until_present(membership, clock, *ROLES)


async def test_a_process_that_comes_back_at_its_address_takes_the_place_of_its_former_self(
    membership: Absent, clock: FakeClock
) -> None:
    async with registering(membership, clock) as former:
        await former.registered()
        async with registering(membership, clock) as later:
            await later.registered()
            assert await present(membership) == list(ROLES)


async def test_a_registration_that_does_not_come_about_is_said_at_the_start_and_while_it_lasts(
    membership: Absent, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    membership.away = True
    async with registering(membership, clock) as registration:
        waiting = asyncio.create_task(registration.registered())
        async with asyncio.timeout(SOON_S):
            while not waiting.done():
                await pass_slowly(clock)
        with pytest.raises(Unavailable, match=r"models, registry could not be registered for 1\d s \(etcd does not answer\)"):
            await waiting
        await clock.advance(OPTIONS.lost_after_s)
        assert any("could not be registered" in record.message for record in caplog.records if record.levelno == logging.ERROR)
        membership.away = False
        await until_present(membership, clock, *ROLES)


async def test_there_is_one_place_of_a_role_and_it_is_handed_on(locks: SqlLocks, clock: FakeClock) -> None:
    first = sole_place("training", locks, holder="one", options=OPTIONS, clock=clock)
    await first.__aenter__()
    second = asyncio.create_task(sole_place("training", locks, holder="two", options=OPTIONS, clock=clock).__aenter__())
    async with asyncio.timeout(SOON_S):
        while not second.done():
            await pass_slowly(clock)
    with pytest.raises(FailedPrecondition, match="training is served by one, and there can be one only: stop that one first"):
        await second
    await first.__aexit__(None, None, None)
    async with sole_place("training", locks, holder="two", options=OPTIONS, clock=clock) as sole:
        assert sole.role == "training"


def holds(sole: Sole) -> bool:
    try:
        sole.check()
    except Aborted:
        return False
    return True


async def test_a_place_that_was_lost_is_taken_again_unless_another_has_it(locks: SqlLocks, clock: FakeClock) -> None:
    sole = Sole("training", locks, holder="one", options=OPTIONS, clock=clock)
    await sole.take(wait=0.0)
    keeping = asyncio.create_task(sole.run())
    clock.jump(OPTIONS.lease_ttl_s + 1)
    with pytest.raises(Aborted):
        sole.check()
    await clock.advance(OPTIONS.lease_ttl_s / 3)  # when it hears of it
    async with asyncio.timeout(SOON_S):
        while not holds(sole):
            await asyncio.sleep(0.01)
    assert not keeping.done()
    with pytest.raises(FailedPrecondition, match="served by one"):
        await Sole("training", locks, holder="two", options=OPTIONS, clock=clock).take(wait=0.0)
    clock.jump(OPTIONS.lease_ttl_s + 1)
    other = Sole("training", locks, holder="two", options=OPTIONS, clock=clock)
    await other.take(wait=0.0)
    await clock.advance(OPTIONS.lease_ttl_s / 3)
    with pytest.raises(FailedPrecondition, match="served by two"):
        await asyncio.wait_for(keeping, SOON_S)
    await other.give_up()
