"""What the registry shows of a version's state: brought there in order, each change once, by the one process that leads."""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing
from dataclasses import replace

from synapsenet.clock import Clock
from synapsenet.errors import Aborted, NotFound, OutOfRange, SynapseError
from synapsenet.lifecycle.events import ConditionChanged, VersionTransitioned
from synapsenet.lifecycle.model import VersionStatus
from synapsenet.lifecycle.options import LifecycleOptions
from synapsenet.lifecycle.ports import Catalogue, LifecycleWork
from synapsenet.platform.events import Event, EventFeed
from synapsenet.platform.locks import Held, Locks
from synapsenet.platform.records import decode
from synapsenet.platform.work import WorkFactory

_log = logging.getLogger(__name__)

NAME = "lifecycle/projector"
_LOCK_WAIT_S = 60.0


class Projector:
    """Follows the coordinator's log and has the registry keep each status; whoever reads the registry then sees it.

    A status that comes twice, or late, changes nothing there: it has the number of its event. So how far it came is noted only
    now and then.
    """

    def __init__(
        self,
        *,
        work: WorkFactory[LifecycleWork],
        feed: EventFeed,
        catalogue: Catalogue,
        locks: Locks,
        clock: Clock,
        options: LifecycleOptions,
        holder: str,
    ) -> None:
        self._work = work
        self._feed = feed
        self._catalogue = catalogue
        self._locks = locks
        self._clock = clock
        self._options = options
        self._holder = holder
        self._is_leading = False
        self._is_away = False
        self._shown: dict[str, int] = {}
        self._progress = asyncio.Event()

    async def run(self) -> None:
        """Lead whenever the lock is had; never returns by itself."""
        while True:
            try:
                async with self._locks.hold(NAME, holder=self._holder, ttl=self._options.lease_s, wait=_LOCK_WAIT_S) as held:
                    await self._lead(held)
            except Aborted as busy:
                if busy.reason != "LOCK_BUSY":
                    _log.warning("%s: another takes over: %s", NAME, busy.public)
            except SynapseError as error:
                _log.warning("%s: what the registry shows waits: %s", NAME, error.public)
                await self._clock.sleep(self._options.records_pause_s)

    async def until_shown(self, status: VersionStatus) -> None:
        """Return when the registry shows `status`, or something later; without it if the registry is away, or takes long."""
        try:
            async with asyncio.timeout(self._options.peer_s):
                if not self._is_leading:
                    await self._catalogue.keep(status)
                    return
                while self._is_behind(status):
                    await self._progress.wait()
        except (SynapseError, TimeoutError):
            pass  # the leader brings it as soon as the registry is back

    def _is_behind(self, status: VersionStatus) -> bool:
        return self._is_leading and not self._is_away and self._shown.get(status.model_id, 0) < status.sequence

    async def _lead(self, held: Held) -> None:
        leading = asyncio.create_task(self._follow())
        losing = asyncio.create_task(held.lost())
        self._is_leading = True
        try:
            await asyncio.wait({leading, losing}, return_when=asyncio.FIRST_COMPLETED)
            if leading.done():
                leading.result()
            held.check()
        finally:
            self._is_leading = False
            self._tell()
            for task in (leading, losing):
                task.cancel()
            await asyncio.gather(leading, losing, return_exceptions=True)

    async def _follow(self) -> None:
        position = await self._work.read(lambda tx: tx.marks.position(NAME))
        noted_at = self._clock.monotonic()
        try:
            async with aclosing(self._feed.watch(after=position)) as events:  # type: ignore[type-var]  # it is a generator
                async for event in events:
                    await self._show(event)
                    if self._clock.monotonic() - noted_at >= self._options.sweep_s:
                        noted_at = self._clock.monotonic()
                        await self._note(event.position)
        except OutOfRange as trimmed:
            oldest = int(trimmed.metadata["oldest"]) - 1
            _log.error("%s: events up to %d were trimmed before the registry heard of them", NAME, oldest)
            await self._note(oldest)

    async def _note(self, position: int) -> None:
        await self._work.run(lambda tx: tx.marks.move(NAME, position))

    async def _show(self, event: Event) -> None:
        status = _status(event)
        while status is not None:
            try:
                await self._catalogue.keep(status)
            except NotFound:
                break  # the model is gone, and all that was about it
            except SynapseError as error:
                _log.warning("%s: the registry does not take a status: %s", NAME, error.public)
                self._is_away = True
                self._tell()
                await self._clock.sleep(self._options.records_pause_s)
            else:
                self._is_away = False
                break
        if status is not None:
            self._shown[status.model_id] = event.sequence
            self._tell()

    def _tell(self) -> None:
        self._progress.set()
        self._progress = asyncio.Event()


def _status(event: Event) -> VersionStatus | None:
    """The status that `event` brought about; None if it is about no version's state."""
    if event.type == VersionTransitioned.__name__:
        return replace(decode(VersionTransitioned, event.payload).status, sequence=event.sequence)
    if event.type == ConditionChanged.__name__:
        return replace(decode(ConditionChanged, event.payload).status, sequence=event.sequence)
    return None
