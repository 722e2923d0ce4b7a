"""The child processes of this process: how many, under which names, and their end in reverse order of their start."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from types import TracebackType

from synapsenet.clock import Clock
from synapsenet.errors import AlreadyExists, FailedPrecondition, ResourceExhausted
from synapsenet_servers.children.child import Child, ChildSpec, ChildState, ChildStatus, Exit
from synapsenet_servers.children.logs import bound_log
from synapsenet_servers.children.restart import Restart

__all__ = [
    "Child",
    "ChildSpec",
    "ChildState",
    "ChildStatus",
    "Exit",
    "Restart",
    "Supervisor",
    "SupervisorOptions",
    "SupervisorStatistics",
]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class SupervisorOptions:
    """The supervisor's bounds.

    Attributes:
        children: processes at one time, at least 1.
        close_within_s: seconds that all children together have to end at `close`; those left over are killed.
        log_check_s: seconds between looks at the sizes of the children's logs.
    """

    children: int = 128
    close_within_s: float = 20.0
    log_check_s: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SupervisorStatistics:
    """What the supervisor has in hand, and has done.

    Attributes:
        children: how many live, by state.
        started: children started since the beginning, restarts not counted.
        restarts: restarts of the children that live.
        given_up: children that ended for good without being asked to; one that did its work and exited 0 is none.
    """

    children: Mapping[ChildState, int]
    started: int
    restarts: int
    given_up: int


class Supervisor:
    """Starts children, and leaves none behind. An async context manager; used on the main thread's event loop.

    Args:
        changed: told of every child that enters a state, on the event loop; it must return at once and never raise.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        options: SupervisorOptions | None = None,
        random: Random | None = None,
        changed: Callable[[ChildStatus], None] | None = None,
    ) -> None:
        self._clock = clock
        self._options = options or SupervisorOptions()
        self._random = random or Random()
        self._changed = changed
        self._children: dict[str, Child] = {}
        self._lives: dict[str, asyncio.Task[None]] = {}
        self._closed = False
        self._started = 0
        self._given_up = 0
        self._log_watch: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Supervisor:
        self._log_watch = asyncio.create_task(self._bound_logs(), name="child-logs")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def start(self, spec: ChildSpec) -> Child:
        """Start a child, and return once it is ready.

        Raises:
            AlreadyExists: CHILD_NAME_TAKEN.
            ResourceExhausted: CHILDREN_LIMIT.
            FailedPrecondition: SUPERVISOR_CLOSED; PROGRAM_MISSING.
            Unavailable: CHILD_NOT_READY, it ended first or took too long, and is gone; CHILD_NOT_STARTED.
        """
        self._admit(spec)
        child = Child(spec, clock=self._clock, random=self._random, changed=self._changed)
        self._children[spec.name] = child
        self._lives[spec.name] = asyncio.create_task(self._tend(child), name=f"child-{spec.name}")
        self._started += 1
        try:
            failure = await child.settled()
        except asyncio.CancelledError:
            # Nobody would hold the handle: a child without an owner must not stay.
            await asyncio.shield(child.stop(0))
            raise
        if failure is not None:
            raise failure
        return child

    def children(self) -> Sequence[ChildStatus]:
        """The children that live, in the order of their start."""
        return [child.status() for child in self._children.values()]

    def statistics(self) -> SupervisorStatistics:
        """Counts for the status table."""
        return SupervisorStatistics(
            children=Counter(child.state for child in self._children.values()),
            started=self._started,
            restarts=sum(child.restarts for child in self._children.values()),
            given_up=self._given_up,
        )

    async def close(self) -> None:
        """Stop all children, the last started first, and return when none is left."""
        self._closed = True
        if self._log_watch:
            self._log_watch.cancel()
        deadline = self._clock.monotonic() + self._options.close_within_s
        for child in reversed(list(self._children.values())):
            await child.stop(min(child.spec.grace, max(0.0, deadline - self._clock.monotonic())))
        await asyncio.gather(*self._lives.values())

    def _admit(self, spec: ChildSpec) -> None:
        if self._closed:
            raise FailedPrecondition("SUPERVISOR_CLOSED", f"{spec.name} is not started: the platform is shutting down")
        if spec.name in self._children:
            raise AlreadyExists("CHILD_NAME_TAKEN", f"a child process named {spec.name} is running", field="name")
        if len(self._children) >= self._options.children:
            raise ResourceExhausted(
                "CHILDREN_LIMIT",
                f"{len(self._children)} child processes run, which is the limit",
                remedy="wait until one has ended, or raise supervisor.children",
                retry_after=1.0,
            )

    async def _tend(self, child: Child) -> None:
        try:
            await child.live()
        finally:
            del self._children[child.name], self._lives[child.name]
            exit_ = await child.wait()
            if exit_.code == 0 and child.spec.restart is None:
                _log.info("%s", exit_.reason)
            elif not exit_.stopped:
                self._given_up += 1
                _log.error("%s\n%s", exit_.reason, exit_.last_words)

    async def _bound_logs(self) -> None:
        while True:
            await self._clock.sleep(self._options.log_check_s)
            for child in list(self._children.values()):
                try:
                    await asyncio.to_thread(bound_log, child.spec.log, limit=child.spec.log_limit)
                except OSError:
                    _log.exception("the log of %s cannot be kept within its limit", child.name)
