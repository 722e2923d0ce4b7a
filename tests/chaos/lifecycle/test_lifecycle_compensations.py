"""Undoing that fails: it is tried on though its coordinator dies, calls for attention, and ends by itself or by a person."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from synapsenet_api.lifecycle.v1.operation_pb2 import Operation, OperationState
from synapsenet_client import Aborted, Client, FailedPrecondition, connect
from tests.chaos.lifecycle.conftest import Judge
from tests.chaos.lifecycle.killed import OPTIONS, run_coordinator, run_participants
from tests.chaos.lifecycle.lives import Reborn, reborn
from tests.chaos.lifecycle.points import NOWHERE
from tests.chaos.lifecycle.scripts import MOVED, Script
from tests.chaos.lifecycle.stores import Places
from tests.chaos.lifecycle.troubles import FOR_EVER, Kind, Trouble
from tests.chaos.lifecycle.verdicts import check

ENDED_S = 30.0
LOOK_S = 0.02
WORRYING = OPTIONS.compensation_attempts
UNDOING = "compensate load"

A_FEW = Script(saga="deploy", fails_at="warm_up", number=1)
MANY = Script(saga="deploy", fails_at="warm_up", number=2)
FOR_GOOD = Script(saga="deploy", fails_at="warm_up", number=3)
UNTIL_REPAIRED = Script(saga="deploy", fails_at="warm_up", number=4)
KILLS = 2
FAILURES = {A_FEW: 2, MANY: WORRYING + 2, FOR_GOOD: FOR_EVER, UNTIL_REPAIRED: FOR_EVER}

COMPENSATED = OperationState.OPERATION_STATE_COMPENSATED
NEEDS_ATTENTION = OperationState.OPERATION_STATE_NEEDS_ATTENTION


def troubles(failing: dict[Script, int]) -> dict[str, list[Trouble]]:
    return {script.model_id: [Trouble(what=UNDOING, kind=Kind.FAILS, times=times)] for script, times in failing.items()}


def operation_id(script: Script) -> str:
    return f"op-{script.model_id}"


def until(client: Client, script: Script, holds: Callable[[Operation], bool]) -> Operation:
    """The operation of a model as soon as that holds of it."""
    end = time.monotonic() + ENDED_S
    while not holds(operation := client.lifecycle.get_operation(operation_id(script))):
        assert time.monotonic() < end, operation
        time.sleep(LOOK_S)
    return operation


def tried(operation: Operation) -> int:
    """How often undoing it failed."""
    return next(step.compensation_attempts for step in operation.steps if step.name == "load")


@contextmanager
def serving(coordinator: Reborn) -> Iterator[Client]:
    with connect(coordinator.life.ask("serve")) as client:
        yield client


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(folder=tmp_path)


def test_undoing_that_fails_goes_on_after_kill_9_and_calls_for_attention(places: Places, judge: Judge) -> None:
    models = [script.model_id for script in FAILURES]
    with reborn(run_participants, places) as participants, reborn(run_coordinator, places) as coordinator:
        participants.life.ask("trouble", troubles(FAILURES))
        coordinator.life.ask("begin", dict.fromkeys(models, NOWHERE))
        with serving(coordinator) as client:
            before = until(client, FOR_GOOD, lambda operation: tried(operation) >= 2)
            assert before.state == OperationState.OPERATION_STATE_COMPENSATING
        coordinator.life.kill()  # it pauses between two attempts
        coordinator.again()
        with serving(coordinator) as client:
            after = client.lifecycle.get_operation(operation_id(FOR_GOOD))
            assert tried(after) >= tried(before), "the attempts of before do not count"
            for script in (FOR_GOOD, UNTIL_REPAIRED):
                _calls_for_attention(client, script)
        coordinator.life.kill()
        coordinator.again()
        with serving(coordinator) as client:
            until(client, FOR_GOOD, lambda operation: tried(operation) > WORRYING)
            for script in (A_FEW, MANY):
                undone = until(client, script, lambda operation: operation.state == COMPENSATED)
                # Of a failure that was not yet recorded when its coordinator died nobody knows.
                assert FAILURES[script] - KILLS <= tried(undone) <= FAILURES[script]
            _resolved(client, FOR_GOOD)
            participants.life.ask("trouble", troubles({FOR_GOOD: FOR_EVER}))
            client.lifecycle.retry_compensation(operation_id(UNTIL_REPAIRED))
            until(client, UNTIL_REPAIRED, lambda operation: operation.state == COMPENSATED)
            _goes_on(client, FOR_GOOD)
        assert coordinator.life.ask("settle", ENDED_S) == []
        fault = f"coordinator killed while undoing failed {', '.join(map(str, (2, WORRYING + 2)))} times and for ever"
        check(judge, fault, KILLS, coordinator.life, participants.life, models)


def _calls_for_attention(client: Client, script: Script) -> None:
    worrying = until(client, script, lambda operation: operation.state == NEEDS_ATTENTION)
    assert tried(worrying) >= WORRYING
    status = client.lifecycle.status(script.model_id, MOVED)
    assert status.condition.needs_attention
    assert status.condition.operation_id == operation_id(script)
    assert operation_id(script) in [one.id for one in client.lifecycle.list_operations(states=["NEEDS_ATTENTION"])]
    with pytest.raises((Aborted, FailedPrecondition)):  # half undone is no place to begin from
        client.lifecycle.promote(script.model_id, 1)


def _resolved(client: Client, script: Script) -> None:
    with pytest.raises(FailedPrecondition) as refusal:
        client.lifecycle.resolve_operation(operation_id(A_FEW), "it needs no attention")
    assert refusal.value.reason == "OPERATION_NEEDS_NO_ATTENTION"
    resolved = client.lifecycle.resolve_operation(operation_id(script), "unloaded by hand")
    assert resolved.state == OperationState.OPERATION_STATE_RESOLVED
    assert resolved.resolution == "unloaded by hand"
    status = client.lifecycle.status(script.model_id, MOVED)
    assert (status.state, status.operation_id) == ("registered", "")
    assert client.lifecycle.status(script.model_id, 1).state == "serving"


def _goes_on(client: Client, script: Script) -> None:
    """The model is free for other operations, as soon as who held it has noticed."""
    end = time.monotonic() + ENDED_S
    begun = None
    while begun is None:
        try:
            begun = client.lifecycle.promote(script.model_id, 1)
        except Aborted:
            assert time.monotonic() < end
            time.sleep(LOOK_S)
    ended = client.lifecycle.wait_operation(begun.id, timeout=ENDED_S)
    assert ended.state == OperationState.OPERATION_STATE_SUCCEEDED
