"""Models: create, read, list, update, delete."""

from __future__ import annotations

from collections.abc import Mapping

from google.protobuf.field_mask_pb2 import FieldMask

from synapsenet_api.models.v1 import model_service_pb2 as pb
from synapsenet_api.models.v1.model_pb2 import Model, ModelTask
from synapsenet_client._calls import Ask, Asyncio, Blocking, Pages, answering, paging
from synapsenet_client._enums import enum_value


class ModelsMethods:
    """A model is named by its id or its name throughout."""

    @answering
    def create(
        self,
        name: str,
        *,
        description: str = "",
        labels: Mapping[str, str] | None = None,
        task: str = "",
        request_id: str = "",
    ) -> Ask[pb.CreateModelResponse, Model]:
        """Create a model.

        Args:
            name: unique among the models.
            description: for people.
            labels: for selecting and for people.
            task: CLASSIFICATION, REGRESSION …; empty: not said.
            request_id: the same for every attempt at this creation; made up if empty.

        Raises:
            AlreadyExists: the name is taken, or the request id was used for another model.
        """
        return Ask(
            pb.CreateModelRequest(
                name=name,
                description=description,
                labels=labels or {},
                task=enum_value("task", ModelTask, task),
                request_id=request_id,
            ),
            lambda answer: answer.model,
        )

    @answering
    def get(self, model_id: str) -> Ask[pb.GetModelResponse, Model]:
        """The model of an id or a name.

        Raises:
            NotFound: there is none.
        """
        return Ask(pb.GetModelRequest(model_id=model_id), lambda answer: answer.model)

    @paging
    def list(self, *, name_prefix: str = "", task: str = "", page_size: int = 0) -> Pages[pb.ListModelsResponse, Model]:
        """Models in the order of their names, fetched a page at a time as they are iterated over."""
        request = pb.ListModelsRequest(name_prefix=name_prefix, task=enum_value("task", ModelTask, task), page_size=page_size)
        return Pages(request, lambda page: page.models)

    @answering
    def update(
        self,
        model_id: str,
        *,
        description: str | None = None,
        labels: Mapping[str, str] | None = None,
        task: str | None = None,
        etag: str = "",
        request_id: str = "",
    ) -> Ask[pb.UpdateModelResponse, Model]:
        """Change what is given; None leaves a field as it is, an empty value clears it.

        Args:
            model_id: id or name.
            description: the new description.
            labels: all of the new labels.
            task: the new task.
            etag: of the model that the change is based on; empty: whatever it is.
            request_id: the same for every attempt at this change; made up if empty.

        Raises:
            Aborted: the model has changed since `etag`.
        """
        given = {"description": description, "labels": labels, "task": task}
        return Ask(
            pb.UpdateModelRequest(
                model_id=model_id,
                description=description or "",
                labels=labels or {},
                task=enum_value("task", ModelTask, task or ""),
                update_mask=FieldMask(paths=[name for name, value in given.items() if value is not None]),
                etag=etag,
                request_id=request_id,
            ),
            lambda answer: answer.model,
        )

    @answering
    def delete(self, model_id: str, *, etag: str = "") -> Ask[pb.DeleteModelResponse, None]:
        """Delete a model that has no versions.

        Raises:
            FailedPrecondition: it has versions.
        """
        return Ask(pb.DeleteModelRequest(model_id=model_id, etag=etag), lambda answer: None)


class Models(Blocking, ModelsMethods):
    """`client.models`."""


class AsyncModels(Asyncio, ModelsMethods):
    """`client.models` of an asyncio client."""
