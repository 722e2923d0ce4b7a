"""The relay of one shard: it passes an area's committed events on to a sink, in order, each at least once.

It leads while it holds the shard's lock, and notes how far it came only after the sink took the events. Whoever dies in
between is succeeded by one that passes the rest on again: receivers know these duplicates by id and sequence.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from operator import attrgetter

from synapsenet.clock import Clock
from synapsenet.errors import Aborted, SynapseError
from synapsenet.platform.events import Event
from synapsenet.platform.locks import Held, Locks
from synapsenet.platform.relay_log import ParkedEvent, RelayLog, Shard
from synapsenet.platform.sink import EventSink, Receipt

_log = logging.getLogger(__name__)

_LOCK_WAIT_S = 60.0
_PAYLOAD = attrgetter("payload")


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayOptions:
    """Bounds of a relay.

    Attributes:
        batch: events read, and handed over, at one time; as many again are read ahead.
        batch_bytes: bytes of payload that a batch should have at most; it has fewer events where they are larger.
        lease_s: seconds after which another relay takes over from one that died.
        longest_pause_s: seconds between attempts, at most, while the broker or the database is away; it starts at a
            hundredth, doubles, and is spread by chance.
        parked_check_s: seconds between looks at whether parked events were released, while there are any.
    """

    batch: int = 10_000
    batch_bytes: int = 16 << 20
    lease_s: float = 15.0
    longest_pause_s: float = 10.0
    parked_check_s: float = 2.0


class Relay:
    """Passes the events of one shard of one area on, for ever.

    Args:
        holder: who this process is, for those who wait for its lock.
    """

    def __init__(
        self,
        area: str,
        shard: Shard,
        *,
        log: RelayLog,
        sink: EventSink,
        locks: Locks,
        clock: Clock,
        holder: str,
        options: RelayOptions | None = None,
    ) -> None:
        self.name = f"relay/{area}/{shard.number}"
        self._shard = shard
        self._records = log
        self._sink = sink
        self._locks = locks
        self._clock = clock
        self._holder = holder
        self._options = options or RelayOptions()
        self._trouble = Trouble(self.name, clock, longest_pause_s=self._options.longest_pause_s)

    async def run(self) -> None:
        """Lead whenever the lock is had; never returns by itself."""
        while True:
            try:
                async with self._locks.hold(
                    self.name, holder=self._holder, ttl=self._options.lease_s, wait=_LOCK_WAIT_S
                ) as held:
                    await self._lead(held)
            except Aborted as lost:
                if lost.reason != "LOCK_BUSY":
                    _log.warning("%s: another takes over: %s", self.name, lost.public)
                    await self._trouble.pause()
            except SynapseError as error:
                await self._trouble.meet(error.public)

    async def _lead(self, held: Held) -> None:
        """Pass events on until the lease is lost.

        Raises:
            Aborted: LOCK_LOST or RELAY_SUPERSEDED.
            SynapseError: the database does not answer.
        """
        leading = asyncio.create_task(self._pass_on_from_here(held), name=self.name)
        losing = asyncio.create_task(held.lost(), name=f"{self.name} lease")
        try:
            await asyncio.wait({leading, losing}, return_when=asyncio.FIRST_COMPLETED)
            if leading.done():
                leading.result()
            held.check()
        finally:
            for task in (leading, losing):
                task.cancel()
            await asyncio.gather(leading, losing, return_exceptions=True)

    async def _pass_on_from_here(self, held: Held) -> None:
        position = await self._records.claim(self._shard, held.token)
        leader = _Leader(self._shard, held, self._records, self._sink, self._clock, self._options, self._trouble)
        await leader.pass_on(after=position)


class Trouble:
    """What keeps a relay from its work: told once when it begins and once when it is over, with growing pauses between."""

    def __init__(self, name: str, clock: Clock, *, longest_pause_s: float) -> None:
        self._name = name
        self._clock = clock
        self._longest = longest_pause_s
        self._since = 0.0
        self._attempts = 0
        self._what = ""

    async def meet(self, what: str) -> None:
        """Tell of it if it is new, and pause."""
        if not self._what:
            self._since = self._clock.monotonic()
            _log.warning("%s: %s; events wait in the log until it is over", self._name, what)
        self._what = what
        await self.pause()

    async def pause(self) -> None:
        longest = min(self._longest, self._longest / 100 * 2**self._attempts)
        self._attempts = min(self._attempts + 1, 10)
        await self._clock.sleep(longest * random.uniform(0.5, 1.0))

    def over(self) -> None:
        """Note that events pass again."""
        if self._what:
            lasted = self._clock.monotonic() - self._since
            _log.warning("%s: events pass again after %.1f s", self._name, lasted)
        self._what, self._attempts = "", 0


@dataclass(frozen=True, slots=True)
class _Window:
    """Events of the shard, and the position up to which they are all that there are."""

    events: Sequence[Event]
    last: int


class _Leader:
    """A relay while it holds the lock."""

    def __init__(
        self,
        shard: Shard,
        held: Held,
        log: RelayLog,
        sink: EventSink,
        clock: Clock,
        options: RelayOptions,
        trouble: Trouble,
    ) -> None:
        self._shard = shard
        self._held = held
        self._records = log
        self._sink = sink
        self._clock = clock
        self._options = options
        self._trouble = trouble
        self._limit = options.batch
        self._blocked: set[str] = set()
        self._reading_after = -1
        self._looked_at = -options.parked_check_s

    async def pass_on(self, *, after: int) -> None:
        self._blocked = await self._own_blocked()
        self._ahead = asyncio.ensure_future(self._read(after))
        try:
            while True:
                await self._retry_parked()
                if not await self._ready(self._ahead):
                    continue
                window = self._ahead.result()
                await self._pass_window(window)
                self._read_on(window)
        finally:
            self._ahead.cancel()
            await asyncio.gather(self._ahead, return_exceptions=True)

    def _read_on(self, window: _Window) -> None:
        """Begin to read what comes after `window`, unless that is under way.

        It is while the brokers are at work, not before: reading and producing are the interpreter's, and each wait of the one
        would give it away to the other.
        """
        if self._reading_after != window.last:
            self._reading_after = window.last
            self._ahead = asyncio.ensure_future(self._read(window.last))

    async def _ready(self, ahead: asyncio.Future[_Window]) -> bool:
        """Wait for the window; while something is parked, no longer than until that is to be looked at again."""
        look_in = self._options.parked_check_s if self._blocked else None
        await asyncio.wait({ahead}, timeout=look_in)
        return ahead.done()

    async def _read(self, after: int) -> _Window:
        """The next window that is not empty."""
        while not (events := await self._records.read(after=after, limit=self._limit)):
            await self._records.news(after=after)
        largest = max(map(len, map(_PAYLOAD, events)))
        self._limit = max(1, min(self._options.batch, self._options.batch_bytes // max(1, largest)))
        own = events if self._shard.count == 1 else [event for event in events if self._shard.has(event.aggregate)]
        return _Window(own, events[-1].position)

    async def _pass_window(self, window: _Window) -> None:
        """Have every event of it delivered or parked, and note that."""
        parked: list[ParkedEvent] = []
        waiting = self._unblocked(window.events, parked)
        while waiting:
            self._held.check()
            receipt = await self._sink.publish(waiting, handed_over=partial(self._read_on, window))
            self._park_refused(waiting, receipt, parked)
            left = [event for event in waiting if event.id in receipt.unsettled] if receipt.unsettled else []
            still = self._unblocked(left, parked)
            if still:
                await self._settle(still[0].position - 1, parked)
                parked = []
            if receipt.away:
                await self._trouble.meet(receipt.away)
            else:
                self._trouble.over()
            waiting = still
        await self._settle(window.last, parked)

    async def _settle(self, position: int, parked: Sequence[ParkedEvent]) -> None:
        self._held.check()
        await self._records.settle(self._shard, self._held.token, position=position, parked=parked)

    def _unblocked(self, events: Sequence[Event], parked: list[ParkedEvent]) -> Sequence[Event]:
        """`events` without those of blocked aggregates, which join `parked`."""
        if not self._blocked:
            return events
        parked += [self._parked(event, "") for event in events if event.aggregate in self._blocked]
        return [event for event in events if event.aggregate not in self._blocked]

    def _park_refused(self, events: Sequence[Event], receipt: Receipt, parked: list[ParkedEvent]) -> None:
        if not receipt.refused:
            return
        for event in events:
            if (reason := receipt.refused.get(event.id)) is not None:
                _log.error("%s of %s is parked: the broker refused it: %s", event.id, event.aggregate, reason)
                parked.append(self._parked(event, reason))
                self._blocked.add(event.aggregate)

    def _parked(self, event: Event, reason: str) -> ParkedEvent:
        return ParkedEvent(
            event_id=event.id,
            aggregate=event.aggregate,
            position=event.position,
            reason=reason,
            parked_at=self._clock.now(),
        )

    async def _own_blocked(self) -> set[str]:
        return {aggregate for aggregate in await self._records.blocked() if self._shard.has(aggregate)}

    async def _retry_parked(self) -> None:
        """Now and then, while anything is parked, pass on what was released."""
        if not self._blocked or self._clock.monotonic() - self._looked_at < self._options.parked_check_s:
            return
        after = 0
        while page := await self._records.released(after=after, limit=self._options.batch):
            own = [event for event in page if self._shard.has(event.aggregate)]
            if not own:
                after = page[-1].position
            elif not await self._pass_released(own):
                break
        self._blocked = await self._own_blocked()
        self._looked_at = self._clock.monotonic()

    async def _pass_released(self, events: Sequence[Event]) -> bool:
        """Whether the sink settled all of them, one way or the other."""
        self._held.check()
        receipt = await self._sink.publish(events)
        gone = [event.id for event in events if event.id not in receipt.refused and event.id not in receipt.unsettled]
        self._held.check()
        await self._records.unpark(self._shard, self._held.token, delivered=gone, refused=receipt.refused)
        if receipt.away:
            await self._trouble.meet(receipt.away)
        return not receipt.away
