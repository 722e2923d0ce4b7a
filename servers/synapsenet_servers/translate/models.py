"""Models on the wire."""

from __future__ import annotations

from synapsenet.models.model import Model, ModelChange, ModelQuery, ModelWish, Task
from synapsenet_api.models.v1 import model_pb2, model_service_pb2
from synapsenet_servers.translate.enums import Wire
from synapsenet_servers.translate.masks import named
from synapsenet_servers.translate.times import to_timestamp

_TASKS = Wire(Task, model_pb2.ModelTask, "MODEL_TASK_")


def model(found: Model) -> model_pb2.Model:
    return model_pb2.Model(
        id=found.id,
        name=found.name,
        description=found.description,
        labels=found.labels,
        task=_TASKS[found.task],
        etag=found.etag,
        create_time=to_timestamp(found.created_at),
        update_time=to_timestamp(found.updated_at),
    )


def model_wish(request: model_service_pb2.CreateModelRequest) -> ModelWish:
    return ModelWish(
        name=request.name,
        description=request.description,
        labels=dict(request.labels),
        task=_TASKS.member(request.task, field="task"),
    )


def model_change(request: model_service_pb2.UpdateModelRequest) -> ModelChange:
    changing = named(request.update_mask, ("description", "labels", "task"))
    return ModelChange(
        description=request.description if "description" in changing else None,
        labels=dict(request.labels) if "labels" in changing else None,
        task=_TASKS.member(request.task, field="task") if "task" in changing else None,
        etag=request.etag,
    )


def model_query(request: model_service_pb2.ListModelsRequest) -> ModelQuery:
    return ModelQuery(prefix=request.name_prefix, task=_TASKS.member(request.task, field="task") if request.task else None)
