"""Two coordinators that race for the same models on one database, each losing its leases again and again without a notion."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection

from synapsenet.adapters.sql.coordination import open_coordination
from synapsenet.adapters.sql.inference import SqlInferenceWork
from synapsenet.adapters.sql.inference import metadata as inference_metadata
from synapsenet.adapters.sql.lifecycle import SqlLifecycleWork, metadata
from synapsenet.adapters.sql.locks import SqlLocks
from synapsenet.adapters.sql.work import CommitContext
from synapsenet.clock import SystemClock
from synapsenet.ids import RandomIds
from synapsenet.lifecycle.audit import Entry
from synapsenet.lifecycle.model import Caller, Json
from synapsenet.lifecycle.options import LifecycleOptions
from synapsenet.lifecycle.ports import Fences, LifecycleWork, Participant, StepCall
from synapsenet.lifecycle.sagas import SAGAS
from synapsenet.lifecycle.service import Lifecycle, compose
from synapsenet.lifecycle.table import MACHINE
from synapsenet.lifecycle.wishes import DeployWish, Patience
from synapsenet.platform.locks import Held, Locks
from synapsenet.platform.participation import StepCall as CallOfPart
from synapsenet.platform.work import ANONYMOUS, WorkFactory
from synapsenet.testing.lifecycle_history import Holding, Write
from tests.chaos.lifecycle.killed import log_of
from tests.chaos.lifecycle.scripts import Library, Script
from tests.chaos.lifecycle.theatre import Player, players, written
from tests.contract.databases import sqlite_records

T = TypeVar("T")

CLOCK = SystemClock()
OPTIONS = LifecycleOptions(
    lease_s=5.0, sweep_s=0.02, first_pause_s=0.01, longest_pause_s=0.05, records_pause_s=0.05, release_s=0.05
)
FORGOTTEN_S = 0.08
RACERS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What was written down of a race."""

    entries: list[Entry]
    writes: list[Write]
    holdings: list[Holding]
    routes: dict[str, dict[str, float]]


class Believed(Held):
    """A lock whose holder is told nothing any more, as a process that is stopped."""

    def __init__(self, name: str, token: int) -> None:
        self.name = name
        self.token = token

    def check(self) -> None:
        return None

    async def lost(self) -> None:
        await asyncio.Event().wait()


class ForgetfulLocks(Locks):
    """The real ones, given on to others after a moment though their holder goes on; every holding is noted."""

    def __init__(self, inner: Locks, seed: int) -> None:
        self._inner = inner
        self._random = random.Random(seed)
        self.holdings: list[Holding] = []

    @asynccontextmanager
    async def _held(self, name: str, holder: str, ttl: float, wait: float) -> AsyncIterator[Held]:
        real = self._inner.hold(name, holder=holder, ttl=ttl, wait=wait)
        held = await real.__aenter__()
        since, moment = time.monotonic(), self._random.uniform(0, FORGOTTEN_S)
        given_up = asyncio.Event()

        async def forget() -> None:
            await asyncio.wait([asyncio.ensure_future(given_up.wait())], timeout=moment)
            until = time.monotonic()
            self.holdings.append(Holding(model_id=name, token=held.token, since=since, until=until))
            await real.__aexit__(None, None, None)

        forgetting = asyncio.create_task(forget())
        try:
            yield Believed(name, held.token)
        finally:
            given_up.set()
            await forgetting

    def hold(self, name: str, *, holder: str, ttl: float, wait: float) -> AbstractAsyncContextManager[Held]:
        return self._held(name, holder, ttl, wait)


class OpenDoors(ForgetfulLocks):
    """The mutant without a lock: whoever comes is let in, with a token of their own."""

    def __init__(self, inner: Locks, seed: int) -> None:
        super().__init__(inner, seed)
        self._tokens = itertools.count(1)

    @asynccontextmanager
    async def _held(self, name: str, holder: str, ttl: float, wait: float) -> AsyncIterator[Held]:
        token, since = next(self._tokens), time.monotonic()
        try:
            yield Believed(name, token)
        finally:
            self.holdings.append(Holding(model_id=name, token=token, since=since, until=time.monotonic()))


class NotingFences(Fences):
    """Keeps what was claimed, for who notes it once the commit is sure."""

    def __init__(self, inner: Fences) -> None:
        self._inner = inner
        self.claimed: list[tuple[str, int]] = []

    def claim(self, model_id: str, token: int) -> bool:
        passed = self._inner.claim(model_id, token)
        if passed:
            self.claimed.append((model_id, token))
        return passed


class NoFences(Fences):
    """The mutant without a fence at the coordinator's database."""

    def claim(self, model_id: str, token: int) -> bool:
        return True


class UnfencedWork(SqlLifecycleWork):
    def __init__(self, connection: Connection, context: CommitContext) -> None:
        super().__init__(connection, context)
        self.fences: Fences = NoFences()


class UncomparedWork(SqlLifecycleWork):
    """The mutant without compare-and-set: the newest writer wins."""

    def __init__(self, connection: Connection, context: CommitContext) -> None:
        super().__init__(connection, context)
        compare_version, compare_operation = self.versions.replace, self.operations.replace

        def replace_version(status: Any, *, sequence: int) -> bool:
            now = self.versions.find(status.model_id, status.version)
            return compare_version(status, sequence=now.sequence if now else sequence)

        def replace_operation(operation: Any, *, revision: int) -> bool:
            now = self.operations.find(operation.id)
            return compare_operation(operation, revision=now.revision if now else revision)

        self.versions.replace = replace_version  # type: ignore[method-assign]  # that is the mutation
        self.operations.replace = replace_operation  # type: ignore[method-assign]  # that is the mutation


class UnfencedParts(SqlInferenceWork):
    """The mutant of participants that believe whoever comes."""

    def __init__(self, connection: Connection, context: CommitContext) -> None:
        super().__init__(connection, context)
        self.step_notes.claim = lambda model_id, fence: True  # type: ignore[method-assign]  # that is the mutation
        self.step_notes.fence = lambda model_id: 0  # type: ignore[method-assign]  # that is the mutation


class NotingWork(WorkFactory[LifecycleWork]):
    """Notes in the order of the commits with which fence each came."""

    def __init__(self, inner: WorkFactory[LifecycleWork]) -> None:
        self._inner = inner
        self.writes: list[Write] = []

    async def run(self, commit: Callable[[LifecycleWork], T]) -> T:
        def noted(tx: LifecycleWork) -> T:
            tx.fences = fences = NotingFences(tx.fences)
            made = commit(tx)
            self.writes += [Write(taker="lifecycle", model_id=of, fence=token) for of, token in fences.claimed]
            return made

        return await self._inner.run(noted)

    async def read(self, query: Callable[[LifecycleWork], T]) -> T:
        return await self._inner.read(query)


class Slow(Participant):
    """A participant on the other side of a wire that takes its time."""

    def __init__(self, player: Player, seed: int) -> None:
        self._player = player
        self._random = random.Random(seed)

    async def prepare(self, call: StepCall, *, fence: int, timeout: float) -> Json:
        await self._travel()
        return await self._player.prepare(_part(call), fence=fence)

    async def execute(self, call: StepCall, *, fence: int, timeout: float) -> Json:
        await self._travel()
        return (await self._player.execute(_part(call), fence=fence)).result

    async def compensate(self, call: StepCall, compensation_input: Json, *, fence: int, timeout: float) -> None:
        await self._travel()
        await self._player.compensate(_part(call), compensation_input, fence=fence)

    async def _travel(self) -> None:
        await asyncio.sleep(self._random.uniform(0, FORGOTTEN_S / 4))


def _part(call: StepCall) -> CallOfPart:
    return CallOfPart(
        operation_id=call.operation_id,
        step=call.step,
        saga=call.saga,
        saga_version=call.saga_version,
        model_id=call.model_id,
        version=call.version,
        input=call.input,
    )


@dataclass(slots=True, kw_only=True)
class Race:
    """What a race is run with; a mutant changes one of these.

    Attributes:
        unit: the coordinator's unit of work.
        parts: the participants' unit of work.
        locks: who serializes.
    """

    unit: Callable[[Connection, CommitContext], SqlLifecycleWork] = SqlLifecycleWork
    parts: Callable[[Connection, CommitContext], SqlInferenceWork] = SqlInferenceWork
    locks: Callable[[Locks, int], ForgetfulLocks] = ForgetfulLocks
    seed: int = 1
    models: int = 3
    rounds: int = 12
    scripts: list[Script] = field(default_factory=list)

    async def run(self, folder: Path) -> Record:
        """Race to the end, and until every operation has ended."""
        self.scripts = [
            Script(saga="deploy", fails_at=fails, number=n) for n in range(self.models) for fails in ("", "warm_up")
        ]
        async with AsyncExitStack() as stack:
            records = sqlite_records(folder)
            sql = await stack.enter_async_context(records("lifecycle", metadata=metadata, unit=self.unit, clock=CLOCK))
            effects = await stack.enter_async_context(
                records("inference", metadata=inference_metadata, unit=self.parts, clock=CLOCK)
            )
            coordination = await stack.enter_async_context(open_coordination(folder / "coordination.sqlite"))
            locks = self.locks(SqlLocks(coordination, CLOCK), self.seed)
            work, cast = NotingWork(sql), players(effects)
            racers = []
            for number in range(RACERS):
                participants = {player.name: Slow(player, self.seed + number) for player in cast}
                racers.append(await stack.enter_async_context(_racer(work, sql.feed, locks, participants, str(number))))
            await asyncio.gather(*(self._drive(racers, script) for script in self.scripts))
            await _settle(work)
            for player in cast:
                await player.close()
            routes = {script.model_id: dict(script.routes) for script in self.scripts}
            held = [holding for holding in locks.holdings if holding.model_id.startswith("model/")]
            return Record(
                entries=await log_of(sql.feed), writes=[*work.writes, *await written(effects)], holdings=held, routes=routes
            )

    async def _drive(self, racers: list[Lifecycle], script: Script) -> None:
        chance = random.Random(self.seed * 1_000 + script.number)
        for version in script.states:
            await racers[0].coordinator.adopt(script.model_id, version, Caller())
        for _ in range(self.rounds):
            wishes = list(self._wishes(racers, script.model_id, chance))
            await asyncio.gather(*wishes, return_exceptions=True)
            await asyncio.sleep(chance.uniform(0, FORGOTTEN_S))

    def _wishes(self, racers: list[Lifecycle], model_id: str, chance: random.Random) -> Iterator[Any]:
        version, patience = chance.choice((1, 2)), Patience(wait=0.0)
        what = chance.choice(("deploy", "deprecate", "restore"))
        for racer in racers:
            coordinator = racer.coordinator
            if what == "deploy":
                yield coordinator.deploy(model_id, version, DeployWish(), Caller(), patience, ANONYMOUS)
            else:
                said: dict[str, Any] = {"condition": None, "caller": Caller(), "patience": patience, "request": ANONYMOUS}
                yield coordinator.transition(model_id, version, what, **said)


@asynccontextmanager
async def _racer(
    work: WorkFactory[LifecycleWork], feed: Any, locks: Locks, participants: Mapping[str, Participant], name: str
) -> AsyncIterator[Lifecycle]:
    lifecycle = compose(
        MACHINE,
        SAGAS,
        work=work,
        feed=feed,
        locks=locks,
        catalogue=Library(),
        participants=participants,
        clock=CLOCK,
        ids=RandomIds("op"),
        options=OPTIONS,
        holder=name,
    )
    tasks = [asyncio.create_task(run()) for run in (lifecycle.runner.keep, lifecycle.runner.listen)]
    try:
        yield lifecycle
    finally:
        await lifecycle.runner.stop()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _settle(work: NotingWork) -> None:
    until = time.monotonic() + 20.0
    while await work.read(lambda tx: tx.operations.unended()) and time.monotonic() < until:
        await asyncio.sleep(0.05)
