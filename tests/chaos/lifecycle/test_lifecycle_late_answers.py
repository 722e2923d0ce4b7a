"""Calls whose deadline passes though the step is done: repeated, they are answered from the record; nothing happens twice."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from synapsenet.lifecycle.sagas import COORDINATOR, SAGAS
from synapsenet_api.lifecycle.v1.operation_pb2 import Operation, OperationState
from synapsenet_client import connect
from tests.chaos.lifecycle.conftest import Judge
from tests.chaos.lifecycle.killed import OPTIONS, run_coordinator, run_participants
from tests.chaos.lifecycle.lives import Life, reborn
from tests.chaos.lifecycle.points import NOWHERE, Point
from tests.chaos.lifecycle.scripts import Script
from tests.chaos.lifecycle.stores import Places
from tests.chaos.lifecycle.troubles import Kind, Trouble
from tests.chaos.lifecycle.verdicts import check

DEADLINE_S = 3.0
LATE_S = DEADLINE_S + 1.0
SETTLED_S = 40.0
HASTY = tuple(
    replace(saga, steps=tuple(replace(step, timeout=timedelta(seconds=DEADLINE_S)) for step in saga.steps))
    for saga in SAGAS.all()
)

UNTROUBLED = replace(OPTIONS, lease_s=60.0)
"""It is the deadline that ends a call, and not the loss of a lease on a busy machine."""


def late_calls() -> Iterator[tuple[Script, str]]:
    """A model for every step of every saga, and for undoing each, whose first call is answered too late."""
    number = 0
    for saga in HASTY:
        remote = [step for step in saga.steps if step.participant != COORDINATOR]
        for step in remote:
            number += 1
            yield Script(saga=saga.name, fails_at="", number=number), f"execute {step.name}"
        for step in remote:
            if step.compensation:
                number += 1
                yield Script(saga=saga.name, fails_at=remote[-1].name, number=number), f"compensate {step.name}"


def done_once(participants: Life, asked: Mapping[str, str]) -> None:
    """Each call was repeated, and did what it does once."""
    calls = participants.ask("calls")
    done = Counter((write.model_id, write.step) for write in participants.ask("writes"))
    for model_id, what in asked.items():
        assert calls[model_id, what] >= 2, (model_id, what)
        failed = Script.of(model_id).fails_at == what.removeprefix("execute ")
        assert done[model_id, what] == (0 if failed else 1), (model_id, what)


def timed_out(operation: Operation, what: str) -> bool:
    """Whether an attempt at it failed of its deadline."""
    direction, _, name = what.partition(" ")
    step = next(step for step in operation.steps if step.name == name)
    return bool(step.attempts if direction == "execute" else step.compensation_attempts)


def operations_of(coordinator: Life, models: Iterable[str]) -> dict[str, Operation]:
    with connect(coordinator.ask("serve")) as client:
        return {model_id: client.lifecycle.get_operation(f"op-{model_id}") for model_id in models}


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(folder=tmp_path)


def test_every_step_that_answers_after_its_deadline_has_been_done_once(places: Places, judge: Judge) -> None:
    asked = {script.model_id: what for script, what in late_calls()}
    late = {of: [Trouble(what=what, kind=Kind.LATE, seconds=LATE_S)] for of, what in asked.items()}
    with (
        reborn(run_participants, places) as participants,
        reborn(partial(run_coordinator, sagas=HASTY, options=UNTROUBLED), places) as coordinator,
    ):
        participants.life.ask("trouble", late)
        coordinator.life.ask("begin", dict.fromkeys(asked, NOWHERE))
        assert coordinator.life.ask("settle", SETTLED_S) == []
        operations = operations_of(coordinator.life, asked)
        done_once(participants.life, asked)
        check(judge, f"answers later than {DEADLINE_S} s", len(asked), coordinator.life, participants.life, asked)
    for model_id, what in asked.items():
        assert timed_out(operations[model_id], what), (model_id, what)
        if what.startswith("execute"):
            assert operations[model_id].state == OperationState.OPERATION_STATE_SUCCEEDED


def test_participants_that_stand_still_between_doing_and_answering_have_done_it_once(places: Places, judge: Judge) -> None:
    asked = {
        Script(saga="deploy", fails_at="", number=1): "execute load",
        Script(saga="roll_back", fails_at="", number=2): "execute shift_traffic",
        Script(saga="deploy", fails_at="warm_up", number=3): "compensate load",
    }
    points = {at.model_id: Point(saga=at.saga, fails_at=at.fails_at, what=what, when="after") for at, what in asked.items()}
    with (
        reborn(run_participants, places) as participants,
        reborn(partial(run_coordinator, sagas=HASTY, options=UNTROUBLED), places) as coordinator,
    ):
        participants.life.ask("halt", points)
        coordinator.life.ask("begin", dict.fromkeys(points, NOWHERE))
        participants.life.until_stopped()
        time.sleep(LATE_S)
        participants.life.resume()
        assert coordinator.life.ask("settle", SETTLED_S) == []
        operations = operations_of(coordinator.life, points)
        done_once(participants.life, {model_id: point.what for model_id, point in points.items()})
        check(judge, "participants stopped (SIGSTOP) past deadlines", 1, coordinator.life, participants.life, points)
    assert all(timed_out(operations[model_id], point.what) for model_id, point in points.items())
