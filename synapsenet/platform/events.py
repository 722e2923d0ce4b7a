"""What happened, in order: the event log of an area and its feed to watchers.

An event is appended inside a unit of work and gets, in the same transaction, the next number of its aggregate (gapless,
from 1). After the commit one sequencer gives it a position in the log; the feed serves positioned events only, so a watcher
that resumes after a position misses nothing.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple


class Event(NamedTuple):
    """One thing that happened to one aggregate; a tuple, since a relay makes tens of thousands of them a second.

    Attributes:
        id: unique for ever; consumers drop duplicates by it.
        aggregate: what it happened to, `kind/id`, e.g. `run/run-5f0c…`.
        sequence: the aggregate's own count, gapless from 1.
        position: the place in the area's log, growing from 1, with gaps allowed.
        type: UpperCamelCase past tense, e.g. `RunFinished`.
        payload: the record that `synapsenet.platform.records` encoded.
        trace: in which it was committed, as a W3C `traceparent`; None where there was none.
    """

    id: str
    aggregate: str
    sequence: int
    position: int
    type: str
    payload: bytes
    occurred_at: datetime
    trace: str | None = None


class EventLog(ABC):
    """The events of one unit of work."""

    @abstractmethod
    def append(self, aggregate: str, record: Any) -> int:
        """Record that `record` (a frozen dataclass; its class name is the event's type) happened to `aggregate`.

        Returns the aggregate's own count of it.
        """


class EventFeed(ABC):
    """Positioned events, for watchers."""

    @abstractmethod
    async def read(self, *, after: int, limit: int, aggregate: str = "") -> Sequence[Event]:
        """Up to `limit` events with positions above `after`, in order; of one aggregate if it is given.

        Raises:
            OutOfRange: EVENTS_TRIMMED, events after `after` are no longer kept; metadata `oldest` names the first that is.
        """

    @abstractmethod
    async def newest(self) -> int:
        """The highest position given so far; 0 for an empty log."""

    @abstractmethod
    def watch(self, *, after: int, aggregate: str = "") -> AsyncIterator[Event]:
        """Events with positions above `after`, the stored ones first, then live ones, until the caller stops iterating.

        Raises:
            OutOfRange: EVENTS_TRIMMED, as in `read`.
        """
