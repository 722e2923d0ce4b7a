"""One supervised child: started, made ready, watched, restarted, stopped.

    STARTING → RUNNING → (died) → BACKOFF → STARTING …
        each of them → STOPPING → ENDED

One task runs `live` and owns the child's process. The child's owner, who asked the supervisor for it, is told by `wait` that
it has ended for good: it was stopped, it died and has no `restart`, its restarts are spent, or it never became ready at all.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from random import Random

from synapsenet.clock import Clock
from synapsenet.errors import InvalidArgument, SynapseError, Unavailable
from synapsenet_servers.children.launcher import Ended, Process, launch
from synapsenet_servers.children.logs import last_words
from synapsenet_servers.children.restart import Restart, RestartBudget

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildSpec:
    """A child to start.

    Attributes:
        name: unique among the children that live; for logs, tables and sentences.
        argv: program and arguments; a program without a slash is looked for on the PATH of `env`.
        env: its whole environment; `launcher.environment` gives a sensible one.
        cwd: an existing folder.
        log: where its stdout and stderr go.
        restart: how it is started again when it dies, with whatever code; None: it is not.
        ready: returns once the child does its work, or raises SynapseError if it never will; awaited after each start.
            None: ready as soon as it runs.
        ready_within: seconds that `ready` may take; a child that takes longer is ended.
        grace: seconds between SIGTERM and SIGKILL, unless `stop` says otherwise.
        log_limit: bytes; a log past them is kept as `NAME.1` and begun anew.
    """

    name: str
    argv: Sequence[str]
    env: Mapping[str, str]
    cwd: Path
    log: Path
    restart: Restart | None = None
    ready: Callable[[], Awaitable[None]] | None = None
    ready_within: float = 30.0
    grace: float = 5.0
    log_limit: int = 16 << 20

    def __post_init__(self) -> None:
        if not self.name or not self.argv:
            raise InvalidArgument("CHILD_SPEC_INVALID", field="argv", remedy="name the child and its program")


class ChildState(StrEnum):
    """Where a child is in its life."""

    STARTING = "starting"
    RUNNING = "running"
    BACKOFF = "backoff"
    STOPPING = "stopping"
    ENDED = "ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exit:
    """How a child ended for good.

    Attributes:
        code: exit code of its last process; None if a signal ended it, or if it could not be started again.
        signal: number of the signal that ended it, or None.
        stopped: it was asked to end, by `stop` or by the supervisor's close.
        reason: one sentence for people.
        last_words: the end of its log, at most 2 KiB; for the platform's log, not for callers.
    """

    code: int | None
    signal: int | None
    stopped: bool
    reason: str
    last_words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildStatus:
    """One line of a status table.

    Attributes:
        name: the child's.
        state: where it is in its life.
        pid: None while no process runs.
        restarts: how often it was started again.
        up: seconds since its process was started; None while no process runs.
    """

    name: str
    state: ChildState
    pid: int | None
    restarts: int
    up: float | None


class Child:
    """One supervised child; `Supervisor.start` makes it."""

    def __init__(
        self, spec: ChildSpec, *, clock: Clock, random: Random, changed: Callable[[ChildStatus], None] | None = None
    ) -> None:
        loop = asyncio.get_running_loop()
        self.spec = spec
        self.state = ChildState.STARTING
        self._changed = changed
        self.restarts = 0
        self._clock = clock
        self._budget = RestartBudget(spec.restart, random) if spec.restart else None
        self._process: Process | None = None
        self._since = 0.0
        self._asked = asyncio.Event()
        self._grace = spec.grace
        self._settled: asyncio.Future[SynapseError | None] = loop.create_future()
        self._exit: asyncio.Future[Exit] = loop.create_future()

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def pid(self) -> int | None:
        """The process's id; None while none runs."""
        return self._process.pid if self._process else None

    async def wait(self) -> Exit:
        """How the child ended, once it has ended for good."""
        return await asyncio.shield(self._exit)

    async def stop(self, grace: float | None = None) -> Exit:
        """Ask the child to end (SIGTERM), and kill it and its process group `grace` seconds later if it has not.

        A later call may cut the grace to nothing, as a second Ctrl-C does.
        """
        if grace is not None:
            self._grace = grace
        self._asked.set()
        if self._grace <= 0 and self._process:
            self._process.kill()
        return await self.wait()

    def status(self) -> ChildStatus:
        """Where the child is now."""
        up = self._clock.monotonic() - self._since if self._process else None
        return ChildStatus(name=self.name, state=self.state, pid=self.pid, restarts=self.restarts, up=up)

    async def settled(self) -> SynapseError | None:
        """Return once its first process has become ready; or why that never happened, once the child has ended."""
        return await asyncio.shield(self._settled)

    async def live(self) -> None:
        """The whole life of the child."""
        try:
            ended = await self._run_once()
            while (delay := self._delay()) is not None:
                _log.warning("%s; starting it again in %.2f s", self._sentence(ended), delay)
                self._enter(ChildState.BACKOFF)
                await self._wait_for(self._asked.wait(), self._clock.sleep(delay))
                if self._asked.is_set():
                    break
                self.restarts += 1
                ended = await self._run_once()
            self._finish(ended)
        finally:
            if self._process:
                self._process.kill()
            if not self._exit.done():
                self._finish(Unavailable("CHILD_ABANDONED", f"{self.name} is no longer supervised"))

    def _enter(self, state: ChildState) -> None:
        self.state = state
        if self._changed:
            self._changed(self.status())

    def _delay(self) -> float | None:
        """Seconds until the next start; None if there is none: asked to end, never ready, not to be restarted, or spent."""
        ready_once = self._settled.done() and self._settled.result() is None
        if self._asked.is_set() or not ready_once or self._budget is None:
            return None
        return self._budget.next_delay(self._clock.monotonic())

    async def _run_once(self) -> Ended | SynapseError:
        """One process, from its launch to its end; or why there was none."""
        spec = self.spec
        try:
            process = launch(spec.argv, env=spec.env, cwd=spec.cwd, log=spec.log, log_limit=spec.log_limit)
        except SynapseError as error:
            return error
        self._process, self._since = process, self._clock.monotonic()
        self._enter(ChildState.STARTING)
        unready = await self._attend(process)
        self._process = None
        return process.ended.result() if unready is None or self._asked.is_set() else unready

    async def _attend(self, process: Process) -> SynapseError | None:
        """Make the process ready and wait until it ends; end it when asked to, or if it does not become ready, and say why."""
        unready = await self._become_ready(process)
        if unready is None:
            self._enter(ChildState.RUNNING)
            if not self._settled.done():
                self._settled.set_result(None)
            await self._wait_for(process.ended, self._asked.wait())
        if not process.ended.done():
            self._enter(ChildState.STOPPING)
            process.terminate()
            await self._wait_for(process.ended, self._clock.sleep(self._grace))
            process.kill()
            await process.ended
        return unready

    async def _become_ready(self, process: Process) -> SynapseError | None:
        """None once the process is ready; or why it is not, when it ended, was asked to end, or took too long."""
        late = asyncio.ensure_future(self._clock.sleep(self.spec.ready_within))
        try:
            await self._wait_for(process.executed, self._asked.wait(), late)
            if process.executed.done() and not process.executed.result():
                await self._wait_for(process.ended, late)
            executed = process.executed.done() and process.executed.result()
            if executed and (self.spec.ready is None or await self._is_ready(self.spec.ready, process, late)):
                return None
            why = self._why_unready(process)
        except SynapseError as error:
            why = error.public
        except Exception as error:  # noqa: BLE001  whatever the owner's probe raises, the child must be ended
            _log.exception("%s cannot be asked whether it is ready", self.name)
            why = f"cannot be asked whether it is ready: {type(error).__name__}"
        finally:
            late.cancel()
        return Unavailable(
            "CHILD_NOT_READY",
            f"{self.name} {why}",
            remedy=f"see {self.spec.log.name} in the data folder",
            secret=last_words(self.spec.log),
        )

    async def _is_ready(self, ready: Callable[[], Awaitable[None]], process: Process, late: asyncio.Future[None]) -> bool:
        probe = asyncio.ensure_future(ready())
        try:
            await self._wait_for(probe, process.ended, self._asked.wait(), late)
            if probe.done():
                await probe
            return probe.done() and not process.ended.done()
        finally:
            probe.cancel()

    def _why_unready(self, process: Process) -> str:
        if process.ended.done():
            return f"{process.ended.result()} before it was ready"
        if self._asked.is_set():
            return "was stopped before it was ready"
        return f"was not ready within {self.spec.ready_within:g} s"

    async def _wait_for(self, *events: Awaitable[object]) -> None:
        """Return when the first of `events` happens; futures are left alone, coroutines cancelled."""
        tasks = [event if isinstance(event, asyncio.Future) else asyncio.ensure_future(event) for event in events]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task, event in zip(tasks, events, strict=True):
                if task is not event:
                    task.cancel()

    def _sentence(self, ended: Ended | SynapseError) -> str:
        return ended.message if isinstance(ended, SynapseError) else f"{self.name} {ended}"

    def _finish(self, ended: Ended | SynapseError) -> None:
        self._enter(ChildState.ENDED)
        process = ended if isinstance(ended, Ended) else Ended(code=None, signal=None)
        stopped = self._asked.is_set()
        reason = f"{self.name} was stopped" if stopped else self._sentence(ended)
        if not stopped and self._budget is not None and self._settled.done():
            reason += ", and its restarts are spent"
        self._exit.set_result(
            Exit(code=process.code, signal=process.signal, stopped=stopped, reason=reason, last_words=last_words(self.spec.log))
        )
        if not self._settled.done():
            self._settled.set_result(ended if isinstance(ended, SynapseError) else Unavailable("CHILD_NOT_READY", reason))
