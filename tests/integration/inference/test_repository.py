"""Load and unload of the Open Inference Protocol: lifecycle operations, which are waited for."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import grpc
import pytest
from google.api.httpbody_pb2 import HttpBody
from onnx import TensorProto

from synapsenet.testing.onnx_models import identity_model
from synapsenet_api.inference.v1 import open_inference_rest_service_pb2 as rest_pb
from synapsenet_api.inference.v1.open_inference_rest_service_pb2_grpc import OpenInferenceRestServiceStub
from synapsenet_api.lifecycle.v1 import lifecycle_service_pb2 as lifecycle_pb
from synapsenet_api.lifecycle.v1.lifecycle_service_pb2_grpc import LifecycleServiceStub
from synapsenet_api.open_inference import grpc_service_pb2 as pb
from synapsenet_api.open_inference.grpc_service_pb2_grpc import GRPCInferenceServiceStub
from synapsenet_api.registry.v1 import version_pb2
from tests.integration.inference.conftest import Client

if TYPE_CHECKING:  # these stand in the type stubs alone
    from synapsenet_api.inference.v1.open_inference_rest_service_pb2_grpc import OpenInferenceRestServiceAsyncStub
    from synapsenet_api.open_inference.grpc_service_pb2_grpc import GRPCInferenceServiceAsyncStub


@pytest.fixture
def public(client: Client) -> GRPCInferenceServiceAsyncStub:
    return GRPCInferenceServiceStub(client.channel)


@pytest.fixture
def routes(client: Client) -> OpenInferenceRestServiceAsyncStub:
    return OpenInferenceRestServiceStub(client.channel)


def load(model: str = "exact", **parameters: str | int | bool) -> pb.RepositoryModelLoadRequest:
    request = pb.RepositoryModelLoadRequest(model_name=model)
    for name, value in parameters.items():
        kind = {bool: "bool_param", int: "int64_param", str: "string_param"}[type(value)]
        setattr(request.parameters[name], kind, value)
    return request


def unload(model: str = "exact", **parameters: str | int | bool) -> pb.RepositoryModelUnloadRequest:
    return pb.RepositoryModelUnloadRequest(model_name=model, parameters=load(model, **parameters).parameters)


def body(content: object) -> HttpBody:
    return HttpBody(content_type="application/json", data=json.dumps(content).encode())


async def operations(client: Client) -> list[tuple[str, int]]:
    """The sagas carried out so far with their versions, the oldest first."""
    stub = LifecycleServiceStub(client.channel)
    found = (await stub.ListOperations(lifecycle_pb.ListOperationsRequest())).operations
    return [(one.saga, one.version) for one in reversed(found)]


async def loaded(public: GRPCInferenceServiceAsyncStub) -> list[str]:
    index = await public.RepositoryIndex(pb.RepositoryIndexRequest(ready=True))
    return [entry.version for entry in index.models]


async def test_a_load_is_a_deployment_of_the_newest_version_and_an_unload_ends_what_is_deployed(
    client: Client, public: GRPCInferenceServiceAsyncStub
) -> None:
    first, second = await client.register(), await client.register()
    await public.RepositoryModelLoad(load(), timeout=20)
    assert await loaded(public) == ["2"]
    assert (await client.state(second)).state == version_pb2.VERSION_STATE_SERVING
    await public.RepositoryModelLoad(load(), timeout=20)
    await public.RepositoryModelLoad(load(version=1), timeout=20)
    assert await loaded(public) == ["1", "2"]
    await public.RepositoryModelUnload(unload(version="1", unload_dependents=False), timeout=20)
    assert await loaded(public) == ["2"]
    assert (await client.state(first)).state == version_pb2.VERSION_STATE_REGISTERED
    await public.RepositoryModelLoad(load(version="1"), timeout=20)
    await public.RepositoryModelUnload(unload(), timeout=20)
    assert await loaded(public) == []
    assert await operations(client) == [
        ("deploy", 2),
        ("deploy", 1),
        ("undeploy", 1),
        ("deploy", 1),
        ("undeploy", 1),
        ("undeploy", 2),
    ]


async def test_the_routes_over_http_load_and_unload_by_operations_too(
    client: Client, routes: OpenInferenceRestServiceAsyncStub, public: GRPCInferenceServiceAsyncStub
) -> None:
    await client.register()
    answer = await routes.LoadRepositoryModel(rest_pb.LoadRepositoryModelRequest(model_name="exact"), timeout=20)
    assert json.loads(answer.data) == {}
    assert await loaded(public) == ["1"]
    wish = body({"parameters": {"version": "1"}})
    await routes.UnloadRepositoryModel(rest_pb.UnloadRepositoryModelRequest(model_name="exact", body=wish), timeout=20)
    assert await loaded(public) == []
    assert await operations(client) == [("deploy", 1), ("undeploy", 1)]


async def test_what_cannot_be_loaded_says_why_and_is_as_it_was(client: Client, public: GRPCInferenceServiceAsyncStub) -> None:
    version = await client.register("broken", identity_model(TensorProto.BFLOAT16, ["rows"]))
    for request, code, told in (
        (load("broken"), grpc.StatusCode.INVALID_ARGUMENT, ""),
        (load("nobody"), grpc.StatusCode.NOT_FOUND, "there is no model nobody"),
        (load("broken", version=9), grpc.StatusCode.NOT_FOUND, "has no version 9"),
        (load("broken", version="first"), grpc.StatusCode.INVALID_ARGUMENT, "versions are numbers"),
        (load("broken", config="{}"), grpc.StatusCode.INVALID_ARGUMENT, "no parameter 'config'"),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await public.RepositoryModelLoad(request, timeout=20)
        assert refusal.value.code() is code
        assert told in (refusal.value.details() or "")
    found = await client.state(version)
    assert found.state == version_pb2.VERSION_STATE_REGISTERED
    for wish in (unload("broken"), unload("broken", version=1), unload("nobody")):
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await public.RepositoryModelUnload(wish, timeout=20)
        assert refusal.value.code() in (grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.NOT_FOUND)
