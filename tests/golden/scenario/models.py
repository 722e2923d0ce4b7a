"""Models: created, found, listed, changed and deleted. `exact` and `spare` are there afterwards."""

from __future__ import annotations

from typing import Any

from google.protobuf.field_mask_pb2 import FieldMask

from synapsenet_api.models.v1 import model_pb2
from synapsenet_api.models.v1 import model_service_pb2 as pb
from tests.golden.script import Script

_SERVICE = "synapsenet.models.v1.ModelService"
CREATE, GET, LIST, UPDATE, DELETE = (
    f"{_SERVICE}/{name}" for name in ("CreateModel", "GetModel", "ListModels", "UpdateModel", "DeleteModel")
)
_CLASSIFICATION = model_pb2.MODEL_TASK_CLASSIFICATION


async def record_models(script: Script) -> None:
    await _create(script)
    await _find(script)
    await _update(script)
    await _delete(script)


async def _create(script: Script) -> None:
    exact = pb.CreateModelRequest(
        name="exact",
        description="Whole numbers in, whole numbers out",
        labels={"team": "röd", "tier": "1"},
        task=_CLASSIFICATION,
        request_id="create-exact",
    )
    await script.call(CREATE, exact, says="a model with every field")
    await script.call(CREATE, exact, says="the same request again gives the stored answer")
    other = pb.CreateModelRequest(name="other", request_id="create-exact")
    await script.call(CREATE, other, says="the request id with another body is refused")
    await script.call(CREATE, pb.CreateModelRequest(name="spare"), says="only a name")
    await script.call(CREATE, pb.CreateModelRequest(name="doomed"), says="another one, for deletion")
    await script.call(CREATE, pb.CreateModelRequest(name="exact"), says="a name that is taken")
    await script.call(CREATE, pb.CreateModelRequest(), says="no name")
    await script.call(CREATE, pb.CreateModelRequest(name="No Such Name!"), says="a name with characters it may not have")
    unknown: Any = 99
    await script.call(CREATE, pb.CreateModelRequest(name="tasked", task=unknown), says="a task that nobody knows")


async def _find(script: Script) -> None:
    [created] = await script.call(GET, pb.GetModelRequest(model_id="exact"), says="by name")
    await script.call(GET, pb.GetModelRequest(model_id=created.model.id), says="by id")
    await script.call(GET, pb.GetModelRequest(model_id="nobody"), says="an unknown model")
    await script.call(GET, pb.GetModelRequest(), says="no id")
    await script.call(LIST, pb.ListModelsRequest(), says="all")
    [page] = await script.call(LIST, pb.ListModelsRequest(page_size=2), says="the first page of two")
    second = pb.ListModelsRequest(page_size=2, page_token=page.next_page_token)
    await script.call(LIST, second, says="the page after it")
    await script.call(LIST, pb.ListModelsRequest(name_prefix="sp"), says="by the beginning of the name")
    await script.call(LIST, pb.ListModelsRequest(task=_CLASSIFICATION), says="by task")
    misplaced = pb.ListModelsRequest(page_token=page.next_page_token, name_prefix="sp")
    await script.call(LIST, misplaced, says="the page token of another query")
    await script.call(LIST, pb.ListModelsRequest(page_token="forged"), says="a page token that nobody gave")
    await script.call(LIST, pb.ListModelsRequest(page_size=-1), says="a negative page size")


async def _update(script: Script) -> None:
    change = pb.UpdateModelRequest(
        model_id="spare",
        description="Kept for later",
        labels={"ignored": "as the mask does not name it"},
        update_mask=FieldMask(paths=["description"]),
        request_id="update-spare",
    )
    [changed] = await script.call(UPDATE, change, says="what the mask names")
    await script.call(UPDATE, change, says="the same request again")
    change.description = "Something else"
    await script.call(UPDATE, change, says="the request id with another body is refused")
    labels = pb.UpdateModelRequest(
        model_id="spare",
        labels={"tier": "2"},
        task=_CLASSIFICATION,
        update_mask=FieldMask(paths=["labels", "task"]),
        etag=changed.model.etag,
    )
    await script.call(UPDATE, labels, says="on the etag that was read")
    await script.call(UPDATE, labels, says="on an etag that is no longer the model's")
    await script.call(UPDATE, pb.UpdateModelRequest(model_id="spare"), says="no mask")
    name = pb.UpdateModelRequest(model_id="spare", update_mask=FieldMask(paths=["name"]))
    await script.call(UPDATE, name, says="a field that cannot be changed")
    nobody = pb.UpdateModelRequest(model_id="nobody", update_mask=FieldMask(paths=["task"]))
    await script.call(UPDATE, nobody, says="an unknown model")


async def _delete(script: Script) -> None:
    await script.call(DELETE, pb.DeleteModelRequest(model_id="doomed", etag="r99"), says="on an etag that is not the model's")
    await script.call(DELETE, pb.DeleteModelRequest(model_id="doomed"), says="a model without versions")
    await script.call(DELETE, pb.DeleteModelRequest(model_id="doomed"), says="again")
    await script.call(DELETE, pb.DeleteModelRequest(), says="no id")
    await script.call(GET, pb.GetModelRequest(model_id="doomed"), says="a deleted model")
    await script.call(CREATE, pb.CreateModelRequest(name="doomed"), says="the name of a deleted model is free again")
