"""What the audit of a recorded history finds, each thing alone."""

from __future__ import annotations

import pytest

from synapsenet.lifecycle.audit import Entry, Move, Progress, audit
from synapsenet.lifecycle.model import OperationState
from synapsenet.lifecycle.table import MACHINE
from synapsenet.testing.lifecycle_history import Holding, Write, overlaps, refusable, unserved

RUNNING, COMPENSATED, SUCCEEDED = OperationState.RUNNING, OperationState.COMPENSATED, OperationState.SUCCEEDED


def move(version: int, source: str, event: str, target: str, operation: str = "") -> Move:
    return Move(version=version, source=source, event=event, target=target, operation_id=operation)


def at(state: str, version: int = 1) -> Move:
    return move(version, "", "create", state)


def progress(state: OperationState, operation: str = "op-1", saga: str = "deploy", version: int = 2) -> Progress:
    return Progress(operation_id=operation, version=version, saga=saga, state=state)


def log(*whats: Move | Progress | None) -> list[Entry]:
    return [Entry(model_id="m", sequence=number, what=what) for number, what in enumerate(whats, 1)]


DEPLOYED = (
    at("serving"),
    at("registered", 2),
    move(2, "registered", "deploy", "deploying", "op-1"),
    progress(RUNNING),
    None,
    progress(SUCCEEDED),
    move(2, "deploying", "begin_serving", "serving", "op-1"),
    move(1, "serving", "retire", "registered", "op-1"),
)
UNDONE = (*DEPLOYED[:5], progress(COMPENSATED), move(2, "deploying", "fail_deployment", "registered", "op-1"))


@pytest.mark.parametrize("history", [DEPLOYED, UNDONE], ids=["deployed", "undone"])
def test_a_history_as_the_table_has_it_is_found_right(history: tuple[Move | Progress | None, ...]) -> None:
    assert audit(MACHINE, log(*history)).all == ()


def test_events_that_are_missing_or_come_twice_are_lost() -> None:
    whole = log(*DEPLOYED)
    assert audit(MACHINE, [*whole[:4], *whole[5:]]).lost == ("m: event 5 is missing before 6",)
    assert audit(MACHINE, [*whole[:5], *whole[4:]]).lost == ("m: event 5 comes after 5",)


@pytest.mark.parametrize(
    ("history", "words"),
    [
        ((at("created"), move(1, "created", "deploy", "deploying")), "which no rule says"),
        ((at("registered"), *[move(1, "registered", "deprecate", "deprecated")] * 2), "two moved version 1"),
        ((*DEPLOYED[:4], progress(RUNNING, "op-2")), "is at work while"),
        ((*DEPLOYED[:4], move(1, "serving", "retire", "registered")), "nobody serves while"),
        ((*UNDONE[:4], move(1, "serving", "retire", "registered"), progress(COMPENSATED)), "does not after"),
        (
            (
                at("validating", 2),
                progress(RUNNING, saga="archive"),
                progress(COMPENSATED, saga="archive"),
                move(2, "validating", "fail_validation", "created", "op-1"),
            ),
            "was validating, and is created after its archive was undone",
        ),
    ],
)
def test_what_no_table_allows_is_illegal(history: tuple[Move | Progress | None, ...], words: str) -> None:
    assert any(words in wrong for wrong in audit(MACHINE, log(*history)).illegal)


def test_what_never_ends_is_stuck_unless_more_is_to_come() -> None:
    history = log(*DEPLOYED[:4])
    assert audit(MACHINE, history).stuck == ("m: deploy op-1 is running for ever",)
    assert audit(MACHINE, history, complete=False).stuck == ()
    left = audit(MACHINE, log(*UNDONE[:6])).stuck
    assert left == ("m:2 stays deploying after deploy op-1 was undone",)


def test_two_who_hold_a_model_at_once_are_found() -> None:
    first = Holding(model_id="m", token=2, since=1.0, until=3.0)
    assert [*overlaps([first, Holding(model_id="m", token=3, since=3.0, until=4.0)])] == []
    assert len([*overlaps([first, Holding(model_id="m", token=3, since=2.0, until=4.0)])]) == 1
    assert len([*overlaps([first, Holding(model_id="m", token=1, since=3.0, until=4.0)])]) == 1


def test_writes_that_should_have_been_refused_are_found() -> None:
    def write(fence: int, step: str) -> Write:
        return Write(taker="p", model_id="m", fence=fence, operation_id="op-1", step=step)

    assert [*refusable([write(1, "execute load"), write(2, "compensate load")])] == []
    assert len([*refusable([write(2, "execute load"), write(1, "execute warm_up")])]) == 1
    assert len([*refusable([write(1, "execute load")] * 2)]) == 1
    assert len([*refusable([write(1, "compensate load"), write(1, "execute load")])]) == 1


def test_traffic_that_goes_nowhere_is_found() -> None:
    def write(routes: dict[str, float], loaded: set[int]) -> Write:
        return Write(taker="p", model_id="m", fence=1, saga="deploy", step="s", routes=routes, loaded=frozenset(loaded))

    began = {"m": {"1": 1.0}}
    assert [*unserved([write({"1": 1.0}, {1}), write({"2": 1.0}, {1, 2})], began)] == []
    assert len([*unserved([write({}, {1})], began)]) == 1
    assert len([*unserved([write({"2": 1.0}, {1})], began)]) == 1
