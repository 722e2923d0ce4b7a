"""One port for HTTP/JSON, NDJSON, gRPC-Web and gRPC: what the edge lets through."""

from __future__ import annotations

import asyncio
import json
import struct
import sys
import time
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from google.rpc.error_details_pb2 import ErrorInfo
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status

from synapsenet_api.experiments.v1 import experiment_service_pb2 as pb
from synapsenet_api.experiments.v1 import experiment_service_pb2_grpc
from synapsenet_api.registry.v1 import registry_control_service_pb2 as control
from synapsenet_api.registry.v1 import registry_control_service_pb2_grpc
from tests.integration.mesh.small_platform import CROWD, Behind

pytestmark = pytest.mark.asyncio(loop_scope="module")

GET_EXPERIMENT = "/synapsenet.experiments.v1.ExperimentService/GetExperiment"


async def get(behind: Behind, url: str, **settings: Any) -> httpx.Response:
    async with behind.http() as client:
        return await client.get(url, **settings)


async def post(behind: Behind, url: str, **settings: Any) -> httpx.Response:
    async with behind.http() as client:
        return await client.post(url, **settings)


async def test_a_resource_is_json_with_the_contracts_field_names_and_empty_fields_shown(behind: Behind) -> None:
    answer = await get(behind, "/experiments/exp-1")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["experiment"]["id"] == "exp-1"
    assert answer.json()["experiment"]["description"] == ""


async def test_a_fixed_path_wins_over_a_path_with_an_id(behind: Behind) -> None:
    answer = await get(behind, "/experiments/compare", params={"experiment_ids": ["exp-1", "exp-2@cfg-3"]})
    assert answer.status_code == 200
    assert behind.analysis.compared == ["exp-1", "exp-2@cfg-3"]
    assert behind.experiments.calls["compare"] == 0


async def test_an_id_in_the_path_may_be_percent_encoded(behind: Behind) -> None:
    answer = await get(behind, "/experiments/exp%2D1%40cfg")
    assert answer.json()["experiment"]["id"] == "exp-1@cfg"


@pytest.mark.parametrize("encoded", ["lr%20%3E%200.1", "lr+%3E+0.1"])
async def test_a_filter_arrives_as_it_was_meant_however_its_blanks_are_encoded(behind: Behind, encoded: str) -> None:
    await get(behind, f"/experiments/search?filter={encoded}")
    assert behind.analysis.filter == "lr > 0.1"


async def test_a_custom_verb_is_a_post_to_the_resource(behind: Behind) -> None:
    answer = await post(behind, "/experiments/runs/run-1:finish", json={"status": "RUN_STATUS_FINISHED"})
    assert answer.json()["run"]["id"] == "run-1"


async def test_a_body_larger_than_envoys_buffers_arrives_whole(behind: Behind) -> None:
    name = "x" * (3 << 20)
    answer = await post(behind, "/experiments", json={"name": name, "request_id": "r"})
    assert answer.json()["experiment"]["name"] == name


async def test_a_server_stream_is_one_json_object_a_line_each_sent_when_it_is_there(behind: Behind) -> None:
    async with (
        behind.http() as client,
        client.stream("GET", "/experiments/runs/run-1/history:stream?metric=loss") as answer,
    ):
        arrived = [(time.monotonic(), json.loads(line)) async for line in answer.aiter_lines()]
    assert len(arrived) == 3
    assert arrived[-1][0] - arrived[0][0] > 0.1


async def test_a_stream_that_fails_after_its_first_message_says_so_in_its_trailers(behind: Behind) -> None:
    reader, writer = await asyncio.open_connection(*behind.edge.address.rsplit(":", 1))
    writer.write(
        b"GET /experiments/runs/breaking/history:stream?metric=loss HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    )
    async with asyncio.timeout(10):
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    assert head.startswith(b"HTTP/1.1 200")
    last_chunk, _, trailers = body.partition(b"\r\n0\r\n")
    assert b"{" in last_chunk
    assert b"grpc-status: 14\r\ngrpc-message: the store went away" in trailers


async def test_a_caller_that_goes_ends_its_call_in_the_platform(behind: Behind) -> None:
    behind.experiments.abandoned.clear()
    behind.experiments.calls.clear()
    async with behind.http() as client:
        call = asyncio.ensure_future(client.get("/experiments/slow"))
        async with asyncio.timeout(10):
            while not behind.experiments.calls["slow"]:
                await asyncio.sleep(0.01)
            call.cancel()
            await behind.experiments.abandoned.wait()


@pytest.mark.parametrize("kind", ["application/json", "application/octet-stream"])
async def test_a_raw_body_passes_both_ways_as_it_is(behind: Behind, kind: str) -> None:
    raw = b'{"inputs": [1, 2.50]}' + bytes(range(256))
    answer = await post(behind, "/v2/models/digits/infer", content=raw, headers={"content-type": kind})
    assert (answer.content, answer.headers["content-type"]) == (raw, kind)


async def test_an_error_over_http_has_the_code_the_sentence_and_the_details(behind: Behind) -> None:
    answer = await get(behind, "/experiments/unknown")
    assert answer.status_code == 404
    assert answer.json()["code"] == 5
    assert answer.json()["message"] == "experiment unknown does not exist"
    (info,) = answer.json()["details"]
    assert (info["reason"], info["domain"], info["metadata"]) == ("EXPERIMENT_UNKNOWN", "synapsenet", {"id": "unknown"})


async def test_retry_after_passes(behind: Behind) -> None:
    answer = await get(behind, "/experiments/busy")
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "3")


async def test_grpc_through_the_edge_answers_and_fails_as_without_it(behind: Behind) -> None:
    found = []
    for target in (behind.edge.address, behind.upstream):
        async with grpc.aio.insecure_channel(target) as channel:
            stub = experiment_service_pb2_grpc.ExperimentServiceStub(channel)
            answer = await stub.GetExperiment(pb.GetExperimentRequest(experiment_id="exp-1"), timeout=5)
            with pytest.raises(grpc.aio.AioRpcError) as refusal:
                await stub.GetExperiment(pb.GetExperimentRequest(experiment_id="unknown"), timeout=5)
            status = rpc_status.from_call(refusal.value)  # type: ignore[arg-type]  # typed for the threaded stack
            found.append((answer, refusal.value.code(), status))
    assert found[0] == found[1]


async def test_the_bound_of_json_bodies_is_none_of_grpcs(behind: Behind) -> None:
    name = "x" * (6 << 20)
    async with grpc.aio.insecure_channel(behind.edge.address, options=[("grpc.max_receive_message_length", -1)]) as channel:
        stub = experiment_service_pb2_grpc.ExperimentServiceStub(channel)
        answer = await stub.CreateExperiment(pb.CreateExperimentRequest(name=name, request_id="r"), timeout=10)
    assert answer.experiment.name == name


async def test_the_callers_deadline_reaches_the_platform_and_no_other_is_invented(behind: Behind) -> None:
    async with grpc.aio.insecure_channel(behind.edge.address) as channel:
        stub = experiment_service_pb2_grpc.ExperimentServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await stub.GetExperiment(pb.GetExperimentRequest(experiment_id="slow"), timeout=0.3)
        assert refusal.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert 0 < (behind.experiments.deadlines[-1] or 0) < 0.4
        await stub.GetExperiment(pb.GetExperimentRequest(experiment_id="exp-1"))
    assert behind.experiments.deadlines[-1] is None


async def test_health_and_reflection_pass(behind: Behind) -> None:
    async with grpc.aio.insecure_channel(behind.edge.address) as channel:
        health = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=5)
    assert health.status == health_pb2.HealthCheckResponse.SERVING
    listed = await grpcurl("-plaintext", behind.edge.address, "list")
    assert "synapsenet.experiments.v1.ExperimentService" in listed.split()
    described = await grpcurl("-plaintext", behind.edge.address, "describe", "synapsenet.experiments.v1.ExperimentService")
    assert "rpc GetExperiment" in described


async def grpcurl(*arguments: str) -> str:
    program = Path(sys.executable).with_name("grpcurl")
    process = await asyncio.create_subprocess_exec(program, *arguments, stdout=asyncio.subprocess.PIPE)
    async with asyncio.timeout(20):
        out, _ = await process.communicate()
    assert process.returncode == 0
    return out.decode()


async def test_grpc_web_passes(behind: Behind) -> None:
    message = pb.GetExperimentRequest(experiment_id="exp-1").SerializeToString()
    answer = await post(
        behind,
        GET_EXPERIMENT,
        content=struct.pack(">BI", 0, len(message)) + message,
        headers={"content-type": "application/grpc-web+proto", "x-grpc-web": "1"},
    )
    size = struct.unpack(">xI", answer.content[:5])[0]
    assert pb.GetExperimentResponse.FromString(answer.content[5 : 5 + size]).experiment.id == "exp-1"
    assert b"grpc-status:0" in answer.content[5 + size :]


async def test_a_control_service_is_not_reachable_through_the_edge(behind: Behind) -> None:
    request = control.CloseModelRequest(model_id="m")
    async with grpc.aio.insecure_channel(behind.upstream) as channel:
        await registry_control_service_pb2_grpc.RegistryControlServiceStub(channel).CloseModel(request, timeout=5)
    async with grpc.aio.insecure_channel(behind.edge.address) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await registry_control_service_pb2_grpc.RegistryControlServiceStub(channel).CloseModel(request, timeout=5)
    assert refusal.value.code() is grpc.StatusCode.UNIMPLEMENTED
    status = rpc_status.from_call(refusal.value)  # type: ignore[arg-type]  # typed for the threaded stack
    info = ErrorInfo()
    assert status is not None
    assert status.details[0].Unpack(info)
    assert info.reason == "METHOD_NOT_ROUTED"


async def test_only_unavailable_is_retried(behind: Behind) -> None:
    for name in ("away", "broken"):
        behind.experiments.calls.clear()
        await get(behind, f"/experiments/{name}")
        assert behind.experiments.calls[name] == {"away": 3, "broken": 1}[name]


async def test_retries_of_many_calls_stay_within_their_budget(behind: Behind) -> None:
    async with behind.http() as client:
        answers = await asyncio.gather(*(client.get("/experiments/crowded") for _ in range(CROWD)))
    assert {answer.status_code for answer in answers} == {503}
    assert CROWD < behind.experiments.calls["crowded"] < 2 * CROWD
