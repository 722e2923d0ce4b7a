"""What a replica does about a deployment that another replica has changed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from synapsenet.clock import Clock
from synapsenet.errors import SynapseError
from synapsenet.inference.model import Deployment, DeploymentState, VersionKey
from synapsenet.inference.options import InferenceOptions
from synapsenet.inference.ports import InferenceWork
from synapsenet.inference.residents import Residents
from synapsenet.platform.events import EventFeed
from synapsenet.platform.work import WorkFactory


class Step(Enum):
    """The next step of one replica towards what is recorded."""

    NOTHING = auto()
    NOTE = auto()
    """Know it as it is recorded."""
    LET_GO = auto()
    """Answer what was accepted, and forget it: it was ended."""


def next_step(known: Deployment | None, recorded: Deployment | None, *, loaded: bool) -> Step:
    """What to do where `known` is what this replica knows, `loaded` says whether it is in memory here.

    Another replica's trouble in loading is not ours: what is in memory serves on.
    """
    if known is None:
        return Step.NOTHING if recorded is None else Step.NOTE
    if recorded is None:
        return Step.LET_GO
    if not recorded.is_same_as(known) or (recorded.attempt, recorded.stage) != (known.attempt, known.stage):
        return Step.NOTE
    if recorded.state is known.state:
        return Step.NOTHING
    if recorded.state is DeploymentState.FAILED and loaded:
        return Step.NOTHING
    return Step.NOTE


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """How a replica takes its steps.

    Attributes:
        is_busy: whether a deployment is being changed here.
        until_idle: returns when it is not.
        take_up: does what has been noted, and says what came of it.
        let_go: answers what a model that is recorded no more had accepted, and forgets it.
        heard: told of every news, as it may be about another replica.
    """

    is_busy: Callable[[VersionKey], bool]
    until_idle: Callable[[VersionKey], Coroutine[Any, Any, None]]
    take_up: Callable[[Deployment], Coroutine[Any, Any, None]]
    let_go: Callable[[Deployment], Coroutine[Any, Any, None]]
    heard: Callable[[], None]


class Follower:
    """Brings what one replica knows in line with the records."""

    def __init__(
        self,
        *,
        work: WorkFactory[InferenceWork],
        feed: EventFeed,
        residents: Residents,
        clock: Clock,
        options: InferenceOptions,
        steps: Steps,
    ) -> None:
        self._work = work
        self._feed = feed
        self._residents = residents
        self._clock = clock
        self._options = options
        self._steps = steps
        self._one_at_a_time = asyncio.Lock()
        self._under_way: dict[asyncio.Task[None], VersionKey] = {}
        self._missed: dict[VersionKey, asyncio.Task[None]] = {}
        self._again = asyncio.Event()

    async def run(self) -> None:
        """Hear what other replicas do, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._hear_all(), name="news of other replicas")
            tasks.create_task(self._catch_up_again(), name="news that were missed")

    async def _catch_up_again(self) -> None:
        while True:
            await self._again.wait()
            self._again.clear()
            try:
                await self.catch_up()
            except SynapseError:
                await self._clock.sleep(self._options.retry_first_s)
                self._again.set()

    async def _hear_all(self) -> None:
        while True:
            try:
                newest = await self._feed.newest()
                await self.catch_up()
                async for _ in self._feed.watch(after=newest):
                    self._steps.heard()
                    await self.catch_up()
            except SynapseError:  # trimmed behind us, or away
                await self._clock.sleep(self._options.retry_first_s)

    async def catch_up(self) -> None:
        """Know what is recorded now, and begin to load or to let go what another replica has changed."""
        async with self._one_at_a_time:
            known = {deployment.key: deployment for deployment, _ in self._residents}
            busy = {key for key in known if self._is_busy(key)}
            deployments, routes = await self._work.read(lambda tx: (tx.deployments.all(), tx.routes.all()))
            for one in routes:
                self._residents.route(one)
            recorded = {one.key: one for one in deployments}
            for key in known.keys() | recorded.keys():
                if key in busy or self._is_busy(key) or self._residents.deployment(key) is not known.get(key):
                    self._miss(key)  # it is being changed here, or was while the records were read
                    continue
                step = next_step(known.get(key), recorded.get(key), loaded=self._residents.resident(key) is not None)
                self._take(step, known.get(key), recorded.get(key))

    async def hear(self, model: str) -> None:
        """Catch up, and wait for the steps that this or other news began for `model`, an id or a name.

        It is no longer waited than `inference.follow_s`.
        """
        await self.catch_up()
        if under_way := self._steps_of(model):
            await asyncio.wait(under_way, timeout=self._options.follow_s)

    def is_following(self, model: str) -> bool:
        """Whether what another replica changed of `model` is being taken up or let go here."""
        return bool(self._steps_of(model))

    async def stop(self) -> None:
        """Give up what is under way."""
        tasks = [*self._under_way, *self._missed.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _is_busy(self, key: VersionKey) -> bool:
        return self._steps.is_busy(key) or key in self._under_way.values()

    def _take(self, step: Step, known: Deployment | None, recorded: Deployment | None) -> None:
        if step is Step.LET_GO and known is not None:
            self._begin(known.key, self._steps.let_go(known))
        if step is Step.NOTE and recorded is not None:
            self._residents.note(recorded)
            self._begin(recorded.key, self._steps.take_up(recorded))

    def _steps_of(self, model: str) -> list[asyncio.Task[None]]:
        keys = self._residents.keys(model)
        return [task for task, key in self._under_way.items() if key in keys]

    def _begin(self, key: VersionKey, step: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(step, name=f"following {key}")
        self._under_way[task] = key
        task.add_done_callback(self._under_way.__delitem__)

    def _miss(self, key: VersionKey) -> None:
        """News of `key` could not be acted on: have them looked at again as soon as they can, be that at once."""
        if key not in self._missed:
            self._missed[key] = asyncio.create_task(self._look_again(key), name=f"news of {key} that were missed")

    async def _look_again(self, key: VersionKey) -> None:
        try:
            while self._is_busy(key):
                if under_way := [task for task, of in self._under_way.items() if of == key]:
                    await asyncio.wait(under_way)
                await self._steps.until_idle(key)
        finally:
            del self._missed[key]
        self._again.set()
