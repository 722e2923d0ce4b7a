"""What the coordinator's records promise: every adapter runs these by a class that provides the fixture `work`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, TypeVar

import pytest

from synapsenet.lifecycle.events import VersionTransitioned, aggregate
from synapsenet.lifecycle.model import (
    OWN,
    Caller,
    Condition,
    Failure,
    Operation,
    OperationState,
    StepState,
    Transition,
    VersionStatus,
    planned,
)
from synapsenet.lifecycle.ports import HistoryQuery, LifecycleWork, OperationQuery
from synapsenet.lifecycle.report import Comparator, Threshold, ThresholdResult, ValidationReport
from synapsenet.lifecycle.sagas import SAGAS
from synapsenet.platform.work import WorkFactory
from synapsenet.testing.clock import NOON

T = TypeVar("T")
Work = WorkFactory[LifecycleWork]

MODEL = "mdl-1"
HOUR = timedelta(hours=1)


def version_status(version: int = 1, *, model_id: str = MODEL, **other: Any) -> VersionStatus:
    """A version that was created at noon."""
    given: dict[str, Any] = {"state": "created", "sequence": 1, "entered_at": NOON, "updated_at": NOON} | other
    return VersionStatus(model_id=model_id, model_name=f"name-of-{model_id}", version=version, **given)


def operation(
    name: str = "op-1", *, state: OperationState = OperationState.RUNNING, model_id: str = MODEL, **other: Any
) -> Operation:
    """A deployment that was accepted at noon."""
    saga = SAGAS[other.pop("saga", "deploy")]
    given = {"created_at": NOON, "updated_at": NOON, "ended_at": NOON if state.has_ended else None} | other
    return Operation(
        id=name,
        saga=saga.name,
        saga_version=saga.version,
        model_id=model_id,
        model_name=f"name-of-{model_id}",
        version=1,
        event=saga.name,
        source="registered",
        state=state,
        steps=planned(saga),
        **given,
    )


def transition(sequence: int, *, model_id: str = MODEL, **other: Any) -> Transition:
    """What happened so many minutes after noon."""
    given: dict[str, Any] = {
        "version": 1,
        "source": "created",
        "event": "train",
        "target": "training",
        "caller": Caller(actor="ada"),
        "at": NOON + timedelta(minutes=sequence),
    } | other
    return Transition(model_id=model_id, sequence=sequence, **given)


def came_to_serve(sequence: int, version: int, **other: Any) -> Transition:
    """The version was brought into traffic."""
    return transition(sequence, version=version, source="deploying", event="begin_serving", target="serving", **other)


def report(operation_id: str, *, version: int = 1, reason: str = "", at: datetime = NOON) -> ValidationReport:
    """A validation about which everything is said."""
    asked = Threshold(metric="accuracy", comparator=Comparator.AT_LEAST, value=0.95)
    return ValidationReport(
        model_id=MODEL,
        version=version,
        operation_id=operation_id,
        artifact_sha256="ab" * 32,
        evaluation_set_id="set-1",
        examples=1_000,
        metrics={"accuracy": 0.97, "loss": 0.1},
        thresholds=(ThresholdResult(threshold=asked, measured=None if reason else 0.97, passed=not reason),),
        reason=reason,
        created_at=at,
    )


class VersionRecordsContract:
    """Where versions are, and who may write."""

    async def test_a_version_is_found_as_it_was_added(self, work: Work) -> None:
        wrong = Condition(reason="RELOAD_FAILED", message="no room", needs_attention=True, since=NOON)
        made = version_status(conditions={OWN: wrong, "inference/a": wrong}, operation_id="op-1", traffic=0.25)
        await work.run(lambda tx: tx.versions.add(made))
        assert await work.read(lambda tx: tx.versions.find(MODEL, 1)) == made
        assert await work.read(lambda tx: tx.versions.find(MODEL, 2)) is None
        assert await work.read(lambda tx: tx.versions.find("mdl-2", 1)) is None

    async def test_a_model_has_its_own_versions_ordered_by_number(self, work: Work) -> None:
        made = [version_status(number) for number in (10, 9, 1)] + [version_status(2, model_id="mdl-2")]
        await work.run(lambda tx: [tx.versions.add(one) for one in made])
        assert await work.read(lambda tx: tx.versions.of(MODEL)) == sorted(made[:3], key=lambda one: one.version)
        assert await work.read(lambda tx: tx.versions.of("mdl-3")) == []

    async def test_a_version_is_replaced_if_its_number_is_the_expected_one(self, work: Work) -> None:
        await work.run(lambda tx: [tx.versions.add(version_status(number, sequence=4)) for number in (1, 2)])
        moved = version_status(state="training", sequence=7, entered_at=NOON + HOUR)
        assert await work.run(lambda tx: tx.versions.replace(moved, sequence=4))
        assert await work.read(lambda tx: tx.versions.find(MODEL, 1)) == moved
        assert await work.read(lambda tx: tx.versions.find(MODEL, 2)) == version_status(2, sequence=4)

    async def test_a_version_that_has_moved_on_is_left_alone(self, work: Work) -> None:
        kept = version_status(sequence=4)
        await work.run(lambda tx: tx.versions.add(kept))
        for expected in (3, 5):
            late = version_status(state="archived", sequence=9)
            assert not await work.run(lambda tx, late=late, expected=expected: tx.versions.replace(late, sequence=expected))  # type: ignore[misc]
        assert not await work.run(lambda tx: tx.versions.replace(version_status(2), sequence=1))
        assert await work.read(lambda tx: tx.versions.of(MODEL)) == [kept]

    async def test_versions_are_overdue_that_nobody_works_on_the_oldest_first(self, work: Work) -> None:
        made = [
            version_status(1, state="training", entered_at=NOON + HOUR),
            version_status(2, state="training", entered_at=NOON),
            version_status(3, state="training", entered_at=NOON, operation_id="op-1"),
            version_status(4, state="validating", entered_at=NOON),
            version_status(5, state="training", entered_at=NOON + 2 * HOUR),
        ]
        await work.run(lambda tx: [tx.versions.add(one) for one in made])

        async def overdue(limit: int, before: datetime = NOON + 2 * HOUR) -> list[int]:
            found = await work.read(lambda tx: tx.versions.overdue("training", before=before, limit=limit))
            return [one.version for one in found]

        assert await overdue(10) == [2, 1]
        assert await overdue(1) == [2]
        assert await overdue(10, NOON) == []

    async def test_a_fence_is_claimed_by_the_highest_token_so_far_and_no_lower_one(self, work: Work) -> None:
        async def claim(token: int, model_id: str = MODEL) -> bool:
            return await work.run(lambda tx: tx.fences.claim(model_id, token))

        assert [await claim(token) for token in (5, 5, 7, 6, 5, 7, 1 << 60)] == [True, True, True, False, False, True, True]
        assert not await claim(7)
        assert await claim(1, "mdl-2")

    async def test_a_claim_is_forgotten_with_the_transaction_that_failed(self, work: Work) -> None:
        def fail(tx: LifecycleWork) -> None:
            assert tx.fences.claim(MODEL, 9)
            raise KeyError("it changed its mind")

        with pytest.raises(KeyError):
            await work.run(fail)
        assert await work.run(lambda tx: tx.fences.claim(MODEL, 1))

    async def test_a_failed_unit_of_work_leaves_neither_state_nor_history_nor_event(self, work: Work) -> None:
        def move(tx: LifecycleWork) -> int:
            tx.versions.add(version_status())
            tx.history.add(transition(1))
            tx.operations.add(operation())
            event = VersionTransitioned(source="", event="create", status=version_status(), caller=Caller())
            return tx.events.append(aggregate(MODEL), event)

        def fail(tx: LifecycleWork) -> None:
            move(tx)
            raise KeyError("it changed its mind")

        with pytest.raises(KeyError):
            await work.run(fail)
        assert await work.read(lambda tx: tx.versions.of(MODEL)) == []
        assert await work.run(move) == 1


class OperationRecordsContract:
    """The operations, whoever works on them."""

    async def test_an_operation_is_found_as_it_was_added(self, work: Work) -> None:
        failure = Failure(kind="Unavailable", reason="PEER_UNAVAILABLE", message="gone", metadata={"peer": "inference"})
        made = operation(
            input={"replicas": 2, "traffic": {"1": 0.25, "2": 0.75}, "nested": {"list": [1, None, "x", 2.5, True]}},
            caller=Caller(actor="ada", reason="better", request_id="wish", trace_id="0f" * 16),
            failure=failure,
            cancelling=True,
            waiting_for="op-0",
            wait_until=NOON + HOUR,
        )
        made = made.with_step(
            2,
            state=StepState.COMPENSATING,
            attempts=3,
            compensation_attempts=4,
            compensation_input={"before": {"1": 1.0}},
            result={"loaded": 2},
            failure=failure,
            started_at=NOON,
            ended_at=NOON + HOUR,
        )
        await work.run(lambda tx: tx.operations.add(made))
        assert await work.read(lambda tx: tx.operations.find("op-1")) == made
        assert await work.read(lambda tx: tx.operations.find("op-2")) is None

    async def test_an_operation_is_replaced_if_its_revision_is_the_expected_one(self, work: Work) -> None:
        await work.run(lambda tx: [tx.operations.add(operation(name)) for name in ("op-1", "op-2")])
        new = replace(operation(state=OperationState.SUCCEEDED), revision=2)
        assert await work.run(lambda tx: tx.operations.replace(new, revision=1))
        assert not await work.run(lambda tx: tx.operations.replace(replace(new, revision=3), revision=1))
        assert not await work.run(lambda tx: tx.operations.replace(replace(new, id="op-3"), revision=1))
        assert await work.read(lambda tx: tx.operations.find("op-1")) == new
        assert await work.read(lambda tx: tx.operations.find("op-2")) == operation("op-2")

    async def test_of_a_model_the_operation_is_at_work_that_has_begun_and_not_ended(self, work: Work) -> None:
        async def at_work(model_id: str = MODEL) -> str:
            found = await work.read(lambda tx: tx.operations.at_work(model_id))
            return "" if found is None else found.id

        await work.run(lambda tx: [tx.operations.add(operation(f"ended-{state}", state=state)) for state in ENDED])
        await work.run(lambda tx: tx.operations.add(operation("waits", state=OperationState.WAITING)))
        assert await at_work() == ""
        for state in BEGUN:
            here = operation(f"at-work-{state}", state=state, model_id=f"of-{state}")
            await work.run(lambda tx, here=here: tx.operations.add(here))  # type: ignore[misc]
            assert await at_work(here.model_id) == here.id
        begun = replace(operation("waits", state=OperationState.RUNNING), revision=2)
        assert await work.run(lambda tx: tx.operations.replace(begun, revision=1))
        assert await at_work() == "waits"

    async def test_those_that_have_not_ended_come_the_oldest_first(self, work: Work) -> None:
        states = (*BEGUN, OperationState.WAITING, *ENDED)
        for state in states:
            await work.run(_adding(operation(state.value, state=state, model_id=f"of-{state}")))
        unended = await work.read(lambda tx: tx.operations.unended())
        assert [one.state for one in unended] == [*BEGUN, OperationState.WAITING]

    async def test_pages_begin_with_the_newest_and_go_on_below_an_ordinal(self, work: Work) -> None:
        for number in range(5):
            await work.run(_adding(operation(f"op-{number}")))
        first = await work.read(lambda tx: tx.operations.page(OperationQuery(), before=None, limit=2))
        assert [one.id for _, one in first] == ["op-4", "op-3"]
        await work.run(_adding(operation("op-5")))
        rest = await work.read(lambda tx: tx.operations.page(OperationQuery(), before=first[-1][0], limit=10))
        assert [one.id for _, one in rest] == ["op-2", "op-1", "op-0"]

    async def test_a_page_has_what_is_asked_for_alone(self, work: Work) -> None:
        made = [
            operation("a", model_id="mdl-2"),
            operation("b", saga="archive", state=OperationState.SUCCEEDED),
            operation("c", state=OperationState.NEEDS_ATTENTION),
            operation("d", saga="archive", state=OperationState.FAILED),
        ]
        for one in made:
            await work.run(_adding(one))

        async def found(query: OperationQuery) -> list[str]:
            return [one.id for _, one in await work.read(lambda tx: tx.operations.page(query, before=None, limit=10))]

        assert await found(OperationQuery(model_id=MODEL)) == ["d", "c", "b"]
        assert await found(OperationQuery(saga="archive")) == ["d", "b"]
        assert await found(OperationQuery(states=frozenset(BEGUN))) == ["c", "a"]
        both = OperationQuery(model_id=MODEL, saga="archive", states=frozenset({OperationState.FAILED}))
        assert await found(both) == ["d"]

    async def test_those_that_ended_long_ago_are_forgotten_a_few_at_a_time(self, work: Work) -> None:
        for number in range(4):
            ended = NOON + number * HOUR
            await work.run(_adding(operation(f"op-{number}", state=OperationState.SUCCEEDED, ended_at=ended)))
        await work.run(_adding(operation("at-work")))

        async def trim() -> int:
            return await work.run(lambda tx: tx.operations.trim(ended_before=NOON + 3 * HOUR, limit=2))

        assert [await trim() for _ in range(3)] == [2, 1, 0]
        left = await work.read(lambda tx: tx.operations.page(OperationQuery(), before=None, limit=10))
        assert [one.id for _, one in left] == ["at-work", "op-3"]


class HistoryRecordsContract:
    """What happened, and what was found."""

    async def test_history_comes_the_newest_first_as_it_was_written(self, work: Work) -> None:
        caller = Caller(actor="ada", reason="better", request_id="wish", trace_id="0f" * 16)
        made = [transition(number, caller=caller, operation_id=f"op-{number}") for number in (1, 2, 5, 9)]
        await work.run(lambda tx: [tx.history.add(one) for one in [*made, transition(3, model_id="mdl-2")]])
        query = HistoryQuery(model_id=MODEL)
        assert await work.read(lambda tx: tx.history.page(query, before=None, limit=10)) == made[::-1]
        assert await work.read(lambda tx: tx.history.page(query, before=9, limit=2)) == [made[2], made[1]]

    async def test_history_is_searched_by_version_time_and_actor(self, work: Work) -> None:
        made = [
            transition(1),
            transition(2, version=2, caller=Caller(actor="bob")),
            transition(3, version=2),
            transition(4, caller=Caller(actor="bob")),
        ]
        await work.run(lambda tx: [tx.history.add(one) for one in made])

        async def found(**query: Any) -> list[int]:
            wanted = HistoryQuery(model_id=MODEL, **query)
            return [one.sequence for one in await work.read(lambda tx: tx.history.page(wanted, before=None, limit=10))]

        assert await found(version=2) == [3, 2]
        assert await found(since=NOON + timedelta(minutes=3)) == [4, 3]
        assert await found(actor="bob") == [4, 2]
        assert await found(version=2, actor="bob", since=NOON) == [2]

    async def test_the_version_served_last_that_came_to_serve_last_but_for_some(self, work: Work) -> None:
        promoted = transition(7, version=1, source="serving", event="promote", target="serving")
        made = [came_to_serve(1, 1), came_to_serve(2, 2), transition(3), came_to_serve(4, 3), came_to_serve(5, 2), promoted]
        await work.run(lambda tx: [tx.history.add(one) for one in [*made, came_to_serve(6, 9, model_id="mdl-2")]])

        async def last(*but: int) -> int | None:
            return await work.read(lambda tx: tx.history.last_serving(MODEL, but=frozenset(but)))

        assert [await last(), await last(2), await last(2, 3), await last(1, 2, 3)] == [2, 3, 1, None]

    async def test_the_newest_report_of_a_version_is_kept_as_it_was_made(self, work: Work) -> None:
        made = [report("op-1"), report("op-2", reason="too low", at=NOON + HOUR), report("op-3", version=2)]
        for one in made:
            await work.run(lambda tx, one=one: tx.reports.put(one))  # type: ignore[misc]
        assert await work.read(lambda tx: tx.reports.newest(MODEL, 1)) == made[1]
        assert await work.read(lambda tx: tx.reports.newest(MODEL, 2)) == made[2]
        assert await work.read(lambda tx: tx.reports.newest(MODEL, 3)) is None
        assert await work.read(lambda tx: tx.reports.newest("mdl-2", 1)) is None

    async def test_an_operations_report_that_is_put_again_takes_its_own_place(self, work: Work) -> None:
        again = report("op-2", at=NOON + HOUR)
        for one in (report("op-1"), report("op-2", reason="too low"), again, report("op-1", reason="none")):
            await work.run(lambda tx, one=one: tx.reports.put(one))  # type: ignore[misc]
        assert await work.read(lambda tx: tx.reports.newest(MODEL, 1)) == again

    async def test_a_reader_is_found_where_it_moved_to_last(self, work: Work) -> None:
        async def position(name: str) -> int:
            return await work.read(lambda tx: tx.marks.position(name))

        assert await position("a") == 0
        for place in (5, 1 << 40, 7):
            await work.run(lambda tx, place=place: tx.marks.move("a", place))  # type: ignore[misc]
            assert await position("a") == place
        assert await position("b") == 0


BEGUN = (OperationState.RUNNING, OperationState.COMPENSATING, OperationState.NEEDS_ATTENTION)
ENDED = (OperationState.SUCCEEDED, OperationState.COMPENSATED, OperationState.FAILED, OperationState.RESOLVED)


def _adding(one: Operation) -> Callable[[LifecycleWork], None]:
    return lambda tx: tx.operations.add(one)
