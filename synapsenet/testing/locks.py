"""What every lock service promises. Time passes as the clock of the test says: at once, or really for a store with its own."""

from __future__ import annotations

import asyncio

import pytest

from synapsenet.errors import Aborted
from synapsenet.platform.locks import Locks
from synapsenet.testing.clock import MovedClock

TTL = 9.0
DEADLINE = 10.0


async def eventually(clock: MovedClock, task: asyncio.Task[object], *, seconds: float) -> None:
    """Let time pass in small steps until `task` is done, at most `seconds` of it."""
    for _ in range(round(seconds * 10)):
        if task.done():
            return
        await clock.advance(0.1)
        await asyncio.sleep(0.002)  # the store answers in real time


class LocksContract:
    """Run over every adapter by a class that provides the fixtures `locks` and `clock`."""

    ttl = TTL

    async def in_line(self, waiters: int) -> None:
        """Return once so many wait for the lock `a`. A store that is asked over a network has to be asked for that, too."""
        await asyncio.sleep(0.02)

    async def test_a_second_holder_is_refused_with_the_name_of_the_first(self, locks: Locks) -> None:
        async with locks.hold("model/m", holder="first", ttl=self.ttl, wait=0):
            with pytest.raises(Aborted) as refusal:
                async with locks.hold("model/m", holder="second", ttl=self.ttl, wait=0):
                    pytest.fail("two held one lock")
        assert refusal.value.reason == "LOCK_BUSY"
        assert refusal.value.metadata == {"holder": "first"}

    async def test_locks_of_different_names_are_held_together(self, locks: Locks) -> None:
        async with locks.hold("a", holder="me", ttl=self.ttl, wait=0), locks.hold("b", holder="me", ttl=self.ttl, wait=0) as b:
            b.check()

    async def test_the_token_grows_with_every_acquisition(self, locks: Locks) -> None:
        tokens = []
        for _ in range(3):
            async with locks.hold("a", holder="me", ttl=self.ttl, wait=0) as held:
                tokens.append(held.token)
        assert tokens == sorted(set(tokens))

    async def _wait_in_line(self, locks: Locks, count: int, order: list[int]) -> list[asyncio.Task[None]]:
        """So many waiters for the lock that is held, one behind the other; each adds its number to `order` when it has it."""

        async def waiter(number: int) -> None:
            async with locks.hold("a", holder=str(number), ttl=self.ttl, wait=60):
                order.append(number)

        waiting = []
        for number in range(count):
            waiting.append(asyncio.create_task(waiter(number)))
            await self.in_line(number + 1)
        return waiting

    async def test_a_waiter_gets_the_lock_when_it_is_released(self, locks: Locks) -> None:
        order: list[str] = []

        async def second() -> None:
            async with locks.hold("a", holder="second", ttl=self.ttl, wait=60):
                order.append("second")

        async with locks.hold("a", holder="first", ttl=self.ttl, wait=0):
            waiting = asyncio.create_task(second())
            await self.in_line(1)
            order.append("first")
        await asyncio.wait_for(waiting, DEADLINE)
        assert order == ["first", "second"]

    async def test_waiters_are_served_in_the_order_in_which_they_came(self, locks: Locks) -> None:
        order: list[int] = []
        async with locks.hold("a", holder="first", ttl=self.ttl, wait=0):
            waiting = await self._wait_in_line(locks, 5, order)
        await asyncio.wait_for(asyncio.gather(*waiting), DEADLINE)
        assert order == [0, 1, 2, 3, 4]

    async def test_a_cancelled_waiter_leaves_nothing_behind(self, locks: Locks) -> None:
        async def waiter() -> None:
            async with locks.hold("a", holder="waiter", ttl=self.ttl, wait=60):
                pytest.fail("a cancelled waiter got the lock")

        async with locks.hold("a", holder="first", ttl=self.ttl, wait=0):
            waiting = asyncio.create_task(waiter())
            await self.in_line(1)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
        async with locks.hold("a", holder="next", ttl=self.ttl, wait=0) as held:
            held.check()

    async def test_who_gives_up_in_the_middle_of_the_line_changes_nothing_for_the_others(self, locks: Locks) -> None:
        order: list[int] = []
        async with locks.hold("a", holder="first", ttl=self.ttl, wait=0):
            waiting = await self._wait_in_line(locks, 4, order)
            waiting[1].cancel()
            await asyncio.gather(waiting[1], return_exceptions=True)
        await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), DEADLINE)
        assert order == [0, 2, 3]

    async def test_no_two_of_many_hold_one_lock_at_the_same_time(self, locks: Locks) -> None:
        inside = 0
        tokens: list[int] = []

        async def visitor(number: int) -> None:
            nonlocal inside
            async with locks.hold("a", holder=str(number), ttl=self.ttl, wait=60) as held:
                inside += 1
                assert inside == 1
                tokens.append(held.token)
                await asyncio.sleep(0.002)
                inside -= 1

        await asyncio.wait_for(asyncio.gather(*(visitor(number) for number in range(20))), DEADLINE)
        assert len(tokens) == 20
        assert tokens == sorted(set(tokens))

    async def test_waiting_ends_when_the_patience_does(self, locks: Locks, clock: MovedClock) -> None:
        async def waiter() -> object:
            async with locks.hold("a", holder="second", ttl=self.ttl, wait=1.0):
                return None

        async with locks.hold("a", holder="first", ttl=self.ttl, wait=0):
            waiting = asyncio.create_task(waiter())
            await eventually(clock, waiting, seconds=8.0)
            with pytest.raises(Aborted, match="first"):
                await waiting
        async with locks.hold("a", holder="next", ttl=self.ttl, wait=0) as held:
            held.check()  # who gave up stands in nobody's way

    async def test_a_held_lock_outlives_its_ttl_by_keepalive(self, locks: Locks, clock: MovedClock) -> None:
        async with locks.hold("a", holder="first", ttl=self.ttl, wait=0) as held:
            for _ in range(12):
                await clock.advance(self.ttl / 6)
                async with locks.hold("beside", holder="first", ttl=self.ttl, wait=0):
                    pass  # written behind the renewal, which is over therefore, however slow the disk is
            held.check()
            with pytest.raises(Aborted):
                async with locks.hold("a", holder="second", ttl=self.ttl, wait=0):
                    pytest.fail("two held one lock")

    async def test_a_holder_that_was_paused_past_its_ttl_finds_out_by_itself(self, locks: Locks, clock: MovedClock) -> None:
        async with locks.hold("a", holder="paused", ttl=self.ttl, wait=0) as held:
            clock.jump(self.ttl + 1)  # as after SIGSTOP: time went on and no renewal was sent
            with pytest.raises(Aborted) as refusal:
                held.check()
            assert refusal.value.reason == "LOCK_LOST"
            await asyncio.wait_for(held.lost(), DEADLINE)

    async def test_the_lock_of_a_paused_holder_is_free_and_its_token_outgrown(self, locks: Locks, clock: MovedClock) -> None:
        async with locks.hold("a", holder="paused", ttl=self.ttl, wait=0) as paused:
            clock.jump(self.ttl + 1)
            async with locks.hold("a", holder="next", ttl=self.ttl, wait=DEADLINE) as held:
                assert held.token > paused.token
                held.check()
                with pytest.raises(Aborted):
                    paused.check()
