"""What operations promise, whatever their records and locks are kept in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace

import pytest

from synapsenet.errors import Aborted, AlreadyExists, DataLoss, FailedPrecondition, NotFound, Unavailable
from synapsenet.lifecycle.model import Caller, Operation, OperationState, StepState
from synapsenet.lifecycle.ports import HistoryQuery, StepCall
from synapsenet.lifecycle.wishes import DeployWish, Patience
from synapsenet.platform.paging import PageRequest
from synapsenet.platform.work import ANONYMOUS, Request
from synapsenet.testing.lifecycle_stage import DEADLINE, OPTIONS, Shelf, Stage, failing

OpenStage = Callable[..., AbstractAsyncContextManager[Stage]]

FORWARD = ["reserve", "fetch", "load", "warm_up", "shift_traffic", "retire_previous"]
CORRUPT = DataLoss("ARTIFACT_CORRUPT", "the artifact is not what was uploaded")


class SagaContract:
    """Subclasses give `stage`, a coordinator whose versions are registered, and `open_stage`, another on the same records."""

    async def test_a_deployment_takes_every_step_and_serves(self, stage: Stage) -> None:
        ended = await stage.ended(await stage.deploy(1))
        assert ended.state is OperationState.SUCCEEDED
        assert stage.troupe.done("execute") == FORWARD
        assert await stage.states() == {1: "serving"}
        assert (await stage.status(1)).traffic == 1.0
        assert (stage.shelf.shown[1].state, stage.shelf.shown[1].reason) == ("serving", "because")

    async def test_what_undoing_needs_is_recorded_before_a_step_is_carried_out(self, stage: Stage) -> None:
        await stage.ended(await stage.deploy(1))
        calls = stage.troupe.calls
        assert calls.index("prepare load") < calls.index("execute load")
        assert "prepare warm_up" not in calls  # it has nothing to undo

    async def test_the_next_deployment_takes_the_place_of_the_one_before(self, stage: Stage) -> None:
        await stage.ended(await stage.deploy(1))
        await stage.ended(await stage.deploy(2))
        assert await stage.states() == {1: "registered", 2: "serving"}
        assert [status.traffic for status in await stage.statuses()] == [0.0, 1.0]

    async def test_a_deployment_that_keeps_the_previous_one_leaves_it_serving(self, stage: Stage) -> None:
        await stage.ended(await stage.deploy(1))
        await stage.ended(await stage.deploy(2, DeployWish(keep_previous=True)))
        assert await stage.states() == {1: "serving", 2: "serving"}

    async def test_traffic_can_be_shared_and_shifted_between_versions(self, stage: Stage) -> None:
        await stage.ended(await stage.deploy(1))
        await stage.ended(await stage.deploy(2, DeployWish(traffic={1: 0.9, 2: 0.1})))
        assert [status.traffic for status in await stage.statuses()] == [0.9, 0.1]
        promoted = await stage.lifecycle.coordinator.promote(
            "digits", 2, DeployWish(traffic={1: 0.25, 2: 0.75}), Caller(), Patience(), ANONYMOUS
        )
        await stage.ended(promoted)
        assert [(status.state, status.traffic) for status in await stage.statuses()] == [("serving", 0.25), ("serving", 0.75)]

    async def test_traffic_to_a_version_that_does_not_serve_is_refused(self, stage: Stage) -> None:
        with pytest.raises(FailedPrecondition, match="version 7 of model digits does not serve"):
            await stage.deploy(2, DeployWish(traffic={7: 0.5, 2: 0.5}))
        assert await stage.states() == {2: "registered"}

    @pytest.mark.parametrize("step", FORWARD)
    async def test_a_step_that_fails_undoes_all_before_it_in_reverse(self, stage: Stage, step: str) -> None:
        await stage.ended(await stage.deploy(1))
        stage.troupe.calls.clear()
        stage.troupe.acts[f"execute {step}"] = failing(CORRUPT)
        ended = await stage.ended(await stage.deploy(2))
        begun = FORWARD[: FORWARD.index(step) + 1]
        assert ended.state is OperationState.COMPENSATED
        assert ended.failure is not None
        assert ended.failure.reason == "ARTIFACT_CORRUPT"
        assert stage.troupe.done("compensate") == [name for name in reversed(begun) if name != "warm_up"]
        assert stage.troupe.handed_back["reserve"] == {"before": "reserve"}
        assert await stage.states() == {1: "serving", 2: "registered"}
        condition = (await stage.status(2)).condition
        assert condition is not None
        assert (condition.reason, condition.operation_id) == ("ARTIFACT_CORRUPT", ended.id)

    async def test_work_that_goes_on_is_not_ended_by_another_move_that_fails(self, stage: Stage) -> None:
        stage.shelf.state = "validating"
        stage.troupe.acts["execute seal"] = failing(CORRUPT)
        archiving = await stage.lifecycle.coordinator.archive("digits", 1, Caller(), Patience(), ANONYMOUS)
        assert (await stage.ended(archiving)).state is OperationState.COMPENSATED
        assert await stage.states() == {1: "validating"}

    async def test_a_failure_that_may_pass_is_tried_again(self, stage: Stage) -> None:
        stage.troupe.acts["execute load"] = failing(Unavailable("AWAY", "nobody is there"), times=2)
        ended = await stage.ended(await stage.deploy(1))
        assert ended.state is OperationState.SUCCEEDED
        assert stage.troupe.done("execute").count("load") == 3
        assert ended.steps[2].attempts == 2

    async def test_a_failure_that_does_not_pass_is_tried_as_often_as_the_step_says(self, stage: Stage) -> None:
        stage.troupe.acts["execute load"] = failing(Unavailable("AWAY", "nobody is there"))
        ended = await stage.ended(await stage.deploy(1))
        assert ended.state is OperationState.COMPENSATED
        assert stage.troupe.done("execute").count("load") == 3

    async def test_an_operation_that_is_cancelled_is_undone(self, stage: Stage) -> None:
        stage.troupe.acts["execute load"] = _never
        operation = await stage.deploy(1)
        await _asked(stage, "execute load")
        await stage.lifecycle.desk.cancel(operation.id, Caller(), ANONYMOUS)
        ended = await stage.ended(operation)
        assert ended.state is OperationState.COMPENSATED
        assert stage.troupe.done("compensate") == ["load", "fetch", "reserve"]
        assert await stage.states() == {1: "registered"}
        assert (await stage.status(1)).condition is None

    async def test_what_is_being_undone_goes_on_being_undone_when_it_is_cancelled(self, stage: Stage) -> None:
        opened = asyncio.Event()
        stage.troupe.acts["execute warm_up"] = failing(CORRUPT)
        stage.troupe.acts["compensate load"] = lambda _call: opened.wait()
        operation = await stage.deploy(1)
        await _asked(stage, "compensate load")
        await stage.lifecycle.desk.cancel(operation.id, Caller(), ANONYMOUS)
        opened.set()
        ended = await stage.ended(operation)
        assert ended.state is OperationState.COMPENSATED
        assert stage.troupe.done("compensate") == ["load", "fetch", "reserve"]
        assert ended.failure is not None
        assert ended.failure.reason == "ARTIFACT_CORRUPT"

    async def test_an_operation_that_has_ended_cannot_be_cancelled(self, stage: Stage) -> None:
        operation = await stage.deploy(1)
        await stage.ended(operation)
        with pytest.raises(FailedPrecondition, match="has ended"):
            await stage.lifecycle.desk.cancel(operation.id, Caller(), ANONYMOUS)

    async def test_a_compensation_that_fails_for_a_while_is_tried_on_and_gets_there(self, stage: Stage) -> None:
        stage.troupe.acts["execute shift_traffic"] = failing(CORRUPT)
        stage.troupe.acts["compensate load"] = failing(Unavailable("AWAY", "nobody is there"), times=5)
        operation = await stage.deploy(1)
        await stage.until(operation, OperationState.NEEDS_ATTENTION)
        ended = await stage.ended(operation)
        assert ended.state is OperationState.COMPENSATED
        assert ended.steps[2].compensation_attempts == 5
        assert ended.steps[2].state is StepState.COMPENSATED

    async def test_a_compensation_that_fails_for_ever_needs_attention_and_can_be_resolved(self, stage: Stage) -> None:
        stage.troupe.acts["execute warm_up"] = failing(CORRUPT)
        stage.troupe.acts["compensate load"] = failing(Unavailable("AWAY", "nobody is there"))
        operation = await stage.deploy(1)
        await stage.until(operation, OperationState.NEEDS_ATTENTION)
        condition = (await stage.status(1)).condition
        assert condition is not None
        assert condition.needs_attention
        resolved = await stage.lifecycle.desk.resolve(operation.id, "pulled the plug", "", Caller(actor="ada"), ANONYMOUS)
        assert resolved.state is OperationState.RESOLVED
        assert await stage.states() == {1: "registered"}
        assert (await stage.status(1)).condition is None
        stage.troupe.acts.clear()
        await stage.ended(await stage.deploy(2))  # the model is free

    async def test_only_what_needs_attention_can_be_retried_or_resolved(self, stage: Stage) -> None:
        operation = await stage.deploy(1)
        await stage.ended(operation)
        with pytest.raises(FailedPrecondition, match="succeeded and needs no attention"):
            await stage.lifecycle.desk.retry(operation.id, ANONYMOUS)
        with pytest.raises(FailedPrecondition, match="succeeded and needs no attention"):
            await stage.lifecycle.desk.resolve(operation.id, "done", "", Caller(), ANONYMOUS)

    async def test_the_second_of_two_deployments_of_a_model_hears_who_holds_it(self, stage: Stage) -> None:
        opened = asyncio.Event()
        stage.troupe.acts["execute load"] = lambda _call: opened.wait()
        first = await stage.deploy(1)
        with pytest.raises(Aborted) as busy:
            await stage.deploy(2)
        assert busy.value.reason == "MODEL_BUSY"
        assert first.id in busy.value.metadata["holder"]
        opened.set()
        await stage.ended(first)

    async def test_a_caller_with_patience_waits_in_line(self, stage: Stage) -> None:
        opened = asyncio.Event()
        stage.troupe.acts["execute load"] = lambda _call: opened.wait()
        first = await stage.deploy(1)
        second = await stage.lifecycle.coordinator.deploy(
            "digits", 2, DeployWish(), Caller(), Patience(wait=DEADLINE), ANONYMOUS
        )
        assert second.state is OperationState.WAITING
        assert first.id in second.waiting_for
        opened.set()
        assert (await stage.ended(second)).state is OperationState.SUCCEEDED
        assert await stage.states() == {1: "registered", 2: "serving"}

    async def test_patience_ends_without_anything_done(self, stage: Stage) -> None:
        opened = asyncio.Event()
        stage.troupe.acts["execute load"] = lambda _call: opened.wait()
        first = await stage.deploy(1)
        second = await stage.lifecycle.coordinator.deploy("digits", 2, DeployWish(), Caller(), Patience(wait=0.2), ANONYMOUS)
        ended = await stage.ended(second)
        assert ended.state is OperationState.FAILED
        assert ended.failure is not None
        assert ended.failure.reason == "MODEL_BUSY"
        opened.set()
        await stage.ended(first)

    async def test_one_that_waits_can_be_cancelled(self, stage: Stage) -> None:
        opened = asyncio.Event()
        stage.troupe.acts["execute load"] = lambda _call: opened.wait()
        first = await stage.deploy(1)
        second = await stage.lifecycle.coordinator.deploy(
            "digits", 2, DeployWish(), Caller(), Patience(wait=DEADLINE), ANONYMOUS
        )
        await stage.lifecycle.desk.cancel(second.id, Caller(), ANONYMOUS)
        assert (await stage.ended(second)).state is OperationState.FAILED
        opened.set()
        await stage.ended(first)
        assert (await stage.status(1)).state == "serving"
        assert "reserve" not in stage.troupe.done("execute")[len(FORWARD) :]

    async def test_the_same_request_again_gives_the_same_operation(self, stage: Stage) -> None:
        request = Request("deploy-1", b"body")
        first = await stage.deploy(1, request=request)
        assert (await stage.deploy(1, request=request)).id == first.id
        await stage.ended(first)
        assert (await stage.deploy(1, request=request)).id == first.id
        assert stage.troupe.done("execute") == FORWARD

    async def test_the_same_request_id_with_another_body_is_refused(self, stage: Stage) -> None:
        await stage.ended(await stage.deploy(1, request=Request("deploy-1", b"body")))
        with pytest.raises(AlreadyExists):
            await stage.deploy(2, request=Request("deploy-1", b"another"))

    async def test_a_version_that_nobody_knows_is_not_found(self, stage: Stage) -> None:
        with pytest.raises(NotFound):
            await stage.deploy(99)

    async def test_rolling_back_serves_the_version_of_before(self, stage: Stage) -> None:
        await stage.ended(await stage.deploy(1))
        await stage.ended(await stage.deploy(2))
        back = await stage.lifecycle.coordinator.roll_back("digits", None, Caller(), Patience(), ANONYMOUS)
        assert back.version == 1
        await stage.ended(back)
        assert await stage.states() == {1: "serving", 2: "registered"}

    async def test_a_roll_back_asked_for_twice_goes_back_once(self, stage: Stage) -> None:
        await stage.ended(await stage.deploy(1))
        await stage.ended(await stage.deploy(2))
        request = Request("back-1", b"body")
        first = await stage.lifecycle.coordinator.roll_back("digits", None, Caller(), Patience(), request)
        await stage.ended(first)
        again = await stage.lifecycle.coordinator.roll_back("digits", None, Caller(), Patience(), request)
        assert again.id == first.id
        assert await stage.states() == {1: "serving", 2: "registered"}

    async def test_a_request_id_is_asked_for_before_the_version_that_it_names_now(self, stage: Stage) -> None:
        await stage.ended(await stage.deploy(1, request=Request("deploy-1", b"body")))
        with pytest.raises(AlreadyExists):
            await stage.deploy(99, request=Request("deploy-1", b"another"))

    async def test_there_must_be_something_to_roll_back_to(self, stage: Stage) -> None:
        await stage.ended(await stage.deploy(1))
        with pytest.raises(FailedPrecondition, match="no other version of model digits has served"):
            await stage.lifecycle.coordinator.roll_back("digits", None, Caller(), Patience(), ANONYMOUS)

    async def test_a_coordinator_that_stops_in_the_middle_is_succeeded_by_one_that_carries_on(
        self, stage: Stage, open_stage: OpenStage
    ) -> None:
        stage.troupe.acts["execute load"] = _never
        operation = await stage.deploy(1)
        await _asked(stage, "execute load")
        await stage.lifecycle.runner.stop()
        # Whoever stops releases the model; with a lease that is lost on a busy machine the successor would ask twice itself.
        async with open_stage(options=replace(OPTIONS, lease_s=DEADLINE)) as successor:
            ended = await successor.ended(operation)
            assert ended.state is OperationState.SUCCEEDED
            assert successor.troupe.done("execute") == FORWARD[2:]  # what was done is not done again
            assert await successor.states() == {1: "serving"}

    async def test_operations_that_are_past_the_days_they_are_kept_for_are_forgotten(
        self, stage: Stage, open_stage: OpenStage
    ) -> None:
        ended = await stage.ended(await stage.deploy(1))
        async with open_stage(options=replace(OPTIONS, operations_days=0)) as successor, asyncio.timeout(DEADLINE):
            assert (await _forgotten(successor, ended)).reason == "OPERATION_UNKNOWN"
            assert await successor.states() == {1: "serving"}

    async def test_what_a_former_release_left_in_the_middle_is_ended_at_the_start_and_can_begin_anew(
        self, open_stage: OpenStage
    ) -> None:
        shelf = Shelf(state="deploying")
        shelf.left = (4, 7)
        async with open_stage(shelf=shelf) as stage, asyncio.timeout(DEADLINE):
            while await stage.states() != {4: "registered", 7: "registered"}:
                await stage.lifecycle.feed.newest()
            status = await stage.status(7)
            assert status.condition is not None
            assert (status.condition.reason, status.condition.needs_attention) == ("OPERATION_LOST", False)
            await shelf.shows(status)
            history = await stage.lifecycle.coordinator.history("digits", HistoryQuery(model_id="", version=7), PageRequest())
            assert [(row.event, row.target) for row in history.items] == [
                ("fail_deployment", "registered"),
                ("create", "deploying"),
            ]
            assert (await stage.ended(await stage.deploy(7))).state is OperationState.SUCCEEDED

    async def test_what_may_go_on_without_an_operation_is_left_alone(self, open_stage: OpenStage) -> None:
        shelf = Shelf(state="training")
        shelf.left = (4,)
        async with open_stage(shelf=shelf) as stage:
            assert (await stage.lifecycle.coordinator.status("digits", 4))[0].state == "training"


async def _forgotten(stage: Stage, operation: Operation) -> NotFound:
    """What whoever asks for the operation is told, as soon as it is gone."""
    while True:
        try:
            await stage.lifecycle.desk.get(operation.id)
        except NotFound as gone:
            return gone
        await asyncio.sleep(0.01)


def _never(_call: StepCall) -> object:
    return asyncio.Event().wait()


async def _asked(stage: Stage, what: str) -> None:
    """Return as soon as a participant was asked for `what`."""
    async with asyncio.timeout(DEADLINE):
        await stage.troupe.asked(what)
