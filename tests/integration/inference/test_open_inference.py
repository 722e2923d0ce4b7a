"""The Open Inference Protocol, over gRPC and by its V2 routes' JSON, against the real model."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import grpc
import numpy as np
import pytest
from google.api.httpbody_pb2 import HttpBody
from onnx import TensorProto

from synapsenet.testing.onnx_models import identity_model
from synapsenet_api.inference.v1 import open_inference_rest_service_pb2 as rest_pb
from synapsenet_api.inference.v1.open_inference_rest_service_pb2_grpc import OpenInferenceRestServiceStub
from synapsenet_api.open_inference import grpc_service_pb2 as pb
from synapsenet_api.open_inference.grpc_service_pb2_grpc import GRPCInferenceServiceStub
from tests.integration.inference.conftest import Client
from tests.integration.inference.tensors import pixels, scores

if TYPE_CHECKING:  # these two stand in the type stubs alone
    from synapsenet_api.inference.v1.open_inference_rest_service_pb2_grpc import OpenInferenceRestServiceAsyncStub
    from synapsenet_api.open_inference.grpc_service_pb2_grpc import GRPCInferenceServiceAsyncStub


def infer(array: np.ndarray[Any, Any], *, raw: bool, **fields: Any) -> pb.ModelInferRequest:
    request = pb.ModelInferRequest(model_name="exact", id="request-1", **fields)
    tensor = request.inputs.add(name="pixels", datatype="FP32", shape=array.shape)
    if raw:
        request.raw_input_contents.append(array.tobytes())
    else:
        tensor.contents.fp32_contents.extend(array.ravel().tolist())
    return request


@pytest.fixture
async def public(client: Client) -> GRPCInferenceServiceAsyncStub:
    await client.deploy(await client.register())
    return GRPCInferenceServiceStub(client.channel)


@pytest.fixture
async def routes(client: Client) -> OpenInferenceRestServiceAsyncStub:
    await client.deploy(await client.register())
    return OpenInferenceRestServiceStub(client.channel)


async def test_server_and_model_tell_what_they_are(public: GRPCInferenceServiceAsyncStub) -> None:
    assert (await public.ServerLive(pb.ServerLiveRequest())).live
    assert (await public.ServerReady(pb.ServerReadyRequest())).ready
    assert (await public.ServerMetadata(pb.ServerMetadataRequest())).name == "synapsenet"
    assert (await public.ModelReady(pb.ModelReadyRequest(name="exact", version="1"))).ready
    metadata = await public.ModelMetadata(pb.ModelMetadataRequest(name="exact"))
    assert (metadata.name, list(metadata.versions), metadata.platform) == ("exact", ["1"], "onnx_onnxv1")
    (given,) = metadata.inputs
    assert (given.name, given.datatype, list(given.shape)) == ("pixels", "FP32", [-1, 8])
    assert [(one.name, one.datatype) for one in metadata.outputs] == [("scores", "FP32"), ("label", "INT64")]


@pytest.mark.parametrize("raw", [True, False], ids=["raw", "typed"])
async def test_contents_come_back_as_they_were_sent(public: GRPCInferenceServiceAsyncStub, raw: bool) -> None:
    array = pixels(3)
    answer = await public.ModelInfer(infer(array, raw=raw))
    assert (answer.model_name, answer.model_version, answer.id) == ("exact", "1", "request-1")
    assert [one.name for one in answer.outputs] == ["scores", "label"]
    assert list(answer.outputs[0].shape) == [3, 3]
    if raw:
        assert answer.raw_output_contents[0] == scores(array).tobytes()
    else:
        assert not answer.raw_output_contents
        assert list(answer.outputs[0].contents.fp32_contents) == scores(array).ravel().tolist()
        assert list(answer.outputs[1].contents.int64_contents) == scores(array).argmax(axis=1).tolist()


async def test_only_the_outputs_asked_for_come_back(public: GRPCInferenceServiceAsyncStub) -> None:
    wanted = [pb.ModelInferRequest.InferRequestedOutputTensor(name="label")]
    answer = await public.ModelInfer(infer(pixels(2), raw=False, outputs=wanted))
    assert [one.name for one in answer.outputs] == ["label"]


@pytest.mark.parametrize(
    ("request_", "code", "told"),
    [
        (infer(pixels(2), raw=True, model_version="none"), grpc.StatusCode.INVALID_ARGUMENT, "versions are numbers"),
        (infer(pixels(2), raw=True, model_version="9"), grpc.StatusCode.NOT_FOUND, "9"),
        (infer(pixels(2)[:, :7], raw=True), grpc.StatusCode.INVALID_ARGUMENT, "FLOAT32[-1, 8]"),
        (
            pb.ModelInferRequest(model_name="exact", raw_input_contents=[b""]),
            grpc.StatusCode.INVALID_ARGUMENT,
            "1 raw contents came for 0 inputs",
        ),
    ],
    ids=["version", "unknown version", "shape", "raw count"],
)
async def test_wrong_requests_are_refused_by_name(
    public: GRPCInferenceServiceAsyncStub, request_: pb.ModelInferRequest, code: grpc.StatusCode, told: str
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await public.ModelInfer(request_)
    assert refusal.value.code() is code
    assert told in (refusal.value.details() or "")


async def test_values_outside_their_type_are_refused(client: Client) -> None:
    await client.deploy(await client.register("bytes", identity_model(TensorProto.INT8, ["rows"])))
    request = pb.ModelInferRequest(model_name="bytes")
    request.inputs.add(name="x", datatype="INT8", shape=[2]).contents.int_contents.extend([1, 200])
    with pytest.raises(grpc.aio.AioRpcError, match="values that are no INT8"):
        await GRPCInferenceServiceStub(client.channel).ModelInfer(request)


async def test_texts_travel_as_bytes(client: Client) -> None:
    await client.deploy(await client.register("texts", identity_model(TensorProto.STRING, ["rows"])))
    request = pb.ModelInferRequest(model_name="texts")
    request.inputs.add(name="x", datatype="BYTES", shape=[2]).contents.bytes_contents.extend([b"one", "zwölf".encode()])
    answer = await GRPCInferenceServiceStub(client.channel).ModelInfer(request)
    assert list(answer.outputs[0].contents.bytes_contents) == [b"one", "zwölf".encode()]


async def test_the_index_shows_deployments_with_their_state(public: GRPCInferenceServiceAsyncStub) -> None:
    (entry,) = (await public.RepositoryIndex(pb.RepositoryIndexRequest(ready=True))).models
    assert (entry.name, entry.version, entry.state, entry.reason) == ("exact", "1", "READY", "")


async def test_what_is_to_come_says_so(public: GRPCInferenceServiceAsyncStub) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await public.ModelConfig(pb.ModelConfigRequest(name="exact"))
    assert refusal.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert "in the public protocol's terms" in (refusal.value.details() or "")


def content(body: HttpBody) -> Any:
    assert body.content_type == "application/json"
    return json.loads(body.data)


def posted(body: object, **fields: str) -> rest_pb.InferModelRequest:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return rest_pb.InferModelRequest(model_name="exact", body=HttpBody(content_type="application/json", data=data), **fields)


async def test_the_routes_tell_what_server_and_model_are(routes: OpenInferenceRestServiceAsyncStub) -> None:
    assert content(await routes.CheckServerLive(rest_pb.CheckServerLiveRequest())) == {"live": True}
    assert content(await routes.CheckServerReady(rest_pb.CheckServerReadyRequest())) == {"ready": True}
    assert content(await routes.GetServerMetadata(rest_pb.GetServerMetadataRequest()))["name"] == "synapsenet"
    ready = await routes.CheckModelReady(rest_pb.CheckModelReadyRequest(model_name="exact"))
    assert content(ready) == {"name": "exact", "ready": True}
    metadata = content(await routes.GetModelMetadata(rest_pb.GetModelMetadataRequest(model_name="exact", model_version="1")))
    assert metadata["inputs"] == [{"name": "pixels", "datatype": "FP32", "shape": [-1, 8]}]
    index = content(await routes.IndexRepository(rest_pb.IndexRepositoryRequest()))
    assert index == [{"name": "exact", "version": "1", "state": "READY", "reason": ""}]


@pytest.mark.parametrize("flat", [True, False], ids=["flat", "nested"])
async def test_json_tensors_are_predicted(routes: OpenInferenceRestServiceAsyncStub, flat: bool) -> None:
    array = pixels(2)
    data = array.ravel().tolist() if flat else array.astype(int).tolist()
    body = {
        "id": "request-1",
        "inputs": [{"name": "pixels", "datatype": "FP32", "shape": [2, 8], "data": data}],
        "outputs": [{"name": "scores"}],
    }
    answer = content(await routes.InferModel(posted(body)))
    assert (answer["id"], answer["model_name"], answer["model_version"]) == ("request-1", "exact", "1")
    (output,) = answer["outputs"]
    assert (output["name"], output["datatype"], output["shape"]) == ("scores", "FP32", [2, 3])
    assert output["data"] == scores(array).ravel().tolist()


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"{", "the body is no JSON object"),
        (b"[]", "the body is no JSON object"),
        (b"[" * 100_000, "the body is no JSON object"),
        ({}, "inputs is missing"),
        ({"inputs": [{"name": "pixels"}]}, "inputs[0].datatype is missing"),
        ({"inputs": [{"name": "pixels", "datatype": "FP32", "shape": [1, 8], "data": [[1], [2, 3]]}]}, "'pixels'"),
        ({"inputs": [{"name": "pixels", "datatype": "FP32", "shape": [1, 8], "data": ["a"] * 8}]}, "no FP32"),
        ({"inputs": [{"name": "pixels", "datatype": "INT64", "shape": [1], "data": [1.5]}]}, "no INT64"),
        ({"inputs": [{"name": "pixels", "datatype": "FP32", "shape": [1, 8], "data": [1]}]}, "exactly 32"),
        ({"inputs": [{"name": "pixels", "datatype": "FP32", "shape": [-1], "data": []}]}, "inputs[0].shape"),
    ],
)
async def test_bodies_that_are_no_request_are_refused_by_name(
    routes: OpenInferenceRestServiceAsyncStub, body: object, told: str
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await routes.InferModel(posted(body))
    assert refusal.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert told in (refusal.value.details() or "")


async def test_numbers_that_json_has_no_word_for_are_not_made_up(client: Client) -> None:
    await client.deploy(await client.register("same", identity_model(TensorProto.FLOAT, ["rows"])))
    routes = OpenInferenceRestServiceStub(client.channel)
    body = b'{"inputs": [{"name": "x", "datatype": "FP32", "shape": [1], "data": [1e999]}]}'
    request = rest_pb.InferModelRequest(model_name="same", body=HttpBody(data=body))
    with pytest.raises(grpc.aio.AioRpcError, match="ask over gRPC"):
        await routes.InferModel(request)


async def test_binary_tensors_over_http_are_to_come(routes: OpenInferenceRestServiceAsyncStub) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await routes.InferModel(posted({}), metadata=(("inference-header-content-length", "2"),))
    assert refusal.value.code() is grpc.StatusCode.UNIMPLEMENTED
