"""A machine of states beside the coordinator, over both databases: whatever is asked in whatever order, they agree."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from synapsenet.adapters.sql.coordination import open_coordination
from synapsenet.adapters.sql.lifecycle import SqlLifecycleWork, metadata
from synapsenet.adapters.sql.locks import SqlLocks
from synapsenet.adapters.sql.postgres_options import PostgresOptions
from synapsenet.adapters.sql.work import SqlWork
from synapsenet.clock import SystemClock
from synapsenet.errors import DataLoss, FailedPrecondition, InvalidArgument
from synapsenet.lifecycle.audit import audit
from synapsenet.lifecycle.model import Caller, OperationState
from synapsenet.lifecycle.table import MACHINE
from synapsenet.lifecycle.wishes import DeployWish, Patience, ValidationWish
from synapsenet.platform.work import Request
from synapsenet.testing.lifecycle_stage import DEADLINE, Stage, Troupe, failing, staged
from tests.chaos.lifecycle.killed import log_of
from tests.chaos.lifecycle.scripts import Library, Script
from tests.contract.databases import OpenRecords, schema_records, sqlite_records
from tests.postgres_server import postgres_server

T = TypeVar("T")

CLOCK = SystemClock()
VERSIONS = (1, 2)
EXAMPLES, STEPS = 25, 25
RARELY = range(40, 55)
SAGA_EVENTS = sorted({rule.event for rule in MACHINE.rules if rule.saga and rule.event != "deprecate"})
PLAIN_EVENTS = sorted({rule.event for rule in MACHINE.rules if not rule.saga and not rule.by_saga})


class World:
    """One coordinator for all examples, each of which has a model of its own."""

    def __init__(self, records: OpenRecords, folder: Path) -> None:
        self._records = records
        self._folder = folder
        self._loop = asyncio.new_event_loop()
        self._stack = AsyncExitStack()
        self.models = 0

    def run(self, work: Awaitable[T]) -> T:
        async def bounded() -> T:
            async with asyncio.timeout(DEADLINE):
                return await work

        return self._loop.run_until_complete(bounded())

    async def open(self) -> None:
        enter = self._stack.enter_async_context
        self.work: SqlWork[SqlLifecycleWork] = await enter(
            self._records("lifecycle", metadata=metadata, unit=SqlLifecycleWork, clock=CLOCK)
        )
        coordination = await enter(open_coordination(self._folder / "coordination.sqlite"))
        self.troupe = Troupe()
        locks: Any = SqlLocks(coordination, CLOCK)
        shelf: Any = Shelves()
        self.stage: Stage = await enter(staged(self.work, self.work.feed, locks, CLOCK, shelf=shelf, troupe=self.troupe))

    def close(self) -> None:
        self._loop.run_until_complete(self._stack.aclose())
        self._loop.close()


class Shelves(Library):
    """A registry in which every version stands at the beginning, with an artifact."""

    async def find(self, model: str, version: int) -> Any:
        facts = await super().find(Script(saga="deploy", fails_at="", number=0).model_id, version)
        return replace(facts, model_id=model, model_name=model, state=MACHINE.initial)


class Oracle(RuleBasedStateMachine):
    """The model: a dictionary of states, moved by the table alone."""

    world: World
    seen: ClassVar[set[str]] = set()

    @initialize()
    def begin(self) -> None:
        self.world.models += 1
        self.model = f"mdl-oracle-{self.world.models}"
        self.world.troupe.fence = 0  # each model has its own
        self.requests = 0
        self.states = dict.fromkeys(VERSIONS, MACHINE.initial)
        self.last: tuple[int, str, Request] | None = None
        for version in VERSIONS:
            self.world.run(self.world.stage.lifecycle.coordinator.adopt(self.model, version, Caller()))

    @rule(version=st.sampled_from(VERSIONS), choice=st.integers(0, 100), fails=st.booleans())
    def what_is_allowed(self, version: int, choice: int, fails: bool) -> None:
        allowed = MACHINE.allowed(self.states[version])
        if choice not in RARELY:  # else most lives would be short
            allowed = tuple(event for event in allowed if event != "archive")
        if not allowed:
            return
        event = allowed[choice % len(allowed)]
        if event in SAGA_EVENTS:
            self.operate(version, event, fails)
        else:
            self.transition(version, event)
        self.seen.add(event)

    @rule(version=st.sampled_from(VERSIONS), event=st.sampled_from(PLAIN_EVENTS))
    def transition(self, version: int, event: str) -> None:
        self.requests += 1
        self.last = (version, event, Request(f"{self.model}/{self.requests}", event.encode()))
        allowed = event in MACHINE.allowed(self.states[version])
        expected = self._target(version, event) if allowed else None
        takes_steps = allowed and MACHINE.rule(self.states[version], event, title="").saga
        self._asked(self._transition(*self.last), refused=not allowed or bool(takes_steps))
        if expected is not None and not takes_steps:
            self.states[version] = expected

    @rule()
    def the_same_again(self) -> None:
        if self.last is not None and self.states[self.last[0]] != "serving":
            before = dict(self.states)
            try:
                self.world.run(self._transition(*self.last))
            except (FailedPrecondition, InvalidArgument):
                assert before == self.states  # it was refused before, too

    @rule(version=st.sampled_from(VERSIONS), event=st.sampled_from(SAGA_EVENTS), fails=st.booleans())
    def operate(self, version: int, event: str, fails: bool) -> None:
        begin = self._begin(version, event)
        if event not in MACHINE.allowed(self.states[version]):
            self._asked(begin, refused=True)
            return
        saga = self.world.stage.lifecycle.sagas[event]
        remote = [step for step in saga.steps if step.participant != "lifecycle"][-1]
        self.world.troupe.acts = {f"execute {remote.name}": failing(DataLoss("BROKEN", "it is"))} if fails else {}
        ended = self.world.run(self._ended(begin))
        self.world.troupe.acts = {}
        assert ended.state is (OperationState.COMPENSATED if fails else OperationState.SUCCEEDED)
        self._moved(version, event, fails)

    def _moved(self, version: int, event: str, fails: bool) -> None:
        found = MACHINE.rule(self.states[version], event, title="")
        through = MACHINE.states[found.target].timeout is not None
        if fails:
            self.states[version] = MACHINE.failure_exit(found.target).target if through else self.states[version]
            return
        ends_with = self.world.stage.lifecycle.sagas[event].ends_with
        self.states[version] = MACHINE.ending(found.target, ends_with).target if ends_with else found.target
        if self.world.stage.lifecycle.sagas[event].retires:
            for other in VERSIONS:
                if other != version and self.states[other] == "serving":
                    self.states[other] = "registered"

    def _target(self, version: int, event: str) -> str:
        return MACHINE.rule(self.states[version], event, title="").target

    def _asked(self, call: Awaitable[Any], *, refused: bool) -> None:
        try:
            self.world.run(call)
        except (FailedPrecondition, InvalidArgument):
            assert refused
        else:
            assert not refused

    def _transition(self, version: int, event: str, request: Request) -> Awaitable[Any]:
        said: dict[str, Any] = {"condition": None, "caller": Caller(), "patience": Patience(), "request": request}
        return self.world.stage.lifecycle.coordinator.transition(self.model, version, event, **said)

    def _begin(self, version: int, event: str) -> Awaitable[Any]:
        coordinator, given = self.world.stage.lifecycle.coordinator, (Caller(), Patience(), Request())
        calls: dict[str, Callable[[], Awaitable[Any]]] = {
            "deploy": lambda: coordinator.deploy(self.model, version, DeployWish(), *given),
            "promote": lambda: coordinator.promote(self.model, version, DeployWish(), *given),
            "validate": lambda: coordinator.validate(self.model, version, ValidationWish(), *given),
            "roll_back": lambda: coordinator.roll_back(self.model, version, *given),
            "undeploy": lambda: coordinator.undeploy(self.model, version, *given),
            "archive": lambda: coordinator.archive(self.model, version, *given),
        }
        return calls[event]()

    async def _ended(self, begin: Awaitable[Any]) -> Any:
        return await self.world.stage.ended(await begin)

    @invariant()
    def they_agree(self) -> None:
        if not hasattr(self, "model"):
            return
        kept = self.world.run(self.world.work.read(lambda tx: tx.versions.of(self.model)))
        assert {status.version: status.state for status in kept} == self.states
        assert not any(status.operation_id for status in kept)


@pytest.fixture(params=["sqlite", "postgres"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    folder = Path(tempfile.mkdtemp(prefix="oracle-"))
    with AsyncServer(request.param, folder) as records:
        opened = World(records, folder)
        opened.run(opened.open())
        yield opened
        opened.close()
    shutil.rmtree(folder, ignore_errors=True)


class AsyncServer:
    """The database of one kind inside a `with`."""

    def __init__(self, kind: str, folder: Path) -> None:
        self._server = postgres_server() if kind == "postgres" else None
        self._folder = folder

    def __enter__(self) -> OpenRecords:
        if self._server is None:
            return sqlite_records(self._folder)
        return schema_records(PostgresOptions(url=self._server.__enter__().url), self._folder)

    def __exit__(self, *what: Any) -> None:
        if self._server is not None:
            self._server.__exit__(*what)


def test_the_coordinator_agrees_with_the_table_whatever_is_asked(world: World) -> None:
    Oracle.seen.clear()
    run_state_machine_as_test(
        type("OracleOfThisWorld", (Oracle,), {"world": world}),
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )
    assert audit(MACHINE, world.run(log_of(world.work.feed))).all == ()
    assert Oracle.seen >= {*SAGA_EVENTS}, "some saga was never begun"
