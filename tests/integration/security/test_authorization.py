"""Who may call what, over real connections: certificates decide on the mesh, tokens on everybody else, headers on nothing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import ErrorInfo
from grpc_channelz.v1 import channelz_pb2, channelz_pb2_grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_status import rpc_status

from synapsenet_api.inference.v1 import inference_control_service_pb2 as control
from synapsenet_api.inference.v1 import inference_control_service_pb2_grpc as control_grpc
from synapsenet_api.models.v1 import model_service_pb2 as models
from synapsenet_api.models.v1 import model_service_pb2_grpc as models_grpc
from synapsenet_api.registry.v1 import registry_service_pb2 as registry
from synapsenet_api.registry.v1 import registry_service_pb2_grpc as registry_grpc
from tests.secured_server import ENDLESS, MODELS, PARTS, SecuredServer, secured_server

Headers = Sequence[tuple[str, str | bytes]]
GET = f"/{MODELS}/GetModel"
UNLOAD = control.UnloadModelRequest(
    model_id="m", version=1, fence=control.OperationFence(operation_id="op-1", step="unload", epoch=1, token=1)
)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[SecuredServer]:
    async with secured_server(tmp_path) as running:
        yield running


def bearer(text: str) -> Headers:
    return [("authorization", f"Bearer {text}")]


async def get(channel: grpc.aio.Channel, metadata: Headers = ()) -> str:
    stub = models_grpc.ModelServiceStub(channel)
    answer = await stub.GetModel(models.GetModelRequest(model_id="m"), metadata=tuple(metadata), timeout=10)
    return answer.model.name


def raw(channel: grpc.aio.Channel) -> Any:
    """The channel for bytes as they are, of which the stubs of its types know nothing."""
    return channel


async def refused(call: Any) -> tuple[str, str, str]:
    """Status, reason and sentence of a call that must fail."""
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await call
    status = rpc_status.from_call(refusal.value)  # type: ignore[arg-type]  # typed for the threaded stack, works for both
    info = ErrorInfo()
    if status is not None:
        for detail in status.details:
            detail.Unpack(info)
    return refusal.value.code().name, info.reason, refusal.value.details() or ""


async def test_the_mesh_calls_everything_without_a_token(server: SecuredServer) -> None:
    async with server.channel("mesh") as channel:
        assert await get(channel) == "m"
        await control_grpc.InferenceControlServiceStub(channel).UnloadModel(UNLOAD, timeout=10)


@pytest.mark.parametrize("shown", ["edge", "client", "etcd"])
async def test_no_other_certificate_of_our_authority_opens_a_control_service_whatever_its_token(
    server: SecuredServer, shown: str
) -> None:
    _, text = await server.token("*:admin")
    async with server.channel(shown) as channel:
        stub = control_grpc.InferenceControlServiceStub(channel)
        code, reason, sentence = await refused(stub.UnloadModel(UNLOAD, metadata=tuple(bearer(text)), timeout=10))
        assert (code, reason) == ("PERMISSION_DENIED", "MESH_IDENTITY_MISSING")
        assert "spiffe://synapsenet/mesh" in sentence


@pytest.mark.parametrize("shown", ["edge", "client"])
async def test_whoever_is_not_the_mesh_needs_a_token_with_the_scope_of_the_call(server: SecuredServer, shown: str) -> None:
    _, reads = await server.token("features:admin", "models:read")
    stub_request = models.CreateModelRequest(name="m")
    async with server.channel(shown) as channel:
        code, reason, sentence = await refused(get(channel))
        assert (code, reason) == ("UNAUTHENTICATED", "TOKEN_MISSING")
        assert "models:read" in sentence
        assert await get(channel, bearer(reads)) == "m"
        create = models_grpc.ModelServiceStub(channel).CreateModel(stub_request, metadata=tuple(bearer(reads)), timeout=10)
        code, reason, sentence = await refused(create)
        assert (code, reason) == ("PERMISSION_DENIED", "SCOPE_MISSING")
        assert "models:write" in sentence


async def test_streams_are_asked_too_in_either_direction(server: SecuredServer) -> None:
    _, text = await server.token("registry:write")

    async def parts() -> AsyncIterator[registry.UploadArtifactRequest]:
        yield registry.UploadArtifactRequest()

    async with server.channel("edge") as channel:
        stub = registry_grpc.RegistryServiceStub(channel)
        wanted = registry.DownloadArtifactRequest(model_id="m", version=1)
        assert [part.data async for part in stub.DownloadArtifact(wanted, metadata=tuple(bearer(text)), timeout=10)] == [
            b"x"
        ] * 3
        await stub.UploadArtifact(parts(), metadata=tuple(bearer(text)), timeout=10)
        assert (await refused(stub.DownloadArtifact(wanted, timeout=10).read()))[1] == "TOKEN_MISSING"
        assert (await refused(stub.UploadArtifact(parts(), timeout=10)))[1] == "TOKEN_MISSING"


async def test_the_refusal_comes_before_any_message_is_sent(server: SecuredServer) -> None:
    """A caller that sends headers and then nothing is answered; so nobody can have a message read, or held, for nothing."""
    async with server.channel("edge") as channel:
        for method in (GET, f"/{MODELS}/CreateModel", "/synapsenet.registry.v1.RegistryService/DownloadArtifact"):
            silent = raw(channel).stream_stream(method)(timeout=10)
            assert (await refused(silent.read()))[1] == "TOKEN_MISSING"
        garbage = raw(channel).unary_unary(GET)(b"\xff" * 100_000, timeout=10)
        assert (await refused(garbage))[1] == "TOKEN_MISSING"


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        ([("authorization", "")], "TOKEN_MALFORMED"),
        ([("authorization", "Bearer")], "TOKEN_MALFORMED"),
        ([("authorization", "Bearer ")], "TOKEN_MALFORMED"),
        ([("authorization", "Basic YWRtaW46YWRtaW4=")], "TOKEN_MALFORMED"),
        ([("authorization", "Bearer admin")], "TOKEN_MALFORMED"),
        ([("authorization", "Bearer " + "x" * 60_000)], "TOKEN_MALFORMED"),
        ([("authorization", "Bearer snt_" + "0" * 16 + "_" + "A" * 43)], "TOKEN_UNKNOWN"),
        ([("authorization", "Bearer snt_" + "0" * 16 + "_" + "A" * 43)] * 2, "TOKEN_MALFORMED"),
        ([("authorization-bin", b"\x00\xff")], "TOKEN_MISSING"),
        ([("proxy-authorization", "Bearer x"), ("x-api-key", "x"), ("cookie", "token=x")], "TOKEN_MISSING"),
        ([("x-forwarded-client-cert", "By=x;Hash=00;URI=spiffe://synapsenet/mesh")], "TOKEN_MISSING"),
        ([("x-spiffe-id", "spiffe://synapsenet/mesh"), ("x-envoy-peer-identity", "mesh")], "TOKEN_MISSING"),
    ],
)
async def test_no_header_stands_for_a_certificate_and_garbage_is_no_token(
    server: SecuredServer, metadata: Headers, reason: str
) -> None:
    async with server.channel("edge") as channel:
        code, found, sentence = await refused(get(channel, metadata))
        assert (code, found) == ("UNAUTHENTICATED", reason)
        assert "x" * 100 not in sentence


async def test_a_token_in_the_query_or_the_path_is_none(server: SecuredServer) -> None:
    _, text = await server.token("*:admin")
    async with server.channel("edge") as channel:
        code, _, _ = await refused(raw(channel).unary_unary(f"{GET}?access_token={text}")(b"", timeout=10))
        assert code == "UNIMPLEMENTED"


async def test_health_and_reflection_are_open_and_the_state_of_connections_is_the_operators(server: SecuredServer) -> None:
    _, reads = await server.token("*:read")
    _, operator = await server.token("platform:admin")
    async with server.channel("edge") as channel:
        health = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=MODELS), timeout=10)
        assert health.status == health_pb2.HealthCheckResponse.SERVING
        asked = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(timeout=10)
        await asked.write(reflection_pb2.ServerReflectionRequest(list_services=""))
        assert MODELS in {service.name for service in (await asked.read()).list_services_response.service}
        await asked.done_writing()
        channelz = channelz_pb2_grpc.ChannelzStub(channel)
        wanted = channelz_pb2.GetServersRequest()
        assert (await refused(channelz.GetServers(wanted, timeout=10)))[1] == "TOKEN_MISSING"
        assert (await refused(channelz.GetServers(wanted, metadata=bearer(reads), timeout=10)))[1] == "SCOPE_MISSING"
        await channelz.GetServers(wanted, metadata=bearer(operator), timeout=10)


async def test_a_revoked_token_is_out_within_seconds_and_a_short_one_ends(server: SecuredServer) -> None:
    token, text = await server.token("models:read")
    _, short = await server.token("models:read", expires_in=timedelta(seconds=1))
    async with server.channel("edge") as channel:
        await get(channel, bearer(text))
        await get(channel, bearer(short))
        assert token.expires_at is None
        await server.tokens.revoke(token.id, token.created_at + timedelta(seconds=1))
        await asyncio.sleep(1.1)
        for gone, reason in ((text, "TOKEN_REVOKED"), (short, "TOKEN_EXPIRED")):
            code, found, sentence = await refused(get(channel, bearer(gone)))
            assert (code, found) == ("UNAUTHENTICATED", reason)
            assert gone not in sentence


async def test_streams_end_with_the_token_that_they_began_with(server: SecuredServer) -> None:
    token, text = await server.token("registry:write")
    _, other = await server.token("registry:write")
    wanted = registry.DownloadArtifactRequest(model_id=ENDLESS, version=1)

    async def silence() -> AsyncIterator[registry.UploadArtifactRequest]:
        yield registry.UploadArtifactRequest()
        await asyncio.Event().wait()

    async with server.channel("edge") as channel:
        stub = registry_grpc.RegistryServiceStub(channel)
        streams = [stub.DownloadArtifact(wanted, metadata=tuple(bearer(each)), timeout=30) for each in (text, other)]
        upload = stub.UploadArtifact(silence(), metadata=tuple(bearer(text)), timeout=30)
        for stream in streams:
            parts: list[Any] = [await stream.read() for _ in range(PARTS)]
            assert [part.data for part in parts] == [b"x"] * PARTS
        await server.tokens.revoke(token.id, token.created_at + timedelta(seconds=1))
        async with asyncio.timeout(5):
            for ended in (streams[0].read(), upload):
                code, reason, _ = await refused(ended)
                assert (code, reason) == ("UNAUTHENTICATED", "TOKEN_REVOKED")
        assert not streams[1].done()
        streams[1].cancel()


async def test_an_anonymous_edge_asks_for_no_token_but_believes_no_false_one(tmp_path: Path) -> None:
    async with secured_server(tmp_path, anonymous=True) as server:
        async with server.channel("edge") as edge:
            assert await get(edge) == "m"
            assert (await refused(get(edge, bearer("snt_" + "0" * 16 + "_" + "A" * 43))))[1] == "TOKEN_UNKNOWN"
            stub = control_grpc.InferenceControlServiceStub(edge)
            assert (await refused(stub.UnloadModel(UNLOAD, timeout=10)))[1] == "MESH_IDENTITY_MISSING"
        async with server.channel("client") as past_the_edge:
            assert (await refused(get(past_the_edge)))[1] == "TOKEN_MISSING"


async def test_where_the_operator_does_without_tokens_a_certificate_is_enough_but_not_for_the_mesh(tmp_path: Path) -> None:
    async with secured_server(tmp_path, tokens=False) as server:
        for shown in ("edge", "client"):
            async with server.channel(shown) as channel:
                assert await get(channel) == "m"
                assert await get(channel, bearer("of another platform")) == "m"
                stub = control_grpc.InferenceControlServiceStub(channel)
                assert (await refused(stub.UnloadModel(UNLOAD, timeout=10)))[1] == "MESH_IDENTITY_MISSING"


async def test_every_refusal_is_logged_with_who_what_and_why_and_without_the_secret(
    server: SecuredServer, caplog: pytest.LogCaptureFixture
) -> None:
    token, text = await server.token("features:read")
    secret = text.rpartition(f"{token.id}_")[2]
    wrong = f"snt_{token.id}_{'B' * 43}"
    with caplog.at_level(logging.DEBUG):
        async with server.channel("edge") as channel:
            await refused(get(channel, bearer(text)))
            await refused(get(channel, bearer(wrong)))
            await refused(get(channel, bearer("hunter2")))
            await refused(get(channel))
    told = [record.getMessage() for record in caplog.records if record.name.endswith("authorization")]
    assert [line.split(": ")[1].split()[0] for line in told] == [
        "SCOPE_MISSING",
        "TOKEN_UNKNOWN",
        "TOKEN_MALFORMED",
        "TOKEN_MISSING",
    ]
    assert all(GET in line and "spiffe://synapsenet/edge" in line and "ipv" in line for line in told)
    assert token.id in told[0]
    for hidden in (secret, "B" * 43, "hunter2"):
        assert hidden not in caplog.text
