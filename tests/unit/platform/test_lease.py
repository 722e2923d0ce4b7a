"""A lease is lost at its deadline at the latest, whatever its grantor does, and lives on by every renewal in time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from synapsenet.errors import Aborted, Unavailable
from synapsenet.platform.lease import Lease, kept
from synapsenet.testing.clock import FakeClock

TTL = 9.0


async def never() -> bool:
    await asyncio.Event().wait()
    raise AssertionError("it never answers")


async def away() -> bool:
    raise Unavailable("GRANTOR_AWAY")


async def unknown() -> bool:
    return False


@pytest.mark.parametrize(("renew", "lost_after"), [(never, TTL), (away, TTL), (unknown, TTL / 3)])
async def test_whoever_holds_it_is_told_when_renewals_bring_nothing(
    renew: Callable[[], Awaitable[bool]], lost_after: float
) -> None:
    clock = FakeClock()
    async with kept(Lease("l", clock=clock, ttl=TTL, granted_at=clock.monotonic()), renew) as lease:
        lost = asyncio.create_task(lease.lost())
        await clock.advance(lost_after - 0.1)
        assert not lost.done()
        lease.check()
        await clock.advance(0.1)
        assert lost.done()
        with pytest.raises(Aborted):
            lease.check()


async def test_a_renewal_counts_from_when_it_was_sent_and_the_next_one_does_not_wait_for_it() -> None:
    clock, sent = FakeClock(), []

    async def slow() -> bool:
        sent.append(clock.monotonic())
        await clock.sleep(4.0)
        return True

    async with kept(Lease("l", clock=clock, ttl=TTL, granted_at=clock.monotonic()), slow) as lease:
        for _ in range(30):
            await clock.advance(1.0)
            lease.check()
    assert sent == [3.0, 7.0, 11.0, 15.0, 19.0, 23.0, 27.0]


async def test_a_lease_granted_long_ago_is_renewed_at_once() -> None:
    clock = FakeClock()
    renewed = asyncio.Event()

    async def renew() -> bool:
        renewed.set()
        return True

    granted_at = clock.monotonic()
    clock.jump(TTL - 1)
    async with kept(Lease("l", clock=clock, ttl=TTL, granted_at=granted_at), renew) as lease:
        await clock.advance(0.01)
        assert renewed.is_set()
        await clock.advance(2.0)
        lease.check()
