"""What every registry of instances promises. Time passes as the clock of the test says."""

from __future__ import annotations

import asyncio

import pytest

from synapsenet.errors import Aborted
from synapsenet.platform.membership import Instance, Membership
from synapsenet.testing.clock import MovedClock

TTL = 9.0
DEADLINE = 10.0


def instance(name: str, *, group: str = "features", address: str = "") -> Instance:
    return Instance(group=group, id=name, address=address or f"127.0.0.1:{len(name)}", zone="z", metadata={"pid": "7"})


async def names(membership: Membership, group: str = "features") -> list[str]:
    return [member.id for member in await membership.instances(group)]


class MembershipContract:
    """Run over every adapter by a class that provides the fixtures `membership` and `clock`."""

    ttl = TTL

    async def test_an_instance_is_listed_as_it_registered_while_it_is_there(self, membership: Membership) -> None:
        async with membership.join(instance("a"), ttl=self.ttl) as joined:
            (listed,) = await membership.instances("features")
            assert listed == joined.instance
            assert (listed.address, listed.zone, listed.metadata) == ("127.0.0.1:1", "z", {"pid": "7"})
        assert await names(membership) == []

    async def test_groups_are_apart_and_instances_ordered_by_id(self, membership: Membership) -> None:
        async with (
            membership.join(instance("b"), ttl=self.ttl),
            membership.join(instance("a"), ttl=self.ttl),
            membership.join(instance("c", group="models"), ttl=self.ttl),
        ):
            assert await names(membership) == ["a", "b"]
            assert await names(membership, "models") == ["c"]

    async def test_an_instance_that_joins_again_has_a_higher_incarnation(self, membership: Membership) -> None:
        incarnations = []
        for _ in range(3):
            async with membership.join(instance("a"), ttl=self.ttl) as joined:
                incarnations.append(joined.instance.incarnation)
        assert incarnations == sorted(set(incarnations))

    async def test_who_was_replaced_finds_out_at_the_next_renewal(self, membership: Membership, clock: MovedClock) -> None:
        async with (
            membership.join(instance("a", address="old:1"), ttl=self.ttl) as old,
            membership.join(instance("a", address="new:1"), ttl=self.ttl) as new,
        ):
            await clock.advance(self.ttl / 3)
            await asyncio.wait_for(old.lost(), DEADLINE)
            with pytest.raises(Aborted):
                old.check()
            new.check()
            (listed,) = await membership.instances("features")
            assert listed.address == "new:1"

    async def test_the_leaving_of_who_was_replaced_does_not_remove_the_new_one(self, membership: Membership) -> None:
        old = membership.join(instance("a", address="old:1"), ttl=self.ttl)
        await old.__aenter__()
        async with membership.join(instance("a", address="new:1"), ttl=self.ttl):
            await old.__aexit__(None, None, None)
            assert await names(membership) == ["a"]

    async def test_an_instance_lives_on_by_keepalive(self, membership: Membership, clock: MovedClock) -> None:
        async with membership.join(instance("a"), ttl=self.ttl) as joined:
            for _ in range(12):
                await clock.advance(self.ttl / 6)
                async with membership.join(instance("beside"), ttl=self.ttl):
                    pass  # written behind the renewal, which is over therefore, however slow the disk is
            joined.check()
            assert await names(membership) == ["a"]

    async def test_an_instance_that_was_paused_past_its_ttl_is_gone(self, membership: Membership, clock: MovedClock) -> None:
        async with membership.join(instance("a"), ttl=self.ttl) as joined:
            clock.jump(self.ttl + 1)
            assert await names(membership) == []
            with pytest.raises(Aborted):
                joined.check()

    async def test_a_watcher_sees_who_is_there_and_each_change(self, membership: Membership) -> None:
        seen: asyncio.Queue[list[str]] = asyncio.Queue()

        async def watch() -> None:
            async for present in membership.watch("features"):
                await seen.put([member.id for member in present])

        watching = asyncio.create_task(watch())
        async with asyncio.timeout(DEADLINE):
            assert await seen.get() == []
            async with membership.join(instance("a"), ttl=self.ttl):
                assert await seen.get() == ["a"]
                async with membership.join(instance("b"), ttl=self.ttl):
                    assert await seen.get() == ["a", "b"]
                assert await seen.get() == ["a"]
            assert await seen.get() == []
        watching.cancel()
