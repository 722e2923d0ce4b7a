"""What a coordinator is tried with: a registry and participants whose behaviour a test says, and everything else real."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from synapsenet.clock import Clock
from synapsenet.errors import FailedPrecondition, NotFound, SynapseError
from synapsenet.ids import RandomIds
from synapsenet.lifecycle.guards import VersionFacts
from synapsenet.lifecycle.machine import StateMachine
from synapsenet.lifecycle.model import Caller, Json, Operation, OperationState, VersionStatus
from synapsenet.lifecycle.options import LifecycleOptions
from synapsenet.lifecycle.ports import Catalogue, LifecycleWork, Participant, StepCall
from synapsenet.lifecycle.saga import SagaCatalogue
from synapsenet.lifecycle.sagas import INFERENCE, REGISTRY, SAGAS
from synapsenet.lifecycle.service import Lifecycle, compose
from synapsenet.lifecycle.table import MACHINE
from synapsenet.lifecycle.wishes import DeployWish, Patience
from synapsenet.platform.events import EventFeed
from synapsenet.platform.locks import Locks
from synapsenet.platform.work import ANONYMOUS, Request, WorkFactory

MODEL = "mdl-00000000000000d1"
DEADLINE = 30.0
OPTIONS = LifecycleOptions(
    lease_s=1.0, sweep_s=0.05, first_pause_s=0.01, longest_pause_s=0.05, records_pause_s=0.05, compensation_attempts=3
)


class Shelf(Catalogue):
    """A registry of versions that all have an artifact, and stand where it is told.

    Attributes:
        shown: the state that it was last told for each version.
        left: versions that a former release left in the shelf's state.
    """

    def __init__(self, *, state: str = "registered") -> None:
        self.state = state
        self.artifact = "ab" * 32
        self.aliases: tuple[str, ...] = ()
        self.shown: dict[int, VersionStatus] = {}
        self.left: tuple[int, ...] = ()
        self.away: SynapseError | None = None
        self._news = asyncio.Event()

    async def shows(self, status: VersionStatus) -> None:
        """Return when it was told of `status`."""
        while self.shown.get(status.version) != status:
            self._news.clear()
            await self._news.wait()

    async def find(self, model: str, version: int) -> VersionFacts:
        if version > 90:
            raise NotFound("VERSION_UNKNOWN", f"model digits has no version {version}")
        return VersionFacts(
            model_id=await self.model_id(model),
            model_name="digits",
            version=version,
            state=self.state,
            artifact_sha256=self.artifact,
            aliases=self.aliases,
        )

    async def model_id(self, model: str) -> str:
        return MODEL if model == "digits" else model

    async def untold(self, states: frozenset[str], *, limit: int) -> Sequence[VersionFacts]:
        if self.away is not None:
            raise self.away
        untold = [version for version in self.left if version not in self.shown and self.state in states]
        return [await self.find(MODEL, version) for version in untold[:limit]]

    async def keep(self, status: VersionStatus) -> None:
        if self.away is not None:
            raise self.away
        self.shown[status.version] = status
        self._news.set()


@dataclass
class Troupe(Participant):
    """Participants that note what they are asked for, and do as a test says.

    Attributes:
        calls: what was asked, `execute load` and so on, in order.
        acts: what happens instead of success, by the same names; called each time, it may raise or wait.
        results: what steps give.
        fence: the highest seen; lower ones are refused.
    """

    calls: list[str] = field(default_factory=list)
    acts: dict[str, Callable[[StepCall], object]] = field(default_factory=dict)
    results: dict[str, Json] = field(default_factory=dict)
    handed_back: dict[str, Json] = field(default_factory=dict)
    fence: int = 0
    news: asyncio.Event = field(default_factory=asyncio.Event)

    async def asked(self, what: str) -> None:
        """Return as soon as it was asked for `what`, `execute load`."""
        while what not in self.calls:
            self.news.clear()
            await self.news.wait()

    async def prepare(self, call: StepCall, *, fence: int, timeout: float) -> Json:
        await self._act("prepare", call, fence)
        return {"before": call.step}

    async def execute(self, call: StepCall, *, fence: int, timeout: float) -> Json:
        await self._act("execute", call, fence)
        if call.step == "shift_traffic" and call.step not in self.results:
            return {"traffic": call.input.get("traffic") or {str(call.version): 1.0}}
        return self.results.get(call.step, {})

    async def compensate(self, call: StepCall, compensation_input: Json, *, fence: int, timeout: float) -> None:
        self.handed_back[call.step] = compensation_input
        await self._act("compensate", call, fence)

    def done(self, what: str) -> list[str]:
        """The steps that were asked to `what`, in order."""
        return [call.removeprefix(f"{what} ") for call in self.calls if call.startswith(f"{what} ")]

    async def _act(self, what: str, call: StepCall, fence: int) -> None:
        if fence < self.fence:
            raise FailedPrecondition("FENCED", f"{fence} is lower than {self.fence}")
        self.fence = fence
        name = f"{what} {call.step}"
        self.calls.append(name)
        self.news.set()
        if (act := self.acts.get(name)) is not None and asyncio.iscoroutine(waiting := act(call)):
            await waiting


def failing(error: SynapseError, times: int = 1_000_000) -> Callable[[StepCall], object]:
    """An act that raises `error` so often, and succeeds after that."""
    left = [times]

    def act(_call: StepCall) -> None:
        if left[0] > 0:
            left[0] -= 1
            raise error

    return act


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A coordinator at work."""

    work: WorkFactory[LifecycleWork]
    lifecycle: Lifecycle
    shelf: Shelf
    troupe: Troupe

    async def deploy(self, version: int, wish: DeployWish | None = None, request: Request = ANONYMOUS) -> Operation:
        """A deployment that has begun."""
        return await self.lifecycle.coordinator.deploy(
            "digits", version, wish or DeployWish(), Caller(actor="ada", reason="because"), Patience(), request
        )

    async def ended(self, operation: Operation) -> Operation:
        """The operation at its end."""
        ended = await self.lifecycle.desk.wait(operation.id, timeout=DEADLINE)
        assert ended.state.has_ended, ended.state
        return ended

    async def until(self, operation: Operation, state: OperationState) -> Operation:
        """The operation as soon as it is in `state`."""
        async with asyncio.timeout(DEADLINE):
            async for now in self.lifecycle.desk.watch(operation.id):
                if now.state is state:
                    return now
        raise AssertionError(f"it never was {state}")

    async def states(self) -> dict[int, str]:
        """The state of each version that the coordinator knows."""
        statuses = await self.statuses()
        return {status.version: status.state for status in statuses}

    async def statuses(self) -> Sequence[VersionStatus]:
        return await self.work.read(lambda tx: tx.versions.of(MODEL))

    async def status(self, version: int) -> VersionStatus:
        return next(status for status in await self.statuses() if status.version == version)


@asynccontextmanager
async def staged(
    work: WorkFactory[LifecycleWork],
    feed: EventFeed,
    locks: Locks,
    clock: Clock,
    *,
    shelf: Shelf | None = None,
    troupe: Troupe | None = None,
    machine: StateMachine = MACHINE,
    sagas: SagaCatalogue = SAGAS,
    options: LifecycleOptions = OPTIONS,
) -> AsyncIterator[Stage]:
    """A coordinator with its background work inside an `async with`; none of that may end by itself."""
    shelf, troupe = shelf or Shelf(), troupe or Troupe()
    players: Mapping[str, Participant] = {INFERENCE: troupe, REGISTRY: troupe}
    lifecycle = compose(
        machine,
        sagas,
        work=work,
        feed=feed,
        locks=locks,
        catalogue=shelf,
        participants=players,
        clock=clock,
        ids=RandomIds("op"),
        options=options,
        holder="test",
    )
    tasks = [asyncio.create_task(run()) for run in (lifecycle.runner.keep, lifecycle.runner.listen, lifecycle.projector.run)]
    try:
        yield Stage(work=work, lifecycle=lifecycle, shelf=shelf, troupe=troupe)
        for task in tasks:
            assert not task.done(), task.exception()
    finally:
        await lifecycle.runner.stop()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
