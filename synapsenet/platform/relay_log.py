"""What a relay reads and writes of an area's log: events in order of position, how far it came, and what it had to park."""

from __future__ import annotations

import zlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime

from synapsenet.platform.events import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """A part of an area's aggregates, which one relay at a time passes on.

    Attributes:
        number: from 0.
        count: how many shards the area has; every relay of an area is told the same.
    """

    number: int = 0
    count: int = 1

    def has(self, aggregate: str) -> bool:
        """Whether `aggregate` is of this shard: CRC-32 of its UTF-8, modulo the count."""
        return self.count == 1 or zlib.crc32(aggregate.encode()) % self.count == self.number


@dataclass(frozen=True, slots=True, kw_only=True)
class ParkedEvent:
    """An event that is not passed on for now.

    Attributes:
        reason: why the sink refused it; empty if it only waits behind a refused one, or is to be tried again.
    """

    event_id: str
    aggregate: str
    position: int
    reason: str
    parked_at: datetime


class RelayLog(ABC):
    """The log of one area as the relay of one shard sees it.

    What is written carries the token of the relay's lock. Once a higher token has claimed the shard, the writes of a lower
    one are refused with Aborted RELAY_SUPERSEDED and change nothing.
    """

    @abstractmethod
    async def claim(self, shard: Shard, token: int) -> int:
        """The position up to which everything of `shard` is passed on or parked; from now on lower tokens are refused.

        Where the number of shards has changed, all of them start again from where the last one was.

        Raises:
            Aborted: RELAY_SUPERSEDED, a higher token has claimed it.
        """

    @abstractmethod
    async def read(self, *, after: int, limit: int) -> Sequence[Event]:
        """Up to `limit` events of all shards with positions above `after`, in order."""

    @abstractmethod
    async def news(self, *, after: int) -> None:
        """Return when there is an event with a position above `after`."""

    @abstractmethod
    async def settle(self, shard: Shard, token: int, *, position: int, parked: Sequence[ParkedEvent]) -> None:
        """Note that everything of `shard` up to `position` is passed on or parked, with what was parked on the way.

        Raises:
            Aborted: RELAY_SUPERSEDED.
        """

    @abstractmethod
    async def blocked(self) -> Set[str]:
        """The aggregates that have parked events."""

    @abstractmethod
    async def released(self, *, after: int, limit: int) -> Sequence[Event]:
        """Up to `limit` parked events with no refused one of their aggregate at or before them, by position above `after`."""

    @abstractmethod
    async def unpark(self, shard: Shard, token: int, *, delivered: Sequence[str], refused: Mapping[str, str]) -> None:
        """Forget the parked events that were delivered, by id, and note why others were refused again.

        Raises:
            Aborted: RELAY_SUPERSEDED.
        """


class ParkedEvents(ABC):
    """An area's parked events, as operators see them. A relay looks at what they did within its `parked_check_s`."""

    @abstractmethod
    async def refused(self, *, limit: int) -> tuple[Sequence[ParkedEvent], int]:
        """The first `limit` refused events by position, and how many wait behind refused ones."""

    @abstractmethod
    async def retry(self, event_id: str = "") -> int:
        """Let a refused event, or all of them, be tried again; how many."""

    @abstractmethod
    async def skip(self, event_id: str) -> int:
        """Give a refused event up: it is never passed on, and those behind it follow; 1, or 0 if there is no such event."""
