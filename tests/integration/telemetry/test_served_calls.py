"""What is told of the calls of served roles: statuses, bounded labels, calls under way, lines of logs with the trace's ids."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from synapsenet_api.inference.v1 import inference_service_pb2 as inference_pb
from synapsenet_api.inference.v1.inference_service_pb2_grpc import InferenceServiceStub
from synapsenet_api.models.v1 import model_service_pb2 as pb
from synapsenet_api.models.v1.model_service_pb2_grpc import ModelServiceStub
from synapsenet_servers.telemetry.logs import JsonLines
from synapsenet_servers.telemetry.opening import current_ids
from tests.integration.telemetry.told import Told, telling_in_memory
from tests.serving import ServedRoles, serving_roles

WATCH = "synapsenet.inference.v1.InferenceService/WatchDeployments"
GET = "synapsenet.models.v1.ModelService/GetModel"


@pytest.fixture
def told() -> Iterator[Told]:
    with telling_in_memory() as told:
        yield told


async def get(roles: ServedRoles, model: str) -> grpc.StatusCode:
    try:
        await ModelServiceStub(roles.channel).GetModel(pb.GetModelRequest(model_id=model), timeout=10)
    except grpc.aio.AioRpcError as error:
        return error.code()
    return grpc.StatusCode.OK


async def until(seen: Any) -> None:
    async with asyncio.timeout(10):
        while not seen():
            await asyncio.sleep(0.02)


async def test_a_call_is_counted_by_method_and_status_and_its_refusal_by_reason(told: Told, tmp_path: Path) -> None:
    async with serving_roles(tmp_path, "models") as roles:
        assert await get(roles, "nobody") is grpc.StatusCode.NOT_FOUND
        served = {labels["rpc.method"]: (labels, point) for labels, point in told.metric("rpc.server.call.duration")}
    labels, point = served[GET]
    assert labels == {"rpc.system.name": "grpc", "rpc.method": GET, "rpc.response.status_code": "NOT_FOUND"}
    assert point.count == 1
    assert 0 < point.sum < 10
    refused = [labels for labels, _ in told.metric("synapsenet.rpc.server.refusals")]
    assert refused == [{"rpc.method": GET, "error.type": "MODEL_UNKNOWN"}]


async def test_headers_that_make_no_trace_are_left_alone_and_fill_no_log(
    told: Told, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    headers = (
        ("traceparent", "00-zz-1-01"),
        ("tracestate", "=,,a b=c"),
        ("baggage", "=c,x;y,%%%=1," + "k!(=v," * 50),
        ("b3-bin", b"\x00\xff"),
    )
    async with serving_roles(tmp_path, "models") as roles:
        await ModelServiceStub(roles.channel).ListModels(pb.ListModelsRequest(), timeout=10, metadata=headers)
    (span,) = told.named("synapsenet.models.v1.ModelService/ListModels")
    assert span.parent is None
    assert [record.getMessage() for record in caplog.records if record.name.startswith("opentelemetry")] == []


async def test_methods_that_nobody_knows_share_one_label(told: Told, tmp_path: Path) -> None:
    async with serving_roles(tmp_path, "models") as roles:
        for number in range(20):
            call = roles.channel.unary_unary(f"/synapsenet.models.v1.ModelService/Guess{number}", bytes, bytes)
            with pytest.raises(grpc.aio.AioRpcError):
                await call(b"", timeout=10)
        methods = [labels["rpc.method"] for labels, _ in told.metric("rpc.server.call.duration")]
    assert methods == ["_OTHER"]
    (span, *_) = told.named("grpc")
    assert (span.attributes or {})["rpc.method_original"] == "/synapsenet.models.v1.ModelService/Guess0"


async def test_a_stream_is_under_way_until_its_caller_leaves(told: Told, tmp_path: Path) -> None:
    def under_way() -> float:
        active = {labels["rpc.method"]: point.value for labels, point in told.metric("synapsenet.rpc.server.active_calls")}
        return float(active.get(WATCH, 0))

    async with serving_roles(tmp_path, "models", "inference") as roles:
        watch = InferenceServiceStub(roles.channel).WatchDeployments(inference_pb.WatchDeploymentsRequest(), timeout=60)
        reading = asyncio.ensure_future(watch.read())
        await get(roles, "x")  # so that there is something to read
        await until(lambda: under_way() == 1)
        watch.cancel()
        await until(lambda: under_way() == 0)
        reading.cancel()
    (span,) = told.named(WATCH)
    assert (span.attributes or {})["rpc.response.status_code"] == "CANCELLED"


async def test_a_call_that_ran_out_of_its_time_says_so(told: Told, tmp_path: Path) -> None:
    async with serving_roles(tmp_path, "inference") as roles:
        watch = InferenceServiceStub(roles.channel).WatchDeployments(inference_pb.WatchDeploymentsRequest(), timeout=0.3)
        with pytest.raises(grpc.aio.AioRpcError) as ended:
            await asyncio.wait_for(_all(watch), 10)
        await until(lambda: told.named(WATCH))
    assert ended.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert (told.named(WATCH)[0].attributes or {})["rpc.response.status_code"] == "DEADLINE_EXCEEDED"


async def _all(stream: Any) -> None:
    async for _ in stream:
        pass


async def test_transactions_and_statements_are_timed_by_area(told: Told, tmp_path: Path) -> None:
    async with serving_roles(tmp_path, "models") as roles:
        await ModelServiceStub(roles.channel).CreateModel(pb.CreateModelRequest(name="timed"), timeout=10)
        transactions = [labels for labels, _ in told.metric("synapsenet.db.transaction.duration")]
        statements = [labels for labels, _ in told.metric("db.client.operation.duration")]
        waiting = {labels["db.namespace"]: point.value for labels, point in told.metric("synapsenet.db.writers.waiting")}
        pools = [labels for labels, _ in told.metric("db.client.connection.count")]
    assert {"db.namespace": "models", "synapsenet.transaction.kind": "write"} in transactions
    assert {"db.system.name": "sqlite", "db.namespace": "models", "db.operation.name": "INSERT"} in statements
    assert waiting["models"] == 0
    assert {"db.client.connection.pool.name": "models/write", "db.client.connection.state": "idle"} in pools


async def test_a_line_logged_in_a_call_carries_the_ids_of_its_trace(
    told: Told, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[str] = []

    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(self.format(record))

    def broken(*_: Any) -> Any:
        raise RuntimeError("the disk's token=abcdef is bent")

    monkeypatch.setattr("synapsenet.models.service.ModelCatalogue.model", broken)
    handler = Kept()
    handler.setFormatter(JsonLines(service="models", instance="", ids=current_ids))
    logging.getLogger("synapsenet_servers").addHandler(handler)
    try:
        async with serving_roles(tmp_path, "models") as roles:
            assert await get(roles, "x") is grpc.StatusCode.INTERNAL
    finally:
        logging.getLogger("synapsenet_servers").removeHandler(handler)

    (line,) = [json.loads(line) for line in lines if "incident" in line]
    (span,) = told.named(GET)
    assert line["trace_id"] == f"{span.context.trace_id:032x}"
    assert line["span_id"] == f"{span.context.span_id:016x}"
    assert line["error"]["type"] == "RuntimeError"
    assert "abcdef" not in json.dumps(line)
    assert not span.status.is_ok
