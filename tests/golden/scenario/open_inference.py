"""The Open Inference Protocol over gRPC, and its V2 routes as the service behind them: the same models, in public terms."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from google.api.httpbody_pb2 import HttpBody

from synapsenet_api.inference.v1 import open_inference_rest_service_pb2 as rest_pb
from synapsenet_api.open_inference import grpc_service_pb2 as pb
from tests.golden.scenario.inference import rows
from tests.golden.script import Script

_OPEN = "inference.GRPCInferenceService"
_REST = "synapsenet.inference.v1.OpenInferenceRestService"

_SOME = rows()[:2]
_INPUT = {"name": "pixels", "datatype": "FP32", "shape": [2, 8], "data": _SOME.ravel().tolist()}


async def record_open_inference(script: Script) -> None:
    await _server(script)
    await _models(script)
    await _infer(script)
    await _refused_inferences(script)
    await _not_yet(script)


async def record_open_inference_rest(script: Script) -> None:
    await _rest_server(script)
    await _rest_models(script)
    await _rest_infer(script)
    await _refused_rest_inferences(script)
    await _rest_not_yet(script)


async def _server(script: Script) -> None:
    await script.call(f"{_OPEN}/ServerLive", pb.ServerLiveRequest(), says="it lives")
    await script.call(f"{_OPEN}/ServerReady", pb.ServerReadyRequest(), says="it is ready")
    await script.call(f"{_OPEN}/ServerMetadata", pb.ServerMetadataRequest(), says="its name and release")
    await script.call(f"{_OPEN}/RepositoryIndex", pb.RepositoryIndexRequest(), says="what is deployed")
    await script.call(f"{_OPEN}/RepositoryIndex", pb.RepositoryIndexRequest(ready=True), says="what of it serves")


async def _models(script: Script) -> None:
    asked = (("exact", ""), ("exact", "2"), ("exact", "3"), ("exact", "9"), ("exact", "first"), ("nobody", ""))
    for name, version in asked:
        says = f"{name} {version or 'without a version'}"
        await script.call(f"{_OPEN}/ModelReady", pb.ModelReadyRequest(name=name, version=version), says=says)
        await script.call(f"{_OPEN}/ModelMetadata", pb.ModelMetadataRequest(name=name, version=version), says=says)


def _request(**changes: Any) -> pb.ModelInferRequest:
    given = pb.ModelInferRequest.InferInputTensor(name="pixels", datatype="FP32", shape=[2, 8])
    given.contents.fp32_contents.extend(_SOME.ravel().tolist())
    return pb.ModelInferRequest(**({"model_name": "exact", "id": "call-1", "inputs": [given]} | changes))


def _raw(*contents: bytes) -> pb.ModelInferRequest:
    given = pb.ModelInferRequest.InferInputTensor(name="pixels", datatype="FP32", shape=[2, 8])
    return pb.ModelInferRequest(model_name="exact", inputs=[given], raw_input_contents=contents)


async def _infer(script: Script) -> None:
    infer = f"{_OPEN}/ModelInfer"
    raw = _SOME.astype("<f4").tobytes()
    await script.call(infer, _request(), says="typed contents")
    await script.call(infer, _raw(raw), says="raw contents")
    wanted = pb.ModelInferRequest.InferRequestedOutputTensor(name="label")
    await script.call(infer, _request(model_version="2", outputs=[wanted]), says="one output of version 2")
    places = pb.ModelInferRequest.InferInputTensor(name="places", datatype="INT64", shape=[3])
    places.contents.int64_contents.extend([1, 2, 3])
    await script.call(infer, _request(model_name="spare", inputs=[places]), says="whole numbers to another model")


async def _refused_inferences(script: Script) -> None:
    infer = f"{_OPEN}/ModelInfer"
    raw = _SOME.astype("<f4").tobytes()
    await script.call(infer, _raw(raw, raw), says="more raw contents than inputs")
    await script.call(infer, _request(raw_input_contents=[raw]), says="raw and typed contents")
    await script.call(infer, _request(model_name="nobody"), says="an unknown model")
    await script.call(infer, _request(model_version="3"), says="a version that is not deployed")
    await script.call(infer, _request(model_version="first"), says="a version that is no number")
    none = pb.ModelInferRequest.InferRequestedOutputTensor(name="none")
    await script.call(infer, _request(outputs=[none]), says="an unknown output")
    await script.call(infer, _request(inputs=[]), says="no inputs")
    for datatype in ("FP64", "FLOAT"):
        given = pb.ModelInferRequest.InferInputTensor(name="pixels", datatype=datatype, shape=[2, 8])
        await script.call(infer, _request(inputs=[given]), says=f"type {datatype}")


async def _not_yet(script: Script) -> None:
    says = "not available yet"
    await script.call(f"{_OPEN}/ModelStreamInfer", _request(), says=says, to_come="")
    await script.call(f"{_OPEN}/ModelConfig", pb.ModelConfigRequest(name="exact"), says=says, to_come="")
    await script.call(f"{_OPEN}/ModelStatistics", pb.ModelStatisticsRequest(name="exact"), says=says, to_come="")
    await script.call(f"{_OPEN}/RepositoryModelLoad", pb.RepositoryModelLoadRequest(model_name="exact"), says=says, to_come="")
    await script.call(
        f"{_OPEN}/RepositoryModelUnload", pb.RepositoryModelUnloadRequest(model_name="exact"), says=says, to_come=""
    )


async def _rest_server(script: Script) -> None:
    await script.call(f"{_REST}/GetServerMetadata", rest_pb.GetServerMetadataRequest(), says="its name and release")
    await script.call(f"{_REST}/CheckServerLive", rest_pb.CheckServerLiveRequest(), says="it lives")
    await script.call(f"{_REST}/CheckServerReady", rest_pb.CheckServerReadyRequest(), says="it is ready")
    index = f"{_REST}/IndexRepository"
    await script.call(index, rest_pb.IndexRepositoryRequest(), says="what is deployed")
    await script.call(index, rest_pb.IndexRepositoryRequest(body=_body({"ready": True})), says="what of it serves")
    await script.call(index, rest_pb.IndexRepositoryRequest(body=HttpBody(data=b"{")), says="a body that is no JSON")


async def _rest_models(script: Script) -> None:
    asked = (("exact", ""), ("exact", "2"), ("exact", "3"), ("exact", "9"), ("exact", "first"), ("nobody", ""), ("", ""))
    for name, version in asked:
        says = f"{name or 'no model'} {version or 'without a version'}"
        metadata = rest_pb.GetModelMetadataRequest(model_name=name, model_version=version)
        await script.call(f"{_REST}/GetModelMetadata", metadata, says=says)
        ready = rest_pb.CheckModelReadyRequest(model_name=name, model_version=version)
        await script.call(f"{_REST}/CheckModelReady", ready, says=says)


async def _rest_infer(script: Script) -> None:
    await _rest(script, {"id": "call-1", "inputs": [_INPUT]}, says="a flat list")
    nested = _INPUT | {"data": _SOME.tolist()}
    await _rest(script, {"inputs": [nested], "outputs": [{"name": "scores"}]}, says="nested lists, one output")
    await _rest(script, {"inputs": [_INPUT]}, version="2", says="version 2")
    places = {"name": "places", "datatype": "INT64", "shape": [2], "data": np.array([9, 0]).tolist()}
    await _rest(script, {"inputs": [places]}, model="spare", says="whole numbers to another model")


async def _refused_rest_inferences(script: Script) -> None:
    await _rest(script, {}, says="no inputs")
    await _rest(script, {"inputs": [_INPUT | {"data": ["text"] * 16}]}, says="text for numbers")
    await _rest(script, {"inputs": [_INPUT | {"datatype": "FLOAT"}]}, says="an unknown type")
    await _rest(script, {"inputs": [_INPUT | {"datatype": "BF16"}]}, says="a type that travels over gRPC only")
    await _rest(script, {"inputs": [_INPUT | {"shape": [-2, 8]}]}, says="a negative extent")
    await _rest(script, {"inputs": [_INPUT | {"shape": [2, 7]}]}, says="more values than the shape says")
    await _rest(script, {"inputs": [_INPUT], "outputs": [{"name": "none"}]}, says="an unknown output")
    await _rest(script, {"inputs": [_INPUT], "outputs": "all"}, says="outputs that are no list")
    await _rest(script, {"inputs": [_INPUT]}, model="nobody", says="an unknown model")
    await _rest(script, {"inputs": [_INPUT]}, version="3", says="a version that is not deployed")
    await _rest(script, {"inputs": [_INPUT]}, version="first", says="a version that is no number")
    await _rest(script, [_INPUT], says="a body that is no object")
    binary = _INPUT | {"parameters": {"binary_data_size": 64}}
    await _rest(script, {"inputs": [binary]}, says="binary tensors", to_come="inputs.parameters.binary_data_size")
    header = "inference-header-content-length"
    await _rest(script, {"inputs": [_INPUT]}, says="binary tensors announced", metadata={header: "64"}, to_come=header)


async def _rest_not_yet(script: Script) -> None:
    says = "not available yet"
    await script.call(f"{_REST}/GetModelConfig", rest_pb.GetModelConfigRequest(model_name="exact"), says=says, to_come="")
    await script.call(
        f"{_REST}/GetModelStatistics", rest_pb.GetModelStatisticsRequest(model_name="exact"), says=says, to_come=""
    )
    await script.call(
        f"{_REST}/LoadRepositoryModel", rest_pb.LoadRepositoryModelRequest(model_name="exact"), says=says, to_come=""
    )
    await script.call(
        f"{_REST}/UnloadRepositoryModel", rest_pb.UnloadRepositoryModelRequest(model_name="exact"), says=says, to_come=""
    )


def _body(content: Any) -> HttpBody:
    return HttpBody(content_type="application/json", data=json.dumps(content).encode())


async def _rest(script: Script, content: Any, *, says: str, model: str = "exact", version: str = "", **how: Any) -> None:
    request = rest_pb.InferModelRequest(model_name=model, model_version=version, body=_body(content))
    await script.call(f"{_REST}/InferModel", request, says=says, **how)
