"""Predictions and streams of them on the wire."""

from __future__ import annotations

from collections.abc import AsyncIterator

from google.rpc.status_pb2 import Status

from synapsenet.errors import InvalidArgument, SynapseError
from synapsenet.inference.model import Deployment
from synapsenet.inference.service import Prediction, Selector, StreamItem, StreamResult
from synapsenet_api.inference.v1 import inference_service_pb2 as service_pb
from synapsenet_api.inference.v1 import prediction_pb2 as pb
from synapsenet_servers.interceptors.catalogue import status
from synapsenet_servers.translate.deployments import version_number
from synapsenet_servers.translate.tensors import tensor, to_tensor
from synapsenet_servers.translate.times import from_duration


def selector(message: pb.ModelSelector, *, field: str) -> Selector:
    """Which model version is meant.

    Raises:
        InvalidArgument: VERSION_INVALID or ALIAS_EMPTY.
    """
    match message.WhichOneof("selection"):
        case "version":
            return Selector(model=message.model_id, version=version_number(message.version, field=f"{field}.version"))
        case "alias" if not message.alias:
            raise InvalidArgument("ALIAS_EMPTY", field=f"{field}.alias", remedy="name an alias, or leave it out")
        case "alias":
            return Selector(model=message.model_id, alias=message.alias)
        case _:
            return Selector(model=message.model_id)


def to_prediction(prediction: Prediction) -> service_pb.PredictResponse:
    """The answer to a request."""
    return service_pb.PredictResponse(
        model=_answering(prediction.deployment),
        queue_ms=1e3 * prediction.queue_s,
        compute_ms=1e3 * prediction.compute_s,
        batch_rows=prediction.batch_rows,
        outputs=[to_tensor(output) for output in prediction.outputs],
    )


async def stream_start(requests: AsyncIterator[service_pb.PredictStreamRequest]) -> pb.PredictStreamStart:
    """The start, read from a stream.

    Raises:
        InvalidArgument: STREAM_START_MISSING.
    """
    async for request in requests:
        if request.WhichOneof("message") == "start":
            return request.start
        break
    raise InvalidArgument("STREAM_START_MISSING", field="start", remedy="send a start as the first message of the stream")


async def stream_items(requests: AsyncIterator[service_pb.PredictStreamRequest]) -> AsyncIterator[StreamItem]:
    """The items after the start.

    Raises:
        InvalidArgument: STREAM_ITEM_MISSING, DURATION_INVALID.
    """
    async for request in requests:
        if request.WhichOneof("message") != "item":
            raise InvalidArgument("STREAM_ITEM_MISSING", field="item", remedy="send only items after the start")
        item = request.item
        timeout = from_duration(item.timeout, field="item.timeout").total_seconds() if item.HasField("timeout") else None
        yield StreamItem(id=item.id, inputs=tuple(tensor(given) for given in item.inputs), timeout=timeout)


def to_started(deployment: Deployment, unanswered: int) -> service_pb.PredictStreamResponse:
    """The first message back: who answers, and how many items may be unanswered."""
    return service_pb.PredictStreamResponse(started=pb.PredictStreamStarted(model=_answering(deployment), credits=unanswered))


def to_result(result: StreamResult) -> service_pb.PredictStreamResponse:
    """What became of an item."""
    outcome = result.outcome
    if isinstance(outcome, SynapseError):
        return service_pb.PredictStreamResponse(result=pb.PredictStreamResult(id=result.id, status=status(outcome)))
    return service_pb.PredictStreamResponse(
        result=pb.PredictStreamResult(
            id=result.id,
            status=Status(),
            queue_ms=1e3 * outcome.queue_s,
            compute_ms=1e3 * outcome.compute_s,
            batch_rows=outcome.batch_rows,
            outputs=[to_tensor(output) for output in outcome.outputs],
        )
    )


def _answering(deployment: Deployment) -> pb.ModelAnswer:
    return pb.ModelAnswer(model_id=deployment.key.model_id, model_name=deployment.model_name, version=deployment.key.version)
