"""Resuming in a log that has forgotten its beginning."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import pytest

from synapsenet.errors import InvalidArgument, OutOfRange
from synapsenet.lifecycle.watching import after_position, after_sequence
from synapsenet.platform.events import Event, EventFeed
from synapsenet.testing.clock import NOON


def event(position: int, model: str, sequence: int) -> Event:
    return Event(
        id=f"event-{position}",
        aggregate=f"model/{model}",
        sequence=sequence,
        position=position,
        type="VersionTransitioned",
        payload=b"",
        occurred_at=NOON,
    )


class Kept(EventFeed):
    """A log without those up to position 3; it ends where a real one would wait."""

    trimmed = 3
    events = (event(4, "b", 1), event(5, "a", 3), event(6, "b", 2), event(8, "a", 4))

    async def read(self, *, after: int, limit: int, aggregate: str = "") -> Sequence[Event]:
        if after < self.trimmed:
            raise OutOfRange("EVENTS_TRIMMED", "gone", metadata={"oldest": str(self.trimmed + 1)})
        return [one for one in self.events if one.position > after and aggregate in ("", one.aggregate)][:limit]

    async def newest(self) -> int:
        return self.events[-1].position

    async def watch(self, *, after: int, aggregate: str = "") -> AsyncIterator[Event]:
        for one in await self.read(after=after, limit=100, aggregate=aggregate):
            yield one


async def numbers(sequence: int, model_id: str = "a") -> list[int]:
    return [one.sequence async for one in after_sequence(Kept(), sequence, model_id=model_id)]


async def test_a_models_own_number_is_found_whatever_was_forgotten_of_others() -> None:
    assert await numbers(2) == [3, 4]
    assert await numbers(3) == [4]
    assert await numbers(0, "b") == [1, 2]


async def test_a_number_that_is_yet_to_come_is_waited_for() -> None:
    assert await numbers(4) == []
    assert await numbers(9) == []


async def test_a_gap_is_refused_naming_the_oldest_number_that_is_kept() -> None:
    with pytest.raises(OutOfRange) as refused:
        await numbers(1)
    assert (refused.value.reason, refused.value.metadata) == ("EVENTS_TRIMMED", {"oldest": "3"})


async def test_a_position_that_was_forgotten_is_refused() -> None:
    assert [one.position async for one in after_position(Kept(), 4, model_id="b")] == [6]
    with pytest.raises(OutOfRange):
        await anext(after_position(Kept(), 2))


async def test_a_number_without_a_model_says_nothing() -> None:
    with pytest.raises(InvalidArgument, match="each model counts its own events"):
        await numbers(1, "")
