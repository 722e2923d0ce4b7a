"""What is told of the calls that services make to each other, over the channel that they use for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import grpc
import pytest
from opentelemetry.trace import SpanKind, StatusCode

from synapsenet_api.inference.v1 import inference_service_pb2 as inference_pb
from synapsenet_api.inference.v1.inference_service_pb2_grpc import InferenceServiceStub
from synapsenet_api.models.v1 import model_service_pb2 as pb
from synapsenet_api.models.v1.model_service_pb2_grpc import ModelServiceStub
from synapsenet_servers.mesh.channels import open_channel
from tests.integration.telemetry.told import Told, telling_in_memory
from tests.serving import serving_roles

WATCH = "synapsenet.inference.v1.InferenceService/WatchDeployments"
GET = "synapsenet.models.v1.ModelService/GetModel"


@pytest.fixture
def told() -> Iterator[Told]:
    with telling_in_memory() as told:
        yield told


@pytest.fixture
async def channel(told: Told, tmp_path: Path) -> AsyncIterator[grpc.aio.Channel]:
    async with serving_roles(tmp_path, "models", "inference") as roles, open_channel(f"127.0.0.1:{roles.port}") as opened:
        yield opened


async def until(seen: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not seen():
            await asyncio.sleep(0.02)


async def test_both_sides_of_a_call_stand_in_the_trace_of_who_makes_it(channel: grpc.aio.Channel, told: Told) -> None:
    with told.tracer.start_as_current_span("work") as work, pytest.raises(grpc.aio.AioRpcError):
        await ModelServiceStub(channel).GetModel(pb.GetModelRequest(model_id="nobody"))
    await until(lambda: len(told.named(GET)) == 2)

    sides = {span.kind: span for span in told.named(GET)}
    client, server = sides[SpanKind.CLIENT], sides[SpanKind.SERVER]
    assert client.parent is not None
    assert client.parent.span_id == work.get_span_context().span_id
    assert server.parent is not None
    assert server.parent.span_id == client.context.span_id
    assert (client.attributes or {})["rpc.response.status_code"] == "NOT_FOUND"
    assert client.status.status_code is StatusCode.ERROR
    assert told.labels("rpc.client.call.duration", "rpc.method") == {GET}


async def test_a_stream_lasts_until_it_is_given_up_which_is_no_failure(channel: grpc.aio.Channel, told: Told) -> None:
    with told.tracer.start_as_current_span("work"):
        watch = InferenceServiceStub(channel).WatchDeployments(inference_pb.WatchDeploymentsRequest())
        reading = asyncio.ensure_future(watch.read())
        await asyncio.sleep(0.2)
        assert told.named(WATCH) == []
        watch.cancel()
        reading.cancel()
    await until(lambda: len(told.named(WATCH)) == 2)

    sides = {span.kind: span for span in told.named(WATCH)}
    assert {(span.attributes or {})["rpc.response.status_code"] for span in sides.values()} == {"CANCELLED"}
    assert sides[SpanKind.CLIENT].status.status_code is not StatusCode.ERROR
    assert len({span.context.trace_id for span in sides.values()}) == 1


async def test_a_caller_who_stops_waiting_ends_the_call_and_its_spans(channel: grpc.aio.Channel, told: Told) -> None:
    stub = InferenceServiceStub(channel)

    async def watch() -> None:
        async for _ in stub.WatchDeployments(inference_pb.WatchDeploymentsRequest()):
            pass

    watching = asyncio.create_task(watch())
    await asyncio.sleep(0.2)
    watching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await watching

    await until(lambda: len(told.named(WATCH)) == 2)


async def test_nobody_at_the_other_end_is_a_failure_of_the_call(told: Told) -> None:
    async with open_channel("127.0.0.1:1") as nowhere:
        with pytest.raises(grpc.aio.AioRpcError):
            await ModelServiceStub(nowhere).GetModel(pb.GetModelRequest(model_id="x"), timeout=1.0)
        await until(lambda: bool(told.named(GET)))
    assert told.named(GET)[0].status.status_code is StatusCode.ERROR
