"""What people ask of versions' lives, over the wire."""

from __future__ import annotations

import asyncio
from datetime import UTC
from typing import Any

import grpc
import pytest

from synapsenet.errors import DataLoss
from synapsenet.lifecycle.sagas import SAGAS
from synapsenet.lifecycle.table import MACHINE
from synapsenet.testing.lifecycle_stage import MODEL, Stage, failing
from synapsenet_api.lifecycle.v1 import lifecycle_service_pb2 as pb
from synapsenet_api.lifecycle.v1.operation_pb2 import Operation, OperationState
from synapsenet_api.lifecycle.v1.validation_report_pb2 import COMPARATOR_AT_LEAST, Threshold
from synapsenet_api.lifecycle.v1.version_status_pb2 import Condition
from synapsenet_client import Aborted, AlreadyExists, AsyncClient, FailedPrecondition, InvalidArgument, NotFound
from synapsenet_client._lifecycle import intent

CORRUPT = DataLoss("ARTIFACT_CORRUPT", "the artifact is not what was uploaded")
FORWARD = [step.name for step in SAGAS["deploy"].steps]


def state(operation: Operation) -> str:
    return OperationState.Name(operation.state).removeprefix("OPERATION_STATE_").lower()


async def ended(client: AsyncClient, operation: Operation) -> Operation:
    return await client.lifecycle.wait_operation(operation.id, timeout=8)


async def needing_attention(client: AsyncClient, stage: Stage) -> Operation:
    """A deployment whose load fails, and cannot be undone."""
    stage.troupe.acts["execute load"] = failing(CORRUPT)
    stage.troupe.acts["compensate load"] = failing(CORRUPT)
    begun = await client.lifecycle.deploy("digits", 1)
    async with asyncio.timeout(8):
        async for now in client.lifecycle.watch_operation(begun.id):
            if state(now) == "needs_attention":
                return now
    raise AssertionError("nobody was called")


async def test_a_deployment_is_watched_to_its_end_step_by_step(client: AsyncClient) -> None:
    begun = await client.lifecycle.deploy("digits", 1, intent=intent(reason="better"), request_id="wish")
    assert (begun.saga, begun.saga_version, begun.model_id, begun.version) == ("deploy", 1, MODEL, 1)
    assert (begun.reason, begun.request_id) == ("better", "wish")
    seen = [operation async for operation in client.lifecycle.watch_operation(begun.id)]
    last = seen[-1]
    assert state(last) == "succeeded"
    assert [step.name for step in last.steps] == FORWARD
    assert all(step.HasField("start_time") and step.HasField("end_time") for step in last.steps)
    assert last.HasField("end_time")
    assert not last.HasField("error")
    revisions = [operation.revision for operation in seen]
    assert revisions == sorted(set(revisions))
    status = await client.lifecycle.status("digits", 1)
    assert (status.state, status.traffic_fraction, status.operation_id) == ("serving", 1.0, "")
    assert list(status.allowed_events) == ["deprecate", "promote", "undeploy"]


async def test_a_failed_deployment_says_why_and_leaves_the_version_as_it_was(client: AsyncClient, stage: Stage) -> None:
    stage.troupe.acts["execute fetch"] = failing(CORRUPT)
    last = await ended(client, await client.lifecycle.deploy("digits", 1))
    assert state(last) == "compensated"
    assert (last.error.code, last.error.message) == (grpc.StatusCode.DATA_LOSS.value[0], CORRUPT.public)
    assert last.steps[1].error.message == CORRUPT.public
    status = await client.lifecycle.status("digits", 1)
    assert (status.state, status.condition.reason, status.condition.operation_id) == (
        "registered",
        "ARTIFACT_CORRUPT",
        last.id,
    )
    assert status.condition.HasField("start_time")


async def test_versions_are_moved_by_events_and_their_history_is_paged_and_searched(client: AsyncClient) -> None:
    wish = intent(reason="too old")
    moved = await client.lifecycle.transition("digits", 1, "deprecate", intent=wish, request_id="r-1")
    assert (moved.state, list(moved.allowed_events)) == ("deprecated", ["archive", "restore"])
    await client.lifecycle.transition("digits", 1, "restore")
    await client.lifecycle.transition("digits", 2, "deprecate")
    lines = [line async for line in client.lifecycle.list_transitions("digits", page_size=2)]
    assert [(line.version, line.event, line.from_state, line.to_state) for line in lines] == [
        (2, "deprecate", "registered", "deprecated"),
        (2, "create", "", "registered"),
        (1, "restore", "deprecated", "registered"),
        (1, "deprecate", "registered", "deprecated"),
        (1, "create", "", "registered"),
    ]
    assert [line.sequence for line in lines] == [5, 4, 3, 2, 1]
    assert (lines[3].reason, lines[3].request_id, lines[3].model_id) == ("too old", "r-1", MODEL)
    assert [line.sequence async for line in client.lifecycle.list_transitions("digits", version=2)] == [5, 4]
    since = lines[1].occur_time.ToDatetime(tzinfo=UTC)
    assert [line.sequence async for line in client.lifecycle.list_transitions("digits", start_time=since)] == [5, 4]


async def test_an_event_that_cannot_happen_is_refused_naming_those_that_can(client: AsyncClient) -> None:
    with pytest.raises(FailedPrecondition) as refused:
        await client.lifecycle.transition("digits", 1, "train")
    assert refused.value.reason == "TRANSITION_NOT_ALLOWED"
    facts = refused.value.metadata
    assert (facts["state"], facts["event"]) == ("registered", "train")
    assert facts["allowed"] == "archive,deploy,deprecate,roll_back"
    with pytest.raises(InvalidArgument, match="there is no event 'fly'"):
        await client.lifecycle.transition("digits", 1, "fly")
    with pytest.raises(NotFound, match="has no version 99"):
        await client.lifecycle.status("digits", 99)


async def test_a_condition_comes_with_the_event_that_reports_a_failure(client: AsyncClient, stage: Stage) -> None:
    stage.shelf.state = "training"
    wrong = Condition(reason="OUT_OF_MEMORY", message="it needs more", needs_attention=True)
    moved = await client.lifecycle.transition("digits", 1, "fail_training", condition=wrong)
    told = moved.condition
    assert (moved.state, told.reason, told.message, told.needs_attention) == (
        "created",
        "OUT_OF_MEMORY",
        "it needs more",
        True,
    )


async def test_a_repeated_request_is_answered_as_before_and_another_under_its_name_is_refused(client: AsyncClient) -> None:
    first = await client.lifecycle.deploy("digits", 1, request_id="wish")
    again = await client.lifecycle.deploy("digits", 1, request_id="wish")
    assert first.id == again.id
    with pytest.raises(AlreadyExists) as refused:
        await client.lifecycle.deploy("digits", 2, request_id="wish")
    assert refused.value.reason == "REQUEST_ID_REUSED"
    await ended(client, first)


async def test_who_finds_the_model_held_is_told_by_whom_or_waits(client: AsyncClient, stage: Stage) -> None:
    opened = asyncio.Event()
    stage.troupe.acts["execute load"] = lambda _call: opened.wait()
    first = await client.lifecycle.deploy("digits", 1)
    with pytest.raises(Aborted) as refused:
        await client.lifecycle.deploy("digits", 2)
    assert refused.value.reason == "MODEL_BUSY"
    assert first.id in refused.value.metadata["holder"]
    waiting = await client.lifecycle.deploy("digits", 2, intent=intent(wait=8))
    assert state(waiting) == "waiting"
    assert first.id in waiting.waiting_for
    still = await client.lifecycle.wait_operation(waiting.id, timeout=0.05)
    assert state(still) == "waiting"
    opened.set()
    assert state(await ended(client, waiting)) == "succeeded"


async def test_a_wish_that_is_based_on_an_older_status_is_refused(client: AsyncClient) -> None:
    before = await client.lifecycle.status("digits", 1)
    await client.lifecycle.transition("digits", 1, "deprecate", intent=intent(expected_sequence=before.sequence))
    with pytest.raises(Aborted) as refused:
        await client.lifecycle.transition("digits", 1, "restore", intent=intent(expected_sequence=before.sequence))
    assert refused.value.reason == "VERSION_CHANGED"


async def test_operations_are_listed_the_newest_first_and_searched(client: AsyncClient) -> None:
    first = await ended(client, await client.lifecycle.deploy("digits", 1))
    second = await ended(client, await client.lifecycle.deploy("digits", 2))
    third = await ended(client, await client.lifecycle.archive("digits", 1))

    async def found(**query: Any) -> list[str]:
        return [operation.id async for operation in client.lifecycle.list_operations(**query)]

    assert await found(page_size=1) == [third.id, second.id, first.id]
    assert await found(model_id="digits", saga="deploy") == [second.id, first.id]
    assert await found(states=["RUNNING", "WAITING"]) == []
    assert await found(states=["SUCCEEDED"], saga="archive") == [third.id]
    assert await found(model_id="mdl-other") == []
    assert await client.lifecycle.get_operation(second.id) == second
    with pytest.raises(NotFound) as unknown:
        await client.lifecycle.get_operation("op-none")
    assert unknown.value.reason == "OPERATION_UNKNOWN"


async def test_traffic_is_shared_promoted_and_taken_back(client: AsyncClient) -> None:
    await ended(client, await client.lifecycle.deploy("digits", 1))
    await ended(client, await client.lifecycle.deploy("digits", 2, traffic={1: 0.75, 2: 0.25}))

    async def shares() -> list[float]:
        return [(await client.lifecycle.status("digits", version)).traffic_fraction for version in (1, 2)]

    assert await shares() == [0.75, 0.25]
    await ended(client, await client.lifecycle.promote("digits", 2))
    assert await shares() == [0.0, 1.0]
    await ended(client, await client.lifecycle.undeploy("digits", 1))
    back = await client.lifecycle.roll_back("digits")
    assert (back.saga, back.version) == ("roll_back", 1)
    assert state(await ended(client, back)) == "succeeded"
    assert await shares() == [1.0, 0.0]
    with pytest.raises(InvalidArgument, match="the shares do not make up all of it"):
        await client.lifecycle.deploy("digits", 2, traffic={2: 0.5})


async def test_an_operation_is_cancelled(client: AsyncClient, stage: Stage) -> None:
    stage.troupe.acts["execute load"] = lambda _call: asyncio.Event().wait()
    begun = await client.lifecycle.deploy("digits", 1)
    cancelled = await client.lifecycle.cancel_operation(begun.id, reason="never mind")
    assert cancelled.cancelling
    last = await ended(client, begun)
    assert (state(last), last.error.message) == ("compensated", "the operation was cancelled")
    with pytest.raises(FailedPrecondition) as refused:
        await client.lifecycle.cancel_operation(begun.id)
    assert refused.value.reason == "OPERATION_ENDED"


async def test_a_failing_compensation_is_retried_on_demand(client: AsyncClient, stage: Stage) -> None:
    stuck = await needing_attention(client, stage)
    assert (await client.lifecycle.status("digits", 1)).condition.needs_attention
    del stage.troupe.acts["compensate load"]
    await client.lifecycle.retry_compensation(stuck.id)
    assert state(await ended(client, stuck)) == "compensated"
    with pytest.raises(FailedPrecondition) as refused:
        await client.lifecycle.retry_compensation(stuck.id)
    assert refused.value.reason == "OPERATION_NEEDS_NO_ATTENTION"


async def test_a_person_settles_what_cannot_be_undone(client: AsyncClient, stage: Stage) -> None:
    stuck = await needing_attention(client, stage)
    with pytest.raises(InvalidArgument, match="there is no state 'gone'"):
        await client.lifecycle.resolve_operation(stuck.id, "unloaded by hand", state="gone")
    async with asyncio.timeout(8):
        while state(settled := await client.lifecycle.get_operation(stuck.id)) != "resolved":
            try:
                settled = await client.lifecycle.resolve_operation(stuck.id, "unloaded by hand")
            except (Aborted, FailedPrecondition):  # it is being tried just now
                await asyncio.sleep(0.01)
    assert settled.resolution == "unloaded by hand"
    status = await client.lifecycle.status("digits", 1)
    assert (status.state, status.operation_id) == ("registered", "")
    newest = await anext(aiter(client.lifecycle.list_transitions("digits")))
    assert (newest.event, newest.reason, newest.operation_id) == ("resolve", "unloaded by hand", stuck.id)


async def test_a_validation_leaves_a_report(client: AsyncClient, stage: Stage) -> None:
    stage.shelf.state = "validating"
    stage.troupe.results["verify_artifact"] = {"artifact_sha256": "ab" * 32}
    stage.troupe.results["evaluate"] = {"metrics": {"accuracy": 0.75, "loss": 0.5}, "examples": 1_000}
    with pytest.raises(NotFound) as unknown:
        await client.lifecycle.validation_report("digits", 1)
    assert unknown.value.reason == "REPORT_UNKNOWN"
    asked = [
        Threshold(metric="accuracy", comparator=COMPARATOR_AT_LEAST, value=0.5),
        Threshold(metric="f1", comparator=COMPARATOR_AT_LEAST, value=0.5),
    ]
    last = await ended(
        client,
        await client.lifecycle.validate("digits", 1, evaluation_set_id="set-1", label="digits:label", thresholds=asked),
    )
    assert state(last) == "compensated"
    report = await client.lifecycle.validation_report("digits", 1)
    assert (report.passed, report.examples, dict(report.metrics)) == (False, 1_000, {"accuracy": 0.75, "loss": 0.5})
    assert [(result.threshold, result.passed) for result in report.thresholds] == [(asked[0], True), (asked[1], False)]
    assert report.thresholds[0].measured == 0.75
    assert not report.thresholds[1].HasField("measured")
    assert last.error.message.startswith(report.reason)
    assert (report.operation_id, report.evaluation_set_id, report.artifact_sha256) == (last.id, "set-1", "ab" * 32)
    with pytest.raises(InvalidArgument, match="thresholds"):
        await client.lifecycle.validate("digits", 1, evaluation_set_id="s", label="g:l", thresholds=[Threshold(metric="f1")])


async def test_the_state_machine_is_given_as_data_and_as_a_diagram(client: AsyncClient) -> None:
    answer = await client.lifecycle.machine()
    machine = answer.machine
    assert machine.initial_state == "created"
    assert [shown.name for shown in machine.states] == list(MACHINE.states)
    assert [(rule.source, rule.event, rule.target) for rule in machine.rules] == [
        (rule.source, rule.event, rule.target) for rule in MACHINE.rules
    ]
    assert {(saga.name, saga.version) for saga in machine.sagas} == {(saga.name, saga.version) for saga in SAGAS.all()}
    deploying = next(shown for shown in machine.states if shown.name == "deploying")
    assert (deploying.in_progress, deploying.timeout.seconds, deploying.legacy_name) == (True, 3_600, "deploying")
    assert answer.diagram.startswith("stateDiagram-v2\n")
    assert (await client.lifecycle.machine()).machine.revision == machine.revision != ""


async def test_a_wait_without_an_end_is_answered_before_the_callers_time_is_over(stub: Any, stage: Stage) -> None:
    stage.troupe.acts["execute load"] = lambda _call: asyncio.Event().wait()
    begun = await stub.DeployVersion(pb.DeployVersionRequest(model_id="digits", version=1), timeout=8)
    answer = await stub.WaitOperation(pb.WaitOperationRequest(operation_id=begun.operation.id), timeout=1.0)
    assert state(answer.operation) == "running"
