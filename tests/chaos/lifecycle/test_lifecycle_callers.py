"""Several processes with several threads each that want the same of one model at one instant: one wins, the others are told."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from synapsenet_api.lifecycle.v1.operation_pb2 import OperationState
from synapsenet_client import Client, connect
from tests.chaos.lifecycle.callers import Callers, Heard, Wish, callers
from tests.chaos.lifecycle.conftest import Judge
from tests.chaos.lifecycle.killed import run_coordinator, run_participants
from tests.chaos.lifecycle.lives import Life, reborn
from tests.chaos.lifecycle.scripts import MOVED, Script
from tests.chaos.lifecycle.stores import Places
from tests.chaos.lifecycle.troubles import Kind, Trouble
from tests.chaos.lifecycle.verdicts import check

PROCESSES, THREADS = 3, 4
SLOW_S = 1.0
ENDED_S = 30.0
BUSY = frozenset({"MODEL_BUSY", "TRANSITION_NOT_ALLOWED", "VERSION_BUSY"})
"""What those are told who come second: while the first is at work, or after its end."""

SUCCEEDED = OperationState.OPERATION_STATE_SUCCEEDED
COMPENSATED = OperationState.OPERATION_STATE_COMPENSATED


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callers]:
    with callers(PROCESSES, tmp_path_factory.mktemp("callers")) as several:
        yield several


@dataclass(frozen=True, slots=True, kw_only=True)
class Scripted:
    """A coordinator of scripted models that is served."""

    coordinator: Life
    participants: Life
    target: str
    client: Client

    def slow(self, **steps: Script) -> None:
        """Have steps take their time, `execute_load=script`."""
        self.participants.ask(
            "trouble",
            {
                script.model_id: [Trouble(what=name.replace("_", " ", 1), kind=Kind.SLOW, seconds=SLOW_S)]
                for name, script in steps.items()
            },
        )

    def ends(self, operation_id: str) -> OperationState.ValueType:
        return self.client.lifecycle.wait_operation(operation_id, timeout=ENDED_S).state

    def begun(self, script: Script) -> str:
        """The id of an operation that has begun."""
        for version in script.states:
            self.client.lifecycle.status(script.model_id, version)
        return str(self.client.lifecycle.deploy(script.model_id, MOVED).id)

    def asked(self, script: Script, what: str) -> None:
        """Return once a participant was asked for `what`."""
        until = time.monotonic() + ENDED_S
        while (script.model_id, what) not in self.participants.ask("calls"):
            assert time.monotonic() < until
            time.sleep(0.02)


@pytest.fixture
def scripted(tmp_path: Path) -> Iterator[Scripted]:
    places = Places(folder=tmp_path)
    with ExitStack() as stack:
        participants = stack.enter_context(reborn(run_participants, places)).life
        coordinator = stack.enter_context(reborn(run_coordinator, places)).life
        target = coordinator.ask("serve")
        client = stack.enter_context(connect(target))
        yield Scripted(coordinator=coordinator, participants=participants, target=target, client=client)


def deploying(script: Script, *, request_id: str = "", **named: object) -> Wish:
    return Wish(method="deploy", arguments=(script.model_id, MOVED), named={"request_id": request_id, **named})


def told(heard: Sequence[Heard]) -> Counter[str]:
    """How often what was answered: operations by id, refusals by reason."""
    return Counter(one.operation_id or one.reason for one in heard)


def test_the_same_wish_sent_by_many_at_once_begins_one_operation(scripted: Scripted, crowd: Callers, judge: Judge) -> None:
    script = Script(saga="deploy", fails_at="", number=1)
    heard = crowd.race([deploying(script, request_id="wish")] * THREADS, scripted.target)
    (operation_id,) = told(heard)  # every one of them was told of the same
    assert scripted.ends(operation_id) == SUCCEEDED
    again = crowd.race([deploying(script, request_id="wish")], scripted.target)
    assert {*told(again)} == {operation_id}
    assert [one.id for one in scripted.client.lifecycle.list_operations()] == [operation_id]
    fault = f"one wish sent {len(heard)} times at once, and {len(again)} times after its end"
    check(judge, fault, len(heard), scripted.coordinator, scripted.participants, [script.model_id])


def test_of_two_wishes_with_one_id_sent_at_once_one_begins_and_the_other_is_refused(
    scripted: Scripted, crowd: Callers, judge: Judge
) -> None:
    script = Script(saga="deploy", fails_at="", number=1)
    wishes = [deploying(script, request_id="wish", replicas=number % 2) for number in range(THREADS)]
    heard = crowd.race(wishes, scripted.target)
    (operation_id,) = {one.operation_id for one in heard if one.operation_id}
    assert told(heard) == {operation_id: len(heard) // 2, "REQUEST_ID_REUSED": len(heard) // 2}
    assert {one.status for one in heard if one.reason} == {"AlreadyExists"}
    assert scripted.ends(operation_id) == SUCCEEDED
    fault = f"one id for two wishes, sent {len(heard)} times at once"
    check(judge, fault, len(heard), scripted.coordinator, scripted.participants, [script.model_id])


def test_of_many_deployments_of_one_model_at_once_one_wins(scripted: Scripted, crowd: Callers, judge: Judge) -> None:
    script = Script(saga="deploy", fails_at="", number=1)
    scripted.slow(execute_load=script)
    heard = crowd.race([deploying(script)] * THREADS, scripted.target)
    (operation_id,) = {one.operation_id for one in heard if one.operation_id}
    assert told(heard)[operation_id] == 1
    assert {one.reason for one in heard if one.reason} <= BUSY
    assert scripted.ends(operation_id) == SUCCEEDED
    fault = f"{len(heard)} deployments of one model at once"
    check(judge, fault, len(heard), scripted.coordinator, scripted.participants, [script.model_id])


def test_what_is_cancelled_by_many_on_its_way_forward_or_back_is_undone(
    scripted: Scripted, crowd: Callers, judge: Judge
) -> None:
    forward, back = (Script(saga="deploy", fails_at=fails_at, number=1) for fails_at in ("", "warm_up"))
    scripted.slow(execute_load=forward, compensate_load=back)
    operations = {script: scripted.begun(script) for script in (forward, back)}
    for script, what in ((forward, "execute load"), (back, "compensate load")):
        scripted.asked(script, what)
    cancels = [Wish(method="cancel_operation", arguments=(operation_id,)) for operation_id in operations.values()]
    heard = crowd.race(cancels, scripted.target)
    assert {*told(heard)} <= {*operations.values(), "OPERATION_ENDED", "OPERATION_CHANGED"}
    assert {*operations.values()} <= {*told(heard)}
    for script, operation_id in operations.items():
        assert scripted.ends(operation_id) == COMPENSATED
        states = {version: scripted.client.lifecycle.status(script.model_id, version).state for version in script.states}
        assert states == script.states, "it is not as before"
    models = [script.model_id for script in operations]
    fault = f"cancelled {len(heard)} times, forward and back"
    check(judge, fault, len(heard), scripted.coordinator, scripted.participants, models)
