"""Events for watchers, who resume after a position of the log or after a number of one model's own count."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from synapsenet.errors import InvalidArgument, OutOfRange
from synapsenet.lifecycle.events import aggregate
from synapsenet.platform.events import Event, EventFeed


async def after_position(feed: EventFeed, position: int, *, model_id: str = "") -> AsyncGenerator[Event, None]:
    """Events after `position`, the stored ones first; of one model if it is given.

    Raises:
        OutOfRange: EVENTS_TRIMMED, naming the oldest position that is kept.
    """
    events = feed.watch(after=position, aggregate=aggregate(model_id) if model_id else "")
    async with aclosing(events) as stored_and_live:  # type: ignore[type-var]  # it is a generator
        async for event in stored_and_live:
            yield event


async def after_sequence(feed: EventFeed, sequence: int, *, model_id: str) -> AsyncGenerator[Event, None]:
    """Events of a model after the one with the number `sequence`, the stored ones first.

    Raises:
        InvalidArgument: SEQUENCE_NEEDS_MODEL.
        OutOfRange: EVENTS_TRIMMED, naming the oldest of the model's numbers that is kept.
    """
    if not model_id:
        raise InvalidArgument(
            "SEQUENCE_NEEDS_MODEL",
            "after_sequence: each model counts its own events",
            field="after_sequence",
            remedy="name the model, or resume with after_position",
        )
    async with aclosing(after_position(feed, await _oldest(feed), model_id=model_id)) as events:
        seen = max(0, sequence)
        async for event in events:
            if event.sequence > seen + 1:
                raise OutOfRange(
                    "EVENTS_TRIMMED",
                    f"events of model {model_id} before its number {event.sequence} are no longer kept",
                    remedy=f"read the present state, then resume after {event.sequence - 1}",
                    metadata={"oldest": str(event.sequence)},
                )
            if event.sequence == seen + 1:
                seen = event.sequence
                yield event


async def _oldest(feed: EventFeed) -> int:
    """The position before the oldest event that is kept."""
    try:
        await feed.read(after=0, limit=1)
    except OutOfRange as trimmed:
        return int(trimmed.metadata["oldest"]) - 1
    return 0
