"""Models and registry as a client meets them over gRPC, and as they meet each other."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import onnx
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from grpc_status import rpc_status
from onnx import TensorProto, helper

from synapsenet_api.models.v1 import model_pb2
from synapsenet_api.models.v1 import model_service_pb2 as models_pb
from synapsenet_api.registry.v1 import artifact_pb2, version_pb2
from synapsenet_api.registry.v1 import registry_control_service_pb2 as control_pb
from synapsenet_api.registry.v1 import registry_service_pb2 as pb
from tests.integration.registry.served import Serve, Served

ONNX = artifact_pb2.ARTIFACT_FORMAT_ONNX
DEADLINE = 10.0


def onnx_file(rows: int = 64) -> bytes:
    weights = onnx.numpy_helper.from_array(np.ones((rows, 10), np.float32), "w")
    pixels = helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["n", rows])
    scores = helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", 10])
    product = helper.make_node("MatMul", ["pixels", "w"], ["scores"])
    graph = helper.make_graph([product], "digits", [pixels], [scores], [weights])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()


def parts(data: bytes, *, step: int = 1_000, **header: Any) -> list[pb.UploadArtifactRequest]:
    true: dict[str, Any] = {"model_id": "digits", "version": 1, "format": ONNX, "size_bytes": len(data)}
    declared = true | {"sha256": hashlib.sha256(data).hexdigest()} | header
    chunks = [pb.UploadArtifactRequest(data=data[at : at + step]) for at in range(0, len(data), step)]
    return [pb.UploadArtifactRequest(header=pb.UploadArtifactHeader(**declared)), *chunks]


async def upload(served: Served, requests: list[pb.UploadArtifactRequest]) -> version_pb2.Version:
    async def sending() -> AsyncIterator[pb.UploadArtifactRequest]:
        for request in requests:
            yield request

    answer = await served.registry.UploadArtifact(sending(), timeout=DEADLINE)
    return answer.version  # type: ignore[no-any-return]  # the stubs of a run are untyped


async def download(served: Served, number: int = 1) -> tuple[artifact_pb2.Artifact, bytes]:
    request = pb.DownloadArtifactRequest(model_id="digits", version=number)
    answers = [answer async for answer in served.registry.DownloadArtifact(request, timeout=DEADLINE)]
    return answers[0].artifact, b"".join(answer.data for answer in answers[1:])


def incoming(served: Served) -> list[Path]:
    """The artifacts that are being stored."""
    return list((served.data / "artifacts" / "incoming").iterdir())


async def new_model(served: Served, name: str = "digits") -> model_pb2.Model:
    request = models_pb.CreateModelRequest(name=name, task=model_pb2.MODEL_TASK_CLASSIFICATION, labels={"team": "vision"})
    return (await served.models.CreateModel(request)).model  # type: ignore[no-any-return]  # as above


async def new_version(served: Served, **fields: Any) -> version_pb2.Version:
    request = pb.CreateVersionRequest(model_id="digits", **fields)
    return (await served.registry.CreateVersion(request)).version  # type: ignore[no-any-return]  # as above


async def refusal(call: Awaitable[Any] | Callable[[], Awaitable[Any]]) -> tuple[grpc.StatusCode, ErrorInfo, str]:
    """Status code, ErrorInfo and sentence of a call that is refused."""
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await (call() if callable(call) else call)
    error: Any = refused.value
    status = rpc_status.from_call(error)
    assert status is not None
    info = ErrorInfo()
    assert any(detail.Unpack(info) for detail in status.details)
    return error.code(), info, status.message


async def set_state(served: Served, state: version_pb2.VersionState.ValueType, **fields: Any) -> version_pb2.Version:
    request = pb.SetVersionStateRequest(model_id="digits", version=1, state=state, **fields)
    return (await served.registry.SetVersionState(request)).version  # type: ignore[no-any-return]  # as above


async def test_a_model_goes_from_its_name_to_its_registration(served: Served) -> None:
    model = await new_model(served)
    created = await new_version(served, metrics={"accuracy": 0.97}, source=version_pb2.Source(job_id="job-1"))
    assert (created.model_id, created.version, created.state) == (model.id, 1, version_pb2.VERSION_STATE_CREATED)
    assert not created.HasField("artifact")
    data = onnx_file()
    uploaded = await upload(served, parts(data))
    assert uploaded.state == version_pb2.VERSION_STATE_VALIDATING
    (pixels,) = uploaded.signature.inputs
    assert (pixels.name, pixels.element_type, list(pixels.shape)) == ("pixels", version_pb2.ELEMENT_TYPE_FLOAT32, [-1, 64])
    assert await download(served) == (uploaded.artifact, data)
    await set_state(served, version_pb2.VERSION_STATE_REGISTERED)
    alias = pb.SetAliasRequest(model_id=model.id, alias="champion", version=1, expected_version=0)
    assert (await served.registry.SetAlias(alias)).alias.version == 1
    found = (await served.registry.GetVersion(pb.GetVersionRequest(model_id=model.id, version=1))).version
    assert (found.state, list(found.aliases), found.etag) == (version_pb2.VERSION_STATE_REGISTERED, ["champion"], "r3")
    assert found.metrics == {"accuracy": 0.97}


async def test_everything_is_there_after_a_restart(serve: Serve) -> None:
    data = onnx_file()
    async with serve() as served:
        model = await new_model(served)
        await new_version(served)
        before = await upload(served, parts(data))
    async with serve() as served:
        assert (await served.models.GetModel(models_pb.GetModelRequest(model_id="digits"))).model == model
        listed = await served.registry.ListVersions(pb.ListVersionsRequest(model_id="digits"))
        assert list(listed.versions) == [before]
        assert (await download(served))[1] == data
        assert (await new_version(served)).version == 2


async def test_a_creation_retried_with_its_request_id_makes_one_thing(served: Served) -> None:
    request = models_pb.CreateModelRequest(name="digits", request_id="r-1")
    answers = [await served.models.CreateModel(request) for _ in range(2)]
    assert answers[0] == answers[1]
    versions = [await new_version(served, request_id="r-2") for _ in range(2)]
    assert [version.version for version in versions] == [1, 1]
    code, info, _ = await refusal(new_version(served, request_id="r-2", description="another"))
    assert (code, info.reason) == (grpc.StatusCode.ALREADY_EXISTS, "REQUEST_ID_REUSED")


async def test_a_file_that_is_no_onnx_is_refused_in_one_sentence_with_the_remedy(served: Served) -> None:
    await new_model(served)
    await new_version(served)
    code, info, sentence = await refusal(upload(served, parts(b"just some text")))
    assert (code, info.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "ARTIFACT_NOT_ONNX")
    assert "export the model to ONNX" in sentence
    assert incoming(served) == []
    assert (await upload(served, parts(onnx_file()))).HasField("artifact")


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ({"sha256": "0" * 64}, "ARTIFACT_SHA256_MISMATCH"),
        ({"size_bytes": 5}, "ARTIFACT_SIZE_MISMATCH"),
        ({"sha256": "nothing"}, "SHA256_INVALID"),
        ({"format": 99}, "VALUE_UNKNOWN"),
        ({"model_id": ""}, "FIELD_MISSING"),
    ],
)
async def test_a_header_that_lies_is_refused(served: Served, header: dict[str, Any], reason: str) -> None:
    await new_model(served)
    await new_version(served)
    code, info, _ = await refusal(upload(served, parts(onnx_file(), **header)))
    assert (code, info.reason) == (grpc.StatusCode.INVALID_ARGUMENT, reason)


async def test_an_upload_begins_with_one_header(served: Served) -> None:
    header, *chunks = parts(onnx_file())
    await new_model(served)
    await new_version(served)
    for wrong in ([], chunks, [header, header], [header, pb.UploadArtifactRequest()]):
        code, info, _ = await refusal(upload(served, wrong))
        assert (code, info.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "UPLOAD_OUT_OF_ORDER")


async def test_an_artifact_over_the_operators_limit_is_refused_with_the_limit(serve: Serve) -> None:
    async with serve(registry={"artifact_bytes": 100}) as served:
        await new_model(served)
        await new_version(served)
        code, info, _ = await refusal(upload(served, parts(onnx_file())))
        assert (code, info.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "ARTIFACT_TOO_LARGE")
        assert info.metadata["limit"] == "100"


async def test_a_large_upload_repeated_is_answered_before_its_bytes_have_come(served: Served) -> None:
    await new_model(served)
    await new_version(served)
    requests = parts(onnx_file(rows=250_000), step=1 << 18)
    first = await upload(served, requests)
    assert first.artifact.size_bytes > 10_000_000
    assert await upload(served, requests) == first
    assert (await upload(served, requests[:1])) == first


async def test_an_upload_that_its_client_gives_up_leaves_no_bytes_and_no_slot_taken(serve: Serve) -> None:
    data = onnx_file()
    async with serve(registry={"uploads": 1}) as served:
        await new_model(served)
        await new_version(served)
        given_up = served.registry.UploadArtifact()
        for part in parts(data)[:3]:
            await given_up.write(part)
        async with asyncio.timeout(DEADLINE):
            while not incoming(served):  # until the server has begun to store it
                await asyncio.sleep(0.01)
            given_up.cancel()
            while incoming(served):
                await asyncio.sleep(0.01)
        assert (await upload(served, parts(data))).HasField("artifact")


async def test_an_artifact_damaged_on_the_disk_ends_the_download_as_data_loss(served: Served) -> None:
    await new_model(served)
    await new_version(served)
    uploaded = await upload(served, parts(onnx_file()))
    (path,) = (served.data / "artifacts").rglob(uploaded.artifact.sha256)
    path.write_bytes(path.read_bytes()[:-1] + b"X")
    code, info, _ = await refusal(download(served))
    assert (code, info.reason) == (grpc.StatusCode.DATA_LOSS, "ARTIFACT_CORRUPT")


async def test_a_version_of_a_model_that_nobody_created_is_not_found_by_the_models_own_word(served: Served) -> None:
    code, info, _ = await refusal(new_version(served))
    assert (code, info.reason, info.metadata["model_id"]) == (grpc.StatusCode.NOT_FOUND, "MODEL_UNKNOWN", "digits")


async def test_a_model_is_deleted_only_without_versions_and_then_takes_none(served: Served) -> None:
    model = await new_model(served)
    await new_version(served)
    code, info, _ = await refusal(served.models.DeleteModel(models_pb.DeleteModelRequest(model_id="digits")))
    assert (code, info.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "MODEL_HAS_VERSIONS")
    assert info.metadata == {"model_id": model.id, "versions": "1"}
    empty = await new_model(served, "empty")
    await served.models.DeleteModel(models_pb.DeleteModelRequest(model_id="empty", etag=empty.etag))
    code, info, _ = await refusal(served.registry.CreateVersion(pb.CreateVersionRequest(model_id=empty.id)))
    assert (code, info.reason) == (grpc.StatusCode.NOT_FOUND, "MODEL_UNKNOWN")
    for reference in (empty.id, "empty"):
        code, info, _ = await refusal(served.registry.ListVersions(pb.ListVersionsRequest(model_id=reference)))
        assert (code, info.metadata["model_id"]) == (grpc.StatusCode.NOT_FOUND, reference)


async def test_a_wrong_move_names_the_right_ones(served: Served) -> None:
    await new_model(served)
    await new_version(served)
    code, info, sentence = await refusal(set_state(served, version_pb2.VERSION_STATE_SERVING))
    assert (code, info.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "MOVE_NOT_ALLOWED")
    assert info.metadata["allowed"] == "archived,training,validating"
    assert "archived, training, validating" in sentence


async def test_an_update_mask_names_what_is_wrong_with_it(served: Served) -> None:
    await new_model(served)
    request = models_pb.UpdateModelRequest(model_id="digits", update_mask=FieldMask(paths=["name"]))
    code, info, sentence = await refusal(served.models.UpdateModel(request))
    assert (code, info.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "MASK_UNKNOWN")
    assert "'name'" in sentence
    changing = models_pb.UpdateModelRequest(model_id="digits", description="new", update_mask=FieldMask(paths=["description"]))
    changed = (await served.models.UpdateModel(changing)).model
    assert (changed.description, dict(changed.labels)) == ("new", {"team": "vision"})


async def test_the_first_problem_is_told_by_its_field(served: Served) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await new_model(served, "no/slash")
    error: Any = refused.value
    status, bad = rpc_status.from_call(error), BadRequest()
    assert status is not None
    assert any(detail.Unpack(bad) for detail in status.details)
    assert [violation.field for violation in bad.field_violations] == ["name"]


async def test_what_only_the_mesh_may_do_is_not_there_from_outside(served: Served) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await served.control.CloseModel(control_pb.CloseModelRequest(model_id="mdl-1"))
    assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED
