"""News of a deployment that come while it is being worked on here: they are acted on as soon as that has ended."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, TypeVar

from synapsenet.clock import SystemClock
from synapsenet.inference.following import Follower, Steps
from synapsenet.inference.model import BatchingPolicy, Deployment, DeploymentState, VersionKey
from synapsenet.inference.options import InferenceOptions
from synapsenet.inference.residents import Residents
from synapsenet.platform.events import Event, EventFeed

T = TypeVar("T")
SOON_S = 5.0
FIRST = Deployment(
    key=VersionKey("mdl-1", 1),
    model_name="digits",
    state=DeploymentState.LOADING,
    artifact_sha256="0" * 64,
    artifact_size=1,
    artifact_format="onnx",
    batching=BatchingPolicy(),
    relaxed=False,
    pinned=False,
    order=1,
    deployed_at=datetime(2026, 1, 1, 12, tzinfo=UTC),
)


class Records:
    """What is recorded; a read of it takes as long as `gate` is closed."""

    def __init__(self) -> None:
        self.recorded = FIRST
        self.gate = asyncio.Event()
        self.gate.set()

    async def run(self, commit: Callable[[Any], T]) -> T:
        raise AssertionError("a follower records nothing")

    async def read(self, query: Callable[[Any], T]) -> T:
        of_now = self.recorded
        await self.gate.wait()
        return query(SimpleNamespace(deployments=SimpleNamespace(all=lambda: [of_now]), routes=SimpleNamespace(all=list)))


class Feed(EventFeed):
    """News that say only that something may have changed."""

    def __init__(self) -> None:
        self._news: asyncio.Queue[Event] = asyncio.Queue()

    async def read(self, *, after: int, limit: int, aggregate: str = "") -> Sequence[Event]:
        return ()

    async def newest(self) -> int:
        return 0

    async def watch(self, *, after: int, aggregate: str = "") -> AsyncIterator[Event]:
        while True:
            yield await self._news.get()


class Stage:
    """A follower whose steps end when they are allowed to."""

    def __init__(self) -> None:
        self.records = Records()
        self.taken: list[int] = []
        self.may_end = asyncio.Event()
        self.changed_here = asyncio.Lock()
        residents = Residents(max_models=3, max_bytes=10)
        steps = Steps(
            is_busy=lambda key: self.changed_here.locked(),
            until_idle=self._until_idle,
            take_up=self._take_up,
            let_go=self._take_up,
            heard=lambda: None,
        )
        clock = SystemClock()
        options = InferenceOptions()
        self.follower = Follower(work=self.records, feed=Feed(), residents=residents, clock=clock, options=options, steps=steps)

    async def _until_idle(self, key: VersionKey) -> None:
        async with self.changed_here:
            pass

    async def _take_up(self, deployment: Deployment) -> None:
        self.taken.append(deployment.attempt)
        await self.may_end.wait()

    async def until_taken(self, *attempts: int) -> None:
        async with asyncio.timeout(SOON_S):
            while self.taken != list(attempts):
                await asyncio.sleep(0)


@asynccontextmanager
async def following() -> AsyncIterator[Stage]:
    stage = Stage()
    task = asyncio.create_task(stage.follower.run())
    try:
        yield stage
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await stage.follower.stop()


async def test_a_step_that_ends_while_the_records_are_read_is_followed_by_the_next() -> None:
    async with following() as stage:
        await stage.until_taken(0)
        stage.records.recorded = replace(FIRST, attempt=1)
        stage.records.gate.clear()
        reading = asyncio.create_task(stage.follower.catch_up())
        await asyncio.sleep(0)
        stage.may_end.set()
        while stage.follower.is_following("mdl-1"):
            await asyncio.sleep(0)
        stage.records.gate.set()
        await reading
        await stage.until_taken(0, 1)


async def test_what_is_recorded_during_a_step_is_taken_up_after_it() -> None:
    async with following() as stage:
        await stage.until_taken(0)
        stage.records.recorded = replace(FIRST, attempt=1)
        await stage.follower.catch_up()
        assert stage.taken == [0]
        stage.may_end.set()
        await stage.until_taken(0, 1)


async def test_what_is_recorded_while_something_else_changes_the_version_here_is_taken_up_after_that() -> None:
    async with following() as stage:
        stage.may_end.set()
        await stage.until_taken(0)
        async with stage.changed_here:
            stage.records.recorded = replace(FIRST, attempt=1)
            await stage.follower.catch_up()
            assert stage.taken == [0]
        await stage.until_taken(0, 1)
