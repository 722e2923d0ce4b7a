"""Trouble of a relay is told once when it begins and once when it is over, with pauses that grow to a bound between."""

from __future__ import annotations

import asyncio

import pytest

from synapsenet.platform.relay import Trouble
from synapsenet.platform.relay_log import Shard
from synapsenet.testing.clock import FakeClock

LONGEST_S = 10.0


async def paused(trouble: Trouble, clock: FakeClock) -> float:
    """Seconds that meeting `trouble` takes."""
    begun = clock.monotonic()
    meeting = asyncio.create_task(trouble.meet("the brokers are away"))
    while not meeting.done():
        await clock.pass_until_next()
    return clock.monotonic() - begun


async def test_lasting_trouble_is_two_lines_however_long_it_lasts(caplog: pytest.LogCaptureFixture) -> None:
    clock = FakeClock()
    trouble = Trouble("relay/models/0", clock, longest_pause_s=LONGEST_S)
    for _ in range(30):
        await paused(trouble, clock)
    trouble.over()
    trouble.over()
    first, last = caplog.messages
    assert first == "relay/models/0: the brokers are away; events wait in the log until it is over"
    assert last.startswith("relay/models/0: events pass again after ")


async def test_pauses_grow_to_their_bound_and_begin_anew_when_it_is_over() -> None:
    clock = FakeClock()
    trouble = Trouble("relay/models/0", clock, longest_pause_s=LONGEST_S)
    pauses = [await paused(trouble, clock) for _ in range(12)]
    assert pauses[0] <= 0.12
    assert all(LONGEST_S / 2 <= pause <= LONGEST_S + 0.02 for pause in pauses[-3:])
    trouble.over()
    assert await paused(trouble, clock) <= 0.12


def test_every_aggregate_is_of_exactly_one_shard() -> None:
    shards = [Shard(number=number, count=5) for number in range(5)]
    for number in range(100):
        assert sum(shard.has(f"model/mdl-{number}") for shard in shards) == 1
    assert Shard().has("anything")
