"""The processes that die: a coordinator, and the participants of its sagas, each with its records and a pipe to the test.

They are forked from a server that has imported everything, so that a life costs what opening a database costs. The wrappers
that kill stand around what `compose` is given; the coordinator itself is the product's.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from multiprocessing.connection import Connection
from typing import Any, TypeVar

import grpc

from synapsenet.adapters.sql.inference import SqlInferenceWork
from synapsenet.adapters.sql.inference import metadata as inference_metadata
from synapsenet.clock import SystemClock
from synapsenet.errors import Aborted, SynapseError, Unavailable
from synapsenet.ids import RandomIds
from synapsenet.lifecycle.audit import Entry, entry_of
from synapsenet.lifecycle.model import Caller, Json, Operation, VersionStatus
from synapsenet.lifecycle.options import LifecycleOptions
from synapsenet.lifecycle.ports import LifecycleWork, Participant, StepCall
from synapsenet.lifecycle.saga import Saga, SagaCatalogue
from synapsenet.lifecycle.sagas import INFERENCE, REGISTRY, SAGAS
from synapsenet.lifecycle.service import Lifecycle, compose
from synapsenet.lifecycle.table import MACHINE
from synapsenet.platform.events import EventFeed
from synapsenet.platform.work import Request, WorkFactory
from synapsenet.testing.lifecycle_history import Write
from synapsenet_api.lifecycle.v1.lifecycle_service_pb2_grpc import add_LifecycleServiceServicer_to_server
from synapsenet_servers.bootstrap.participation import participation
from synapsenet_servers.bootstrap.role import Service
from synapsenet_servers.peers.lifecycle import GrpcParticipant
from synapsenet_servers.server import Server
from synapsenet_servers.server_options import ServerOptions
from synapsenet_servers.servicers.lifecycle import Coordination
from tests.chaos.lifecycle.points import Gate, Point, die, recorded
from tests.chaos.lifecycle.scripts import Library, Script
from tests.chaos.lifecycle.stores import Places, opened
from tests.chaos.lifecycle.theatre import Player, players, written
from tests.chaos.lifecycle.troubles import Told, Trouble
from tests.contract.databases import sqlite_records

T = TypeVar("T")
Commands = dict[str, Callable[..., Awaitable[Any]]]

CLOCK = SystemClock()
POSITIONED_S = 10.0
LONGEST_WAIT_S = 30.0
OPTIONS = LifecycleOptions(lease_s=1.0, sweep_s=0.1, first_pause_s=0.4, longest_pause_s=0.8, records_pause_s=0.1)
RECONNECT = [
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 2_000),  # how long an attempt may take, on a busy machine
    ("grpc.max_reconnect_backoff_ms", 200),
]


class MortalWork(WorkFactory[LifecycleWork]):
    """Commits as the real one does, unless the process dies on the way."""

    def __init__(self, work: WorkFactory[LifecycleWork], gate: Gate) -> None:
        self._work = work
        self._gate = gate
        self.refused = 0

    async def run(self, commit: Callable[[LifecycleWork], T]) -> T:
        if not self._gate.awaits_commits:
            return await self._run(commit)
        # What was about to be written is written, though whoever asked for it may hear first that its lease is gone.
        running = asyncio.ensure_future(self._run(commit))
        running.add_done_callback(_let_go)
        return await asyncio.shield(running)

    async def _run(self, commit: Callable[[LifecycleWork], T]) -> T:
        await self._before(commit)

        def dying(tx: LifecycleWork) -> T:
            try:
                made = commit(tx)
            except Aborted as refusal:
                self.refused += refusal.reason == "MODEL_TAKEN_OVER"
                raise
            if isinstance(made, Operation) and self._gate.is_inside(made.model_id, recorded(made)):
                die()
            return made

        made = await self._work.run(dying)
        if isinstance(made, Operation):
            await self._gate.pass_by(made.model_id, recorded(made), "after")
        return made

    async def read(self, query: Callable[[LifecycleWork], T]) -> T:
        return await self._work.read(query)

    async def _before(self, commit: Callable[[LifecycleWork], object]) -> None:
        """Find out what a commit is about to record, by one that is rolled back."""
        if not self._gate.awaits_commits:
            return

        def rehearsal(tx: LifecycleWork) -> None:
            raise _Rehearsed(commit(tx))

        made: object = None
        try:
            await self._work.run(rehearsal)
        except _Rehearsed as rehearsed:
            made = rehearsed.args[0]
        except SynapseError:
            return  # the commit itself will say so
        if isinstance(made, Operation):
            await self._gate.pass_by(made.model_id, recorded(made), "before")
            if self._gate.is_inside(made.model_id, recorded(made)):
                await self._gate.until_last(made.model_id)


def _let_go(running: asyncio.Future[T]) -> None:
    """Take note of how something ended that nobody may wait for any more."""
    if not running.cancelled():
        running.exception()


class _Rehearsed(Exception):
    """What a commit would have given."""


class MortalParticipant(Participant):
    """Asks the real one, unless the process dies before or after."""

    def __init__(self, inner: Participant, gate: Gate) -> None:
        self._inner = inner
        self._gate = gate

    async def prepare(self, call: StepCall, *, fence: int, timeout: float) -> Json:
        return await self._asked("prepare", call, self._inner.prepare(call, fence=fence, timeout=timeout))

    async def execute(self, call: StepCall, *, fence: int, timeout: float) -> Json:
        return await self._asked("execute", call, self._inner.execute(call, fence=fence, timeout=timeout))

    async def compensate(self, call: StepCall, compensation_input: Json, *, fence: int, timeout: float) -> None:
        undoing = self._inner.compensate(call, compensation_input, fence=fence, timeout=timeout)
        await self._asked("compensate", call, undoing)

    async def _asked(self, direction: str, call: StepCall, asking: Coroutine[Any, Any, T]) -> T:
        what = f"{direction} {call.step}"
        try:
            await self._gate.pass_by(call.model_id, what, "before")
        except BaseException:
            asking.close()
            raise
        on_the_wire = asyncio.ensure_future(asking)  # it arrives even if whoever sent it gives up
        on_the_wire.add_done_callback(_let_go)
        try:
            answer = await asyncio.shield(on_the_wire)
        except SynapseError:
            await self._gate.pass_by(call.model_id, what, "after")
            raise
        await self._gate.pass_by(call.model_id, what, "after")
        return answer


class Mortal:
    """A coordinator in the middle of its process."""

    def __init__(self, lifecycle: Lifecycle, work: MortalWork, gate: Gate, stack: AsyncExitStack) -> None:
        self._stack = stack
        self._lifecycle = lifecycle
        self._work = work
        self._gate = gate

    async def begin(self, deadlines: dict[str, Point], fate: int = signal.SIGKILL) -> list[str]:
        """Begin the operations of scripted models, each to meet `fate` at its point; the ids of those that began."""
        self._gate.set(deadlines, fate)
        begun = await asyncio.gather(*(self._begin(Script.of(model_id)) for model_id in deadlines), return_exceptions=True)
        return [str(one) for one in begun]

    async def _begin(self, script: Script) -> str:
        statuses = [await self._lifecycle.coordinator.adopt(script.model_id, one, Caller()) for one in script.states]
        draft = script.draft(f"op-{script.model_id}", statuses[-1])
        request = Request(f"begin-{script.model_id}", b"it")
        return (await self._lifecycle.runner.begin(draft, request, expected=None, wait=0.0)).id

    async def settle(self, seconds: float) -> list[str]:
        """Wait until every operation has ended; those that have not within `seconds`."""
        until = CLOCK.monotonic() + seconds
        while left := await self._unended():
            if CLOCK.monotonic() > until:
                return left
            await asyncio.sleep(0.02)
        return []

    async def _unended(self) -> list[str]:
        try:
            left = await self._work.read(lambda tx: tx.operations.unended())
        except Unavailable as away:
            return [away.public]
        return [f"{operation.title} is {operation.state.value}" for operation in left]

    async def serve(self) -> str:
        """Answer calls from now on as the platform does; the address."""
        server = Server(coordination(self._lifecycle), ["127.0.0.1:0"], options=ServerOptions(drain_s=0.1))
        await self._stack.enter_async_context(server.serving())
        return f"127.0.0.1:{server.ports[0]}"

    async def refusals(self) -> int:
        """How often the database refused this process because another had taken a model over."""
        return self._work.refused

    async def entries(self) -> list[Entry]:
        """Its whole log, once the newest of what its records tell of has its position there, or it takes too long."""
        until = CLOCK.monotonic() + POSITIONED_S
        while True:
            found = await log_of(self._lifecycle.feed)
            newest = {entry.model_id: entry.sequence for entry in found}
            kept = [one for model_id in newest for one in await self._versions(model_id)]
            if all(one.sequence <= newest[one.model_id] for one in kept) or CLOCK.monotonic() > until:
                return found
            await asyncio.sleep(0.05)

    async def _versions(self, model_id: str) -> Sequence[VersionStatus]:
        return await self._work.read(lambda tx: tx.versions.of(model_id))


async def log_of(feed: EventFeed) -> list[Entry]:
    """A coordinator's log, as the audit reads it."""
    found: list[Entry] = []
    newest, after = await feed.newest(), 0
    while after < newest:
        events = await feed.read(after=after, limit=1_000)
        after = events[-1].position
        found += [entry_of(event) for event in events]
    return found


@asynccontextmanager
async def coordinating(
    places: Places, gate: Gate, *, options: LifecycleOptions = OPTIONS, sagas: SagaCatalogue = SAGAS
) -> AsyncIterator[Mortal]:
    """A coordinator at work inside an `async with`."""
    async with AsyncExitStack() as stack:
        work, locks = await stack.enter_async_context(opened(places))
        channel = await stack.enter_async_context(grpc.aio.insecure_channel(places.socket, options=RECONNECT))
        mortal = MortalWork(work, gate)
        asked = {name: MortalParticipant(GrpcParticipant(name, channel), gate) for name in (INFERENCE, REGISTRY)}
        lifecycle = compose(
            MACHINE,
            sagas,
            work=mortal,
            feed=work.feed,
            locks=locks,
            catalogue=Library(),
            participants=asked,
            clock=CLOCK,
            ids=RandomIds("op"),
            options=options,
            holder=str(os.getpid()),
        )
        runs = (lifecycle.runner.keep, lifecycle.runner.listen, lifecycle.projector.run)
        tasks = [asyncio.create_task(run()) for run in runs]
        try:
            async with AsyncExitStack() as served:
                yield Mortal(lifecycle, mortal, gate, served)
        finally:
            await lifecycle.runner.stop()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def answer(connection: Connection, commands: Commands) -> None:
    """Do what the test says, until it says nothing more."""
    loop = asyncio.get_running_loop()
    connection.send("ready")
    while True:
        try:
            name, arguments = await loop.run_in_executor(None, connection.recv)
        except EOFError:
            return
        try:
            given = await commands[name](*arguments)
        except SynapseError as error:
            given = error.public
        connection.send(given)


def coordination(lifecycle: Lifecycle) -> list[Service]:
    """The coordinator on the wire."""
    servicer = Coordination(lifecycle, longest_wait_s=LONGEST_WAIT_S)
    name = "synapsenet.lifecycle.v1.LifecycleService"
    return [Service(name=name, servicer=servicer, add=add_LifecycleServiceServicer_to_server)]


def run_coordinator(
    connection: Connection, places: Places, *, options: LifecycleOptions = OPTIONS, sagas: Sequence[Saga] = SAGAS.all()
) -> None:
    """A coordinator's process."""

    async def run() -> None:
        async with coordinating(places, Gate({}), options=options, sagas=SagaCatalogue(sagas)) as mortal:
            commands = ("begin", "settle", "entries", "refusals", "serve")
            await answer(connection, {name: getattr(mortal, name) for name in commands})

    asyncio.run(run())


def run_participants(connection: Connection, places: Places) -> None:
    """The participants' process."""

    async def run() -> None:
        records = sqlite_records(places.folder)
        async with records("inference", metadata=inference_metadata, unit=SqlInferenceWork, clock=CLOCK) as work:
            cast: Sequence[Player] = players(work)

            async def doom(deadlines: dict[str, Point]) -> None:
                Player.gate.set(deadlines)

            async def halt(deadlines: dict[str, Point]) -> None:
                Player.gate.set(deadlines, signal.SIGSTOP)

            async def trouble(troubles: dict[str, list[Trouble]]) -> None:
                Player.troubles.set(troubles)

            async def calls() -> dict[Told, int]:
                return dict(Player.troubles.calls)

            async def refusals() -> int:
                return Player.refused

            async def writes() -> list[Write]:
                return await written(work)

            server = Server([participation(cast)], [places.socket], options=ServerOptions(drain_s=0.1))
            async with server.serving():
                commands: Commands = {
                    "doom": doom,
                    "halt": halt,
                    "trouble": trouble,
                    "calls": calls,
                    "writes": writes,
                    "refusals": refusals,
                }
                await answer(connection, commands)
            for player in cast:
                await player.close()

    asyncio.run(run())
