"""What the edge refuses itself: in the platform's one form of error, without a call reaching the platform."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import grpc
import httpx
import pytest

from synapsenet_api.experiments.v1 import experiment_service_pb2 as pb
from synapsenet_api.experiments.v1 import experiment_service_pb2_grpc
from tests.integration.mesh.small_platform import Behind

pytestmark = pytest.mark.asyncio(loop_scope="module")

JSON = {"content-type": "application/json"}
INFO = "type.googleapis.com/google.rpc.ErrorInfo"


async def refused(behind: Behind, method: str, url: str, **settings: Any) -> tuple[int, int, str, str]:
    """HTTP status, code, reason and message of the answer to a request that never reached the platform."""
    behind.experiments.calls.clear()
    async with behind.http() as client:
        answer = await client.request(method, url, **settings)
    assert answer.headers["content-type"] == "application/json"
    assert behind.experiments.calls.total() == 0
    body = answer.json()
    assert body["details"][0]["@type"] == INFO
    assert body["details"][0]["domain"] == "synapsenet"
    return answer.status_code, body["code"], body["details"][0]["reason"], body["message"]


async def test_a_misspelt_query_parameter_is_named(behind: Behind) -> None:
    status, code, reason, message = await refused(behind, "GET", "/experiments/compare?experiment_idss=a")
    assert (status, code, reason) == (400, 3, "REQUEST_MALFORMED")
    assert '"experiment_idss"' in message


async def test_a_query_parameter_of_the_wrong_type_is_named_with_its_value(behind: Behind) -> None:
    status, _, _, message = await refused(behind, "GET", "/experiments?page_size=many")
    assert status == 400
    assert "page_size" in message
    assert '"many"' in message


@pytest.mark.parametrize("body", ['{"name": ', "name=x", '{"name": {"a": 1}}', '{"name": "x"} {}'])
async def test_a_body_that_is_not_json_of_the_contract_is_refused(behind: Behind, body: str) -> None:
    status, code, reason, message = await refused(behind, "POST", "/experiments", content=body, headers=JSON)
    assert (status, code, reason) == (400, 3, "REQUEST_MALFORMED")
    assert message.startswith("the request does not fit the contract (")


@pytest.mark.parametrize(("method", "path"), [("GET", "/nowhere"), ("PUT", "/experiments/exp-1"), ("GET", "/")])
async def test_an_unknown_route_is_named(behind: Behind, method: str, path: str) -> None:
    status, code, reason, message = await refused(behind, method, path)
    assert (status, code, reason) == (404, 5, "ROUTE_UNKNOWN")
    assert f"no route {method} {path}:" in message


async def test_a_body_over_the_limit_is_too_large(behind: Behind) -> None:
    body = json.dumps({"name": "x" * (5 << 20)})
    status, code, reason, _ = await refused(behind, "POST", "/experiments", content=body, headers=JSON)
    assert (status, code, reason) == (413, 8, "BODY_TOO_LARGE")


async def test_headers_over_the_limit_are_too_large(behind: Behind) -> None:
    status, code, reason, _ = await refused(behind, "GET", "/experiments/exp-1", headers={"x-much": "x" * 40_000})
    assert (status, code, reason) == (431, 8, "HEADERS_TOO_LARGE")


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example:80", "10.0.0.1"])
async def test_a_foreign_host_name_is_refused(behind: Behind, host: str) -> None:
    status, code, reason, _ = await refused(behind, "GET", "/experiments/exp-1", headers={"host": host})
    assert (status, code, reason) == (421, 7, "HOST_REFUSED")


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1", "[::1]:8080", "mesh.example", "mesh.example:443"])
async def test_its_own_host_names_are_served_with_or_without_a_port(behind: Behind, host: str) -> None:
    async with behind.http() as client:
        assert (await client.get("/experiments/exp-1", headers={"host": host})).status_code == 200


@pytest.mark.parametrize("origin", ["null", "https://evil.example", "http://localhost:1", "http://localhost", "file://"])
async def test_a_page_of_another_origin_is_refused(behind: Behind, origin: str) -> None:
    status, code, reason, _ = await refused(behind, "GET", "/experiments/exp-1", headers={"origin": origin})
    assert (status, code, reason) == (403, 7, "ORIGIN_REFUSED")


async def test_a_page_of_its_own_origin_is_served(behind: Behind) -> None:
    async with behind.http() as client:
        origin = {"origin": f"http://{behind.edge.address}"}
        assert (await client.get("/experiments/exp-1", headers=origin)).status_code == 200


@pytest.mark.parametrize(
    "kind",
    ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain", "Text/Plain;charset=utf-8"],
)
async def test_what_a_web_form_sends_is_refused(behind: Behind, kind: str) -> None:
    content = '{"name": "x"}'
    status, code, reason, message = await refused(
        behind, "POST", "/experiments", content=content, headers={"content-type": kind}
    )
    assert (status, code, reason) == (415, 3, "CONTENT_TYPE_REFUSED")
    assert message.endswith("send application/json")


async def test_a_preflight_gets_no_permission(behind: Behind) -> None:
    headers = {"origin": "https://evil.example", "access-control-request-method": "POST"}
    async with behind.http() as client:
        answer = await client.options("/experiments", headers=headers)
    assert answer.status_code == 403
    assert "access-control-allow-origin" not in answer.headers


async def test_a_grpc_client_under_a_foreign_name_is_refused(behind: Behind) -> None:
    options = [("grpc.default_authority", "evil.example")]
    async with grpc.aio.insecure_channel(behind.edge.address, options=options) as channel:
        stub = experiment_service_pb2_grpc.ExperimentServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await stub.GetExperiment(pb.GetExperimentRequest(experiment_id="exp-1"), timeout=5)
    assert refusal.value.code() is grpc.StatusCode.PERMISSION_DENIED
    assert "edge.hosts" in str(refusal.value.details())


async def test_headers_that_never_end_are_cut_off(behind: Behind) -> None:
    host, port = behind.edge.address.rsplit(":", 1)
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET /experiments/exp-1 HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
    try:
        async with asyncio.timeout(10):
            assert b" 408 " in await reader.readline()
    finally:
        writer.close()


async def test_a_refused_request_does_not_disturb_the_next_on_its_connection(behind: Behind) -> None:
    async with behind.http(limits=httpx.Limits(max_connections=1)) as client:
        assert (await client.get("/nowhere")).status_code == 404
        assert (await client.get("/experiments/exp-1")).status_code == 200
