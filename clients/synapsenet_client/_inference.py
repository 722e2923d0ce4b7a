"""Predictions, deployments, and what is loaded."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterable, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from synapsenet_api.inference.v1 import inference_service_pb2 as pb
from synapsenet_api.inference.v1.deployment_pb2 import BatchingPolicy, Deployment, DeploymentEvent, DeterminismMode
from synapsenet_api.inference.v1.loaded_model_pb2 import LoadedModel
from synapsenet_api.inference.v1.prediction_pb2 import ModelSelector, PredictStreamItem, PredictStreamResult, PredictStreamStart
from synapsenet_client._calls import Ask, Asyncio, Blocking, Conversation, Pages, Watch, answering, paging, streaming
from synapsenet_client._enums import enum_value
from synapsenet_client._errors import InvalidArgument, SynapseNetError
from synapsenet_client._status import error_of_status
from synapsenet_client._tensors import arrays, tensors
from synapsenet_client._times import duration
from synapsenet_client._values import Typed, Values


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """What a model answered.

    Attributes:
        outputs: by name; arrays where numpy is installed, else nested lists.
        model_id: of the model that answered.
        version: of that model.
        queue_ms: time that the request waited for its batch, milliseconds.
        compute_ms: time that its batch ran, milliseconds.
        batch_rows: rows of the batch that it was in.
    """

    outputs: Mapping[str, Any]
    model_id: str
    version: int
    queue_ms: float
    compute_ms: float
    batch_rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamPrediction:
    """What became of one item of a stream.

    Attributes:
        id: the item's id: its number in the stream from 0, or what the caller gave.
        error: why this item alone failed; None if it did not.
        queue_ms: time that the item waited for its batch, milliseconds.
        compute_ms: time that its batch ran, milliseconds.
        batch_rows: rows of the batch that it was in.
    """

    id: str
    error: SynapseNetError | None
    queue_ms: float
    compute_ms: float
    batch_rows: int
    _outputs: Mapping[str, Any]

    @property
    def outputs(self) -> Mapping[str, Any]:
        """By name, as of Prediction; raises `error` if the item failed."""
        if self.error is not None:
            raise self.error
        return self._outputs


class PredictionMethods:
    """A model is named by its name or id; which version answers is chosen by number, by alias, or by traffic weights."""

    @answering
    def predict(
        self,
        model: str,
        inputs: Mapping[str, Values | Typed],
        *,
        version: int | None = None,
        alias: str = "",
        outputs: Iterable[str] = (),
        priority: int = 0,
    ) -> Ask[pb.PredictResponse, Prediction]:
        """Predict from one set of inputs, of one or many rows.

        Args:
            model: name or id.
            inputs: by name, all with the same number of rows. An array's type must be the model's: a float64 array is no
                FLOAT32 input. `Typed` says the type of a plain sequence.
            version: its number; None: by alias or traffic.
            alias: such as `champion`.
            outputs: the ones wanted; empty: all.
            priority: 0 to 9, higher goes first when there is a queue.

        Raises:
            InvalidArgument: an input is unknown, missing, or of another type or shape than the model takes.
            NotFound: there is no such model.
            FailedPrecondition: it is not deployed.
            ResourceExhausted: its queue is full; `retry_after` says when to come back.
        """
        request = pb.PredictRequest(
            selector=_selector(model, version, alias), output_names=outputs, priority=priority, inputs=tensors(inputs)
        )
        return Ask(request, _prediction)

    @streaming
    def predict_stream(
        self,
        model: str,
        items: Iterable[Mapping[str, Values | Typed] | tuple[str, Mapping[str, Values | Typed]]]
        | AsyncIterable[Mapping[str, Values | Typed] | tuple[str, Mapping[str, Values | Typed]]],
        *,
        version: int | None = None,
        alias: str = "",
        outputs: Iterable[str] = (),
        ordered: bool = False,
        in_flight: int = 0,
        item_timeout: float | timedelta | None = None,
        priority: int = 0,
    ) -> Conversation[Any, pb.PredictStreamResponse, StreamPrediction]:
        """Predict from a stream of items; results arrive as batches finish, each with its own status.

        Args:
            model: name or id.
            items: inputs by name, or pairs of an id of the caller's and inputs.
            version, alias, outputs, priority: as of `predict`.
            ordered: results in the order of the items.
            in_flight: items unanswered at most; 0: as many as the platform allows.
            item_timeout: seconds that an item may take.
        """
        numbers = itertools.count()
        start = PredictStreamStart(
            selector=_selector(model, version, alias),
            output_names=outputs,
            ordered=ordered,
            wanted_credits=in_flight,
            priority=priority,
        )

        def encode(item: Any) -> pb.PredictStreamRequest:
            identity, inputs = item if isinstance(item, tuple) else (str(next(numbers)), item)
            return pb.PredictStreamRequest(
                item=PredictStreamItem(id=identity, timeout=duration(item_timeout), inputs=tensors(inputs))
            )

        return Conversation(
            request=pb.PredictStreamRequest,
            first=[pb.PredictStreamRequest(start=start)],
            items=items,
            encode=encode,
            shape=lambda answer: _result(answer.result) if answer.HasField("result") else None,
        )


class DeploymentMethods:
    """What serves; models are named by their ids."""

    @answering
    def deploy(
        self,
        model_id: str,
        version: int,
        *,
        batching: BatchingPolicy | None = None,
        determinism: str = "",
        pinned: bool = False,
        request_id: str = "",
    ) -> Ask[pb.DeployModelResponse, Deployment]:
        """Load a registered version and send it the requests that name no version; returns when it serves.

        Args:
            model_id: the model.
            version: its number.
            batching: how its queue and batches behave; None: the platform's defaults.
            determinism: NATIVE, PADDED, ROW or RELAXED; empty: the platform's default.
            pinned: never evict it.
            request_id: the same for every attempt at this deployment; made up if empty.

        Raises:
            FailedPrecondition: the version has no artifact, or may not be deployed in its state.
        """
        request = pb.DeployModelRequest(
            model_id=model_id,
            version=version,
            batching=batching,
            determinism=enum_value("determinism", DeterminismMode, determinism),
            pinned=pinned,
            request_id=request_id,
        )
        return Ask(request, lambda answer: answer.deployment)

    @answering
    def undeploy(self, model_id: str, version: int, *, request_id: str = "") -> Ask[pb.UndeployModelResponse, Deployment]:
        """Stop serving a version: what was accepted is finished, then it is unloaded."""
        request = pb.UndeployModelRequest(model_id=model_id, version=version, request_id=request_id)
        return Ask(request, lambda answer: answer.deployment)

    @answering
    def get_deployment(self, model_id: str, version: int) -> Ask[pb.GetDeploymentResponse, Deployment]:
        """One deployment."""
        request = pb.GetDeploymentRequest(model_id=model_id, version=version)
        return Ask(request, lambda answer: answer.deployment)

    @paging
    def list_deployments(self, *, model_id: str = "", page_size: int = 0) -> Pages[pb.ListDeploymentsResponse, Deployment]:
        """The deployments, ordered by model id and version."""
        request = pb.ListDeploymentsRequest(model_id=model_id, page_size=page_size)
        return Pages(request, lambda page: page.deployments)

    @streaming
    def watch_deployments(self, *, after_position: int = 0) -> Watch[pb.WatchDeploymentsResponse, DeploymentEvent]:
        """Changes of deployments, stored ones first, then as they happen."""
        return Watch(pb.WatchDeploymentsRequest(after_position=after_position), lambda answer: answer.event)

    @paging
    def list_loaded(self, *, page_size: int = 0) -> Pages[pb.ListLoadedModelsResponse, LoadedModel]:
        """What is in memory, with the state of its batcher."""
        return Pages(pb.ListLoadedModelsRequest(page_size=page_size), lambda page: page.models)


class Inference(Blocking, PredictionMethods, DeploymentMethods):
    """`client.inference`."""


class AsyncInference(Asyncio, PredictionMethods, DeploymentMethods):
    """`client.inference` of an asyncio client."""


def _selector(model: str, version: int | None, alias: str) -> ModelSelector:
    if version is not None and alias:
        raise InvalidArgument("version, alias: they exclude each other: give one", reason="VERSION_AND_ALIAS")
    if version is not None:
        return ModelSelector(model_id=model, version=version)
    return ModelSelector(model_id=model, alias=alias) if alias else ModelSelector(model_id=model)


def _prediction(answer: pb.PredictResponse) -> Prediction:
    return Prediction(
        outputs=arrays(answer.outputs),
        model_id=answer.model.model_id,
        version=answer.model.version,
        queue_ms=answer.queue_ms,
        compute_ms=answer.compute_ms,
        batch_rows=answer.batch_rows,
    )


def _result(result: PredictStreamResult) -> StreamPrediction:
    return StreamPrediction(
        id=result.id,
        error=error_of_status(result.status) if result.status.code else None,
        queue_ms=result.queue_ms,
        compute_ms=result.compute_ms,
        batch_rows=result.batch_rows,
        _outputs=arrays(result.outputs),
    )
