"""What the platform's own services tell the coordinator."""

from __future__ import annotations

from typing import Any

import grpc
import pytest

from synapsenet.testing.lifecycle_stage import MODEL, Stage
from synapsenet_api.lifecycle.v1 import lifecycle_control_service_pb2 as pb
from synapsenet_api.lifecycle.v1.version_status_pb2 import Condition
from synapsenet_client import AsyncClient
from synapsenet_servers.peers.failures import translated


async def moved(control: Any, state: str, **other: Any) -> Any:
    request = pb.MoveVersionRequest(model_id=MODEL, version=1, state=state, **other)
    return (await control.MoveVersion(request, timeout=8)).status


async def refusal(control: Any, state: str, **other: Any) -> Any:
    """What a service of the platform makes of the answer."""
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await moved(control, state, **other)
    return translated(refused.value, "lifecycle")


async def test_a_version_is_adopted_once_in_the_state_that_the_registry_has_it_in(
    control: Any, client: AsyncClient, stage: Stage
) -> None:
    stage.shelf.state = "training"
    request = pb.AdoptVersionRequest(model_id=MODEL, version=1)
    first = await control.AdoptVersion(request)
    stage.shelf.state = "registered"
    assert (await control.AdoptVersion(request)) == first
    assert (first.status.state, first.status.sequence) == ("training", 1)
    lines = [line async for line in client.lifecycle.list_transitions(MODEL)]
    assert [(line.event, line.to_state) for line in lines] == [("create", "training")]


async def test_a_version_is_moved_for_whom_the_service_says(control: Any, client: AsyncClient) -> None:
    status = await moved(control, "deprecated", reason="too old", actor="ada", request_id="wish")
    assert (status.state, list(status.allowed_events)) == ("deprecated", ["archive", "restore"])
    newest = await anext(aiter(client.lifecycle.list_transitions(MODEL)))
    assert (newest.actor, newest.reason, newest.request_id) == ("ada", "too old", "wish")
    assert await moved(control, "deprecated", reason="too old", actor="ada", request_id="wish") == status


async def test_a_move_that_takes_several_steps_is_waited_for(control: Any, stage: Stage) -> None:
    stage.shelf.state = "serving"
    assert (await moved(control, "registered")).state == "registered"
    assert stage.troupe.done("execute") == ["shift_traffic", "unload"]
    assert stage.shelf.shown[1].state == "registered"


async def test_a_move_to_where_it_is_sets_the_condition_alone(control: Any, client: AsyncClient) -> None:
    wrong = Condition(reason="DRIFTING", message="look at it")
    assert (await moved(control, "registered", condition=wrong)).condition.reason == "DRIFTING"
    assert not (await moved(control, "registered")).HasField("condition")
    assert [line.event async for line in client.lifecycle.list_transitions(MODEL)] == ["create"]


async def test_a_move_that_there_is_not_is_refused_naming_the_states_that_can_be_reached(control: Any) -> None:
    refused = await refusal(control, "training")
    assert refused.reason == "MOVE_NOT_ALLOWED"
    assert refused.metadata == {"state": "registered", "allowed": "archived,deploying,deprecated"}
    current = await moved(control, "deprecated")
    stale = await refusal(control, "registered", expected_sequence=current.sequence - 1)
    assert stale.reason == "VERSION_CHANGED"


async def test_a_reporter_withdraws_only_what_it_said_itself(control: Any) -> None:
    async def reported(reporter: str, reason: str = "") -> str:
        condition = Condition(reason=reason, message="no room") if reason else None
        request = pb.ReportConditionRequest(model_id=MODEL, version=1, reporter=reporter, condition=condition)
        reason = (await control.ReportCondition(request)).status.condition.reason
        return str(reason)

    assert await reported("inference/a", "RELOAD_FAILED") == "RELOAD_FAILED"
    assert await reported("inference/b", "REPLICA_LOST") == "RELOAD_FAILED"
    assert await reported("inference/a") == "REPLICA_LOST"
    assert await reported("inference/a") == "REPLICA_LOST"
    assert await reported("inference/b") == ""
