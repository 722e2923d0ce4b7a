"""Where an area's events go beside its own watchers: a sink takes them in order, and says of each what became of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field

from synapsenet.platform.events import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What became of the events of one `publish`: those that are not named were delivered.

    Attributes:
        refused: event id to reason (UPPER_SNAKE_CASE) of what the sink will never take as it is.
        unsettled: ids of events that may or may not have arrived, and that are to be handed over again.
        away: why there are unsettled ones, for people; empty if they only stood behind a refused one.
    """

    refused: Mapping[str, str] = field(default_factory=dict)
    unsettled: Set[str] = frozenset()
    away: str = ""


class EventSink(ABC):
    """Takes events, one `publish` at a time.

    Delivered means that whoever reads the sink will find the event, whatever happens to the sender. An event may be found
    more than once, but the first deliveries of an aggregate's events keep the order in which they were handed over, over all
    calls and all senders that began at or before the first event which was not delivered.
    """

    @abstractmethod
    async def publish(self, events: Sequence[Event], *, handed_over: Callable[[], object] | None = None) -> Receipt:
        """Hand `events` over in their order; return when all are settled, or when the sink was away for its own patience.

        `handed_over` is called, on the event loop, when only the receiver's word is waited for: the time to get the next ones.
        In each aggregate no event behind a refused or unsettled one is delivered: it is unsettled itself.
        A caller that is cancelled leaves events that may still arrive, in order.
        """
