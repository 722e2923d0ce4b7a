"""Watching what happens to models, from wherever a watcher stopped."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest

from synapsenet.lifecycle.model import Condition
from synapsenet.testing.lifecycle_stage import MODEL, Stage
from synapsenet_api.lifecycle.v1.lifecycle_event_pb2 import LifecycleEvent
from synapsenet_api.lifecycle.v1.operation_pb2 import STEP_STATE_DONE
from synapsenet_client import AsyncClient, InvalidArgument


async def taken(client: AsyncClient, count: int, **query: int | str) -> list[LifecycleEvent]:
    """The first `count` events."""
    events: list[LifecycleEvent] = []
    async with asyncio.timeout(8):
        async for event in client.lifecycle.watch_events(**query):  # type: ignore[arg-type]  # each has its own kind
            events.append(event)
            if len(events) == count:
                break
    return events


async def swing(client: AsyncClient, times: int, model: str = "digits") -> None:
    """Take a version there and back, an event each; the first one also creates it."""
    for number in range(times):
        await client.lifecycle.transition(model, 1, "restore" if number % 2 else "deprecate")


async def test_a_deployment_is_told_in_one_order_without_a_gap(client: AsyncClient) -> None:
    begun = await client.lifecycle.deploy("digits", 1)
    last = await client.lifecycle.wait_operation(begun.id, timeout=8)
    seen: list[LifecycleEvent] = []
    async with asyncio.timeout(8):
        async for event in client.lifecycle.watch_events(model_id="digits"):
            seen.append(event)
            if event.WhichOneof("what") == "transition" and event.transition.to_state == "serving":
                break
    assert [event.sequence for event in seen] == list(range(1, len(seen) + 1))
    assert all(one.position < other.position for one, other in pairwise(seen))
    assert {event.model_id for event in seen} == {MODEL}
    assert len({event.id for event in seen}) == len(seen)
    kinds = [event.WhichOneof("what") for event in seen]
    assert set(kinds) == {"transition", "operation", "step_change"}
    moves = [event.transition for event in seen if event.HasField("transition")]
    assert [(move.event, move.to_state) for move in moves] == [
        ("create", "registered"),
        ("deploy", "deploying"),
        ("begin_serving", "serving"),
    ]
    assert [move.sequence for move in moves] == [event.sequence for event in seen if event.HasField("transition")]
    done = [
        event.step_change.step.name
        for event in seen
        if event.HasField("step_change") and event.step_change.step.state == STEP_STATE_DONE
    ]
    assert done == [step.name for step in last.steps]
    assert all(event.operation.id == begun.id for event in seen if event.HasField("operation"))


async def test_a_condition_is_told(client: AsyncClient, stage: Stage) -> None:
    await client.lifecycle.status("digits", 1)
    moved = await stage.lifecycle.coordinator.report_condition(MODEL, 1, "inference/a", None)
    assert moved.sequence == 1
    wrong = Condition(reason="RELOAD_FAILED", message="no room")
    await stage.lifecycle.coordinator.report_condition(MODEL, 1, "inference/a", wrong)
    _, told = await taken(client, 2)
    assert told.condition_change.condition.reason == "RELOAD_FAILED"
    assert (told.condition_change.sequence, told.condition_change.state) == (2, "registered")


async def test_watching_resumes_after_a_position_or_after_a_models_own_number(client: AsyncClient) -> None:
    await swing(client, 3, "mdl-a")
    await swing(client, 2, "mdl-b")
    every = await taken(client, 7)
    assert [(event.model_id, event.sequence) for event in every] == [
        *(("mdl-a", number) for number in (1, 2, 3, 4)),
        *(("mdl-b", number) for number in (1, 2, 3)),
    ]
    assert await taken(client, 4, after_position=every[2].position) == every[3:]
    assert await taken(client, 2, model_id="mdl-a", after_sequence=2) == every[2:4]
    assert await taken(client, 3, model_id="mdl-b", after_sequence=0) == every[4:]

    async def later() -> list[LifecycleEvent]:
        return await taken(client, 1, model_id="mdl-a", after_sequence=4)

    watching = asyncio.create_task(later())
    await swing(client, 2, "mdl-c")
    await client.lifecycle.transition("mdl-a", 1, "restore")
    [event] = await watching
    assert (event.model_id, event.sequence, event.transition.event) == ("mdl-a", 5, "restore")
    with pytest.raises(InvalidArgument) as refused:
        await taken(client, 1, after_sequence=2)
    assert refused.value.reason == "SEQUENCE_NEEDS_MODEL"
