"""The registry: versions, artifacts, states and aliases.

Afterwards `exact` has version 1 (registered, the exact model, alias `champion`), 2 (registered, the same artifact), 3 (created,
alias taken away), 4 (archived), 5 (validating, with the artifact), 6 (archived, with the artifact) and 7 (created, with another
signature); `spare` has version 1 (registered, safetensors) and 2 (registered, a table of ten numbers).
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from google.protobuf.field_mask_pb2 import FieldMask
from safetensors.numpy import save

from synapsenet.testing.onnx_models import exact_model, external_model, gathering_model
from synapsenet_api.models.v1 import model_service_pb2
from synapsenet_api.registry.v1 import artifact_pb2, version_pb2
from synapsenet_api.registry.v1 import registry_service_pb2 as pb
from tests.golden.scenario import models
from tests.golden.script import Script

_SERVICE = "synapsenet.registry.v1.RegistryService"
CREATE, GET, LIST, UPDATE, SET_STATE, UPLOAD, DOWNLOAD = (
    f"{_SERVICE}/{name}"
    for name in (
        "CreateVersion",
        "GetVersion",
        "ListVersions",
        "UpdateVersion",
        "SetVersionState",
        "UploadArtifact",
        "DownloadArtifact",
    )
)
SET_ALIAS, GET_ALIAS, LIST_ALIASES, DELETE_ALIAS = (
    f"{_SERVICE}/{name}" for name in ("SetAlias", "GetAlias", "ListAliases", "DeleteAlias")
)
_ONNX, _SAFETENSORS = artifact_pb2.ARTIFACT_FORMAT_ONNX, artifact_pb2.ARTIFACT_FORMAT_SAFETENSORS
_PIECE = 100


async def record_registry(script: Script) -> None:
    await _create(script)
    await _upload(script)
    await _refused_uploads(script)
    await _states(script)
    await _find(script)
    await _update(script)
    await _aliases(script)


def upload(model: str, version: int, artifact: bytes, *, form: int = _ONNX, **changes: Any) -> list[pb.UploadArtifactRequest]:
    """The messages that upload `artifact`, in two pieces."""
    declared: dict[str, Any] = {
        "model_id": model,
        "version": version,
        "format": form,
        "sha256": hashlib.sha256(artifact).hexdigest(),
        "size_bytes": len(artifact),
    }
    header = pb.UploadArtifactHeader(**(declared | changes))
    pieces = (artifact[:_PIECE], artifact[_PIECE:])
    return [pb.UploadArtifactRequest(header=header), *(pb.UploadArtifactRequest(data=piece) for piece in pieces)]


async def _create(script: Script) -> None:
    rows = version_pb2.TensorSpec(name="pixels", element_type=version_pb2.ELEMENT_TYPE_FLOAT32, shape=[-1, 8])
    scores = version_pb2.TensorSpec(name="scores", element_type=version_pb2.ELEMENT_TYPE_FLOAT32, shape=[-1, 3])
    labels = version_pb2.TensorSpec(name="label", element_type=version_pb2.ELEMENT_TYPE_INT64, shape=[-1])
    first = pb.CreateVersionRequest(
        model_id="exact",
        description="The first",
        source=version_pb2.Source(run_id="run-1", job_id="job-1", training_set_id="ts-1", reference="commit abc"),
        signature=version_pb2.Signature(inputs=[rows], outputs=[scores, labels]),
        metrics={"accuracy": 0.1, "loss": 1e-300},
        labels={"stage": "candidate"},
        request_id="version-1",
    )
    await script.call(CREATE, first, says="a version with every field")
    await script.call(CREATE, first, says="the same request again gives the stored answer")
    first.description = "Another"
    await script.call(CREATE, first, says="the request id with another body is refused")
    for number in range(2, 7):
        await script.call(CREATE, pb.CreateVersionRequest(model_id="exact"), says=f"version {number}")
    declared = version_pb2.Signature(inputs=[labels], outputs=[scores])
    await script.call(CREATE, pb.CreateVersionRequest(model_id="exact", signature=declared), says="with another signature")
    await script.call(CREATE, pb.CreateVersionRequest(model_id="spare"), says="a version of another model")
    await script.call(CREATE, pb.CreateVersionRequest(model_id="spare"), says="and its second one")
    await script.call(CREATE, pb.CreateVersionRequest(model_id="nobody"), says="an unknown model")
    await script.call(CREATE, pb.CreateVersionRequest(), says="no model")
    measured = pb.CreateVersionRequest(model_id="exact", metrics={"loss": float("nan")})
    await script.call(CREATE, measured, says="a metric that is no number")
    await script.call(models.DELETE, model_service_pb2.DeleteModelRequest(model_id="exact"), says="a model that has versions")


async def _upload(script: Script) -> None:
    artifact = exact_model()
    await script.call(UPLOAD, *upload("exact", 1, artifact), says="an artifact in two pieces, declared by digest")
    await script.call(UPLOAD, *upload("exact", 1, artifact), says="the same artifact again changes nothing")
    await script.call(UPLOAD, *upload("exact", 1, gathering_model()), says="another artifact for the same version")
    await script.call(UPLOAD, *upload("exact", 2, artifact), says="the signature of version 2 comes from its artifact")
    for number in (5, 6):
        await script.call(UPLOAD, *upload("exact", number, artifact), says=f"for version {number}")
    tensors = save({"weight": np.arange(6, dtype=np.float32).reshape(2, 3)})
    await script.call(UPLOAD, *upload("spare", 1, tensors, form=_SAFETENSORS), says="safetensors")
    await script.call(UPLOAD, *upload("spare", 2, gathering_model()), says="another ONNX model")
    await script.call(DOWNLOAD, pb.DownloadArtifactRequest(model_id="exact", version=1), says="the artifact and its bytes")
    await script.call(DOWNLOAD, pb.DownloadArtifactRequest(model_id="spare", version=1), says="safetensors")
    await script.call(DOWNLOAD, pb.DownloadArtifactRequest(model_id="exact", version=3), says="a version without an artifact")
    await script.call(DOWNLOAD, pb.DownloadArtifactRequest(model_id="exact", version=9), says="an unknown version")
    await script.call(DOWNLOAD, pb.DownloadArtifactRequest(version=1), says="no model")


async def _refused_uploads(script: Script) -> None:
    artifact = exact_model()
    other = "0" * 64
    await script.call(UPLOAD, *upload("exact", 3, artifact, sha256=other), says="bytes with another digest")
    await script.call(UPLOAD, *upload("exact", 3, artifact, sha256="abc"), says="no SHA-256 at all")
    await script.call(UPLOAD, *upload("exact", 3, artifact, size_bytes=len(artifact) + 1), says="fewer bytes than declared")
    await script.call(UPLOAD, *upload("exact", 3, artifact, size_bytes=0), says="no size")
    await script.call(UPLOAD, *upload("exact", 3, b"no model" * 20), says="bytes that are no ONNX")
    await script.call(UPLOAD, *upload("exact", 3, external_model()), says="a model with weights in another file")
    await script.call(UPLOAD, *upload("exact", 7, artifact), says="a model with another signature than the version declares")
    await script.call(UPLOAD, *upload("exact", 9, artifact), says="an unknown version")
    await script.call(UPLOAD, *upload("exact", 3, artifact, form=0), says="no format")
    await script.call(UPLOAD, pb.UploadArtifactRequest(data=b"first"), says="no header")
    await script.call(UPLOAD, says="nothing at all")


async def _states(script: Script) -> None:
    created, validating = version_pb2.VERSION_STATE_CREATED, version_pb2.VERSION_STATE_VALIDATING
    registered, archived = version_pb2.VERSION_STATE_REGISTERED, version_pb2.VERSION_STATE_ARCHIVED
    move = pb.SetVersionStateRequest(
        model_id="exact", version=1, state=registered, reason="validated by hand", request_id="register-1"
    )
    [moved] = await script.call(SET_STATE, move, says="validating to registered")
    await script.call(SET_STATE, move, says="the same request again gives the stored answer")
    move.reason = "Another"
    await script.call(SET_STATE, move, says="the request id with another body is refused")
    for model, version in (("exact", 2), ("spare", 1), ("spare", 2)):
        again = pb.SetVersionStateRequest(model_id=model, version=version, state=registered)
        await script.call(SET_STATE, again, says=f"{model} {version} is registered")
    stale = pb.SetVersionStateRequest(model_id="exact", version=1, state=archived, etag="r1")
    await script.call(SET_STATE, stale, says="on an etag that is no longer the version's")
    condition = version_pb2.VersionCondition(reason="DRIFT", message="inputs have moved", needs_attention=True)
    troubled = pb.SetVersionStateRequest(
        model_id="exact", version=1, state=registered, condition=condition, etag=moved.version.etag
    )
    await script.call(SET_STATE, troubled, says="a condition in the same state")
    healed = pb.SetVersionStateRequest(model_id="exact", version=1, state=registered)
    await script.call(SET_STATE, healed, says="the condition is gone")
    unsaid = pb.SetVersionStateRequest(
        model_id="exact", version=1, state=registered, condition=version_pb2.VersionCondition(message="what?")
    )
    await script.call(SET_STATE, unsaid, says="a condition without a reason")
    back = pb.SetVersionStateRequest(model_id="exact", version=1, state=created)
    await script.call(SET_STATE, back, says="a move that is not allowed")
    early = pb.SetVersionStateRequest(model_id="exact", version=3, state=validating)
    await script.call(SET_STATE, early, says="validating without an artifact")
    for state in ("TRAINING", "CREATED"):
        to = version_pb2.VersionState.Value(f"VERSION_STATE_{state}")
        await script.call(SET_STATE, pb.SetVersionStateRequest(model_id="exact", version=3, state=to), says=f"to {state}")
    gone = pb.SetVersionStateRequest(model_id="exact", version=4, state=archived)
    await script.call(SET_STATE, gone, says="archived, for good")
    used = pb.SetVersionStateRequest(model_id="exact", version=6, state=archived)
    await script.call(SET_STATE, used, says="archived, with an artifact")
    late = pb.SetVersionStateRequest(model_id="exact", version=4, state=registered)
    await script.call(SET_STATE, late, says="nothing follows archived")
    await script.call(UPLOAD, *upload("exact", 4, exact_model()), says="an archived version takes no artifact")
    await script.call(SET_STATE, pb.SetVersionStateRequest(model_id="exact", version=1), says="no state")
    unknown: Any = 99
    odd = pb.SetVersionStateRequest(model_id="exact", version=1, state=unknown)
    await script.call(SET_STATE, odd, says="a state that nobody knows")


async def _find(script: Script) -> None:
    await script.call(GET, pb.GetVersionRequest(model_id="exact", version=1), says="a version")
    await script.call(GET, pb.GetVersionRequest(model_id="exact", version=9), says="an unknown version")
    await script.call(GET, pb.GetVersionRequest(model_id="nobody", version=1), says="an unknown model")
    await script.call(GET, pb.GetVersionRequest(version=1), says="no model")
    [page] = await script.call(LIST, pb.ListVersionsRequest(model_id="exact", page_size=3), says="the newest three")
    rest = pb.ListVersionsRequest(model_id="exact", page_size=3, page_token=page.next_page_token)
    await script.call(LIST, rest, says="the page after them")
    states = [version_pb2.VERSION_STATE_CREATED, version_pb2.VERSION_STATE_ARCHIVED]
    await script.call(LIST, pb.ListVersionsRequest(model_id="exact", states=states), says="by states")
    await script.call(LIST, pb.ListVersionsRequest(model_id="doomed"), says="a model without versions")
    await script.call(LIST, pb.ListVersionsRequest(model_id="nobody"), says="an unknown model")
    await script.call(LIST, pb.ListVersionsRequest(model_id="exact", page_token="forged"), says="a forged page token")


async def _update(script: Script) -> None:
    change = pb.UpdateVersionRequest(
        model_id="exact",
        version=3,
        description="Not trained yet",
        metrics={"accuracy": 0.5},
        labels={"note": "none"},
        update_mask=FieldMask(paths=["description", "metrics", "labels"]),
        request_id="update-3",
    )
    [changed] = await script.call(UPDATE, change, says="everything that can be changed")
    await script.call(UPDATE, change, says="the same request again")
    change.description = "Another"
    await script.call(UPDATE, change, says="the request id with another body is refused")
    cleared = pb.UpdateVersionRequest(
        model_id="exact", version=3, update_mask=FieldMask(paths=["labels"]), etag=changed.version.etag
    )
    await script.call(UPDATE, cleared, says="labels taken away, on the etag that was read")
    await script.call(UPDATE, cleared, says="on an etag that is no longer the version's")
    state = pb.UpdateVersionRequest(model_id="exact", version=3, update_mask=FieldMask(paths=["state"]))
    await script.call(UPDATE, state, says="a field that cannot be changed")
    await script.call(UPDATE, pb.UpdateVersionRequest(model_id="exact", version=3), says="no mask")


async def _aliases(script: Script) -> None:
    champion = pb.SetAliasRequest(model_id="exact", alias="champion", version=2, request_id="champion")
    await script.call(SET_ALIAS, champion, says="a new alias")
    await script.call(SET_ALIAS, champion, says="the same request again")
    champion.version = 1
    await script.call(SET_ALIAS, champion, says="the request id with another body is refused")
    moved = pb.SetAliasRequest(model_id="exact", alias="champion", version=1, expected_version=2)
    await script.call(SET_ALIAS, moved, says="moved from where it was expected")
    await script.call(SET_ALIAS, moved, says="it is not where it was expected")
    await script.call(SET_ALIAS, pb.SetAliasRequest(model_id="exact", alias="next", version=3), says="another alias")
    await script.call(SET_ALIAS, pb.SetAliasRequest(model_id="exact", alias="old", version=4), says="to an archived version")
    await script.call(SET_ALIAS, pb.SetAliasRequest(model_id="exact", alias="none", version=9), says="to an unknown version")
    await script.call(SET_ALIAS, pb.SetAliasRequest(model_id="exact", alias="No!", version=1), says="an alias it cannot have")
    await script.call(GET_ALIAS, pb.GetAliasRequest(model_id="exact", alias="champion"), says="an alias")
    await script.call(GET_ALIAS, pb.GetAliasRequest(model_id="exact", alias="nobody"), says="an unknown alias")
    await script.call(GET_ALIAS, pb.GetAliasRequest(alias="champion"), says="no model")
    [page] = await script.call(LIST_ALIASES, pb.ListAliasesRequest(model_id="exact", page_size=1), says="the first page")
    rest = pb.ListAliasesRequest(model_id="exact", page_size=1, page_token=page.next_page_token)
    await script.call(LIST_ALIASES, rest, says="the page after it")
    await script.call(LIST_ALIASES, pb.ListAliasesRequest(model_id="nobody"), says="an unknown model")
    pointed = pb.SetVersionStateRequest(model_id="exact", version=3, state=version_pb2.VERSION_STATE_ARCHIVED)
    await script.call(SET_STATE, pointed, says="archived while an alias points to it")
    await script.call(DELETE_ALIAS, pb.DeleteAliasRequest(model_id="exact", alias="next"), says="an alias is taken away")
    await script.call(DELETE_ALIAS, pb.DeleteAliasRequest(model_id="exact", alias="next"), says="again")
    await script.call(DELETE_ALIAS, pb.DeleteAliasRequest(model_id="exact"), says="no alias")
