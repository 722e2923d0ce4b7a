"""Inference: deployments, predictions and streams of them.

Afterwards `exact` 1 and 2 and `spare` 2 serve; requests for `exact` without a version go to 1, deployed last. Before that,
batches of `exact` 1 leave when they have 4 rows or after 1/512 s, a time that floating-point numbers hold exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from google.protobuf.duration_pb2 import Duration
from numpy.typing import NDArray

from synapsenet_api.inference.v1 import deployment_pb2, prediction_pb2, tensor_pb2
from synapsenet_api.inference.v1 import inference_service_pb2 as pb
from synapsenet_api.registry.v1 import registry_service_pb2, version_pb2
from tests.golden.calls import Manner
from tests.golden.scenario import registry
from tests.golden.script import Script

_SERVICE = "synapsenet.inference.v1.InferenceService"
PREDICT, STREAM, DEPLOY, UNDEPLOY, GET, LIST, WATCH, LOADED = (
    f"{_SERVICE}/{name}"
    for name in (
        "Predict",
        "PredictStream",
        "DeployModel",
        "UndeployModel",
        "GetDeployment",
        "ListDeployments",
        "WatchDeployments",
        "ListLoadedModels",
    )
)
_LINGER = Duration(nanos=10**9 // 512)
_FULL_BATCH = 4
_ROWS = 32
_SHORT = Duration(nanos=1)


def rows() -> NDArray[np.float32]:
    """32 rows of 8 whole numbers from -2^15 to 2^15, among them both ends: the exact model keeps every bit of them."""
    numbers = (np.arange(_ROWS * 8, dtype=np.int64) * 40_503 + 12_345) % 65_537 - 32_768
    numbers[:2] = -32_768, 32_768
    return numbers.astype(np.float32).reshape(_ROWS, 8)


async def record_inference(script: Script) -> None:
    await _before(script)
    await _deploy(script)
    await _refused_deployments(script)
    await _look(script)
    await _predict(script)
    await _refused_predictions(script)
    await _stream(script)
    await _refused_streams(script)
    await _undeploy(script)


async def _before(script: Script) -> None:
    await script.call(PREDICT, _request(rows()[:1]), says="a model that is not deployed")
    await script.call(LIST, pb.ListDeploymentsRequest(), says="nothing is deployed")
    await script.call(LOADED, pb.ListLoadedModelsRequest(), says="nothing is loaded")


async def _deploy(script: Script) -> None:
    batching = deployment_pb2.BatchingPolicy(
        mode=deployment_pb2.BATCHING_MODE_FIXED,
        max_batch_size=_FULL_BATCH,
        max_linger=_LINGER,
        max_queued_rows=64,
        max_queued_bytes=1 << 20,
        max_running_batches=1,
    )
    first = pb.DeployModelRequest(request_id="deploy-1", model_id="exact", version=1, batching=batching, pinned=True)
    await script.call(DEPLOY, first, says="with every option of this release")
    await script.call(DEPLOY, first, says="the same request again gives the stored answer")
    first.pinned = False
    await script.call(DEPLOY, first, says="the request id with another body is refused")
    relaxed = deployment_pb2.DETERMINISM_MODE_RELAXED
    second = pb.DeployModelRequest(model_id="exact", version=2, determinism=relaxed)
    await script.call(DEPLOY, second, says="another version, with the defaults, which serves beside the first")
    await script.call(DEPLOY, pb.DeployModelRequest(model_id="spare", version=2), says="another model")
    await _version(script, "exact", 1, says="a version that serves")
    serving = registry_service_pb2.ListVersionsRequest(model_id="exact", states=[version_pb2.VERSION_STATE_SERVING])
    await script.call(registry.LIST, serving, says="the versions that serve")
    archived = registry_service_pb2.SetVersionStateRequest(
        model_id="exact", version=1, state=version_pb2.VERSION_STATE_ARCHIVED
    )
    await script.call(registry.SET_STATE, archived, says="a version that serves cannot be archived")
    await script.call(DEPLOY, pb.DeployModelRequest(model_id="exact", version=5), says="a version that is being validated")
    await _version(script, "exact", 5, says="what became of it")


async def _refused_deployments(script: Script) -> None:
    def deployment(**fields: Any) -> pb.DeployModelRequest:
        asked: dict[str, Any] = {"model_id": "exact", "version": 3}
        return pb.DeployModelRequest(**(asked | fields))

    async def refused(says: str, to_come: str | None = None, **fields: Any) -> None:
        await script.call(DEPLOY, deployment(**fields), says=says, to_come=to_come)

    await refused("deployed already", version=1)
    await refused("no artifact")
    await refused("archived, without an artifact", version=4)
    await refused("archived, with an artifact", version=6)
    await refused("an unknown version", version=9)
    await refused("an unknown model", model_id="nobody")
    await refused("no model", model_id="")
    await refused("a version below 1", version=-1)
    await refused("safetensors, which nothing runs", model_id="spare", version=1)
    await _version(script, "spare", 1, says="a version that could not be deployed is as it was before")
    await refused("batches of no rows", batching=deployment_pb2.BatchingPolicy(max_batch_size=0))
    adaptive = deployment_pb2.BatchingPolicy(mode=deployment_pb2.BATCHING_MODE_ADAPTIVE)
    await refused("adaptive batches", "batching.mode=BATCHING_MODE_ADAPTIVE", batching=adaptive)
    await refused("a latency", "batching.slo", batching=deployment_pb2.BatchingPolicy(slo=_LINGER))
    for mode in ("DETERMINISM_MODE_NATIVE", "DETERMINISM_MODE_PADDED", "DETERMINISM_MODE_ROW"):
        value = deployment_pb2.DeterminismMode.Value(mode)
        await refused(mode, f"determinism={mode}", determinism=value)


async def _look(script: Script) -> None:
    await script.call(GET, pb.GetDeploymentRequest(model_id="exact", version=1), says="a deployment")
    await script.call(GET, pb.GetDeploymentRequest(model_id="exact", version=2), says="the one that requests go to")
    await script.call(GET, pb.GetDeploymentRequest(model_id="exact", version=3), says="a version that is not deployed")
    await script.call(GET, pb.GetDeploymentRequest(version=1), says="no model")
    [page] = await script.call(LIST, pb.ListDeploymentsRequest(page_size=2), says="the first page")
    await script.call(LIST, pb.ListDeploymentsRequest(page_size=2, page_token=page.next_page_token), says="the page after it")
    exact = page.deployments[0].model_id
    await script.call(LIST, pb.ListDeploymentsRequest(model_id=exact), says="of one model")
    await script.call(LIST, pb.ListDeploymentsRequest(page_token="forged"), says="a forged page token")
    [loaded] = await script.call(LOADED, pb.ListLoadedModelsRequest(page_size=1), says="the first loaded model")
    rest = pb.ListLoadedModelsRequest(page_size=5, page_token=loaded.next_page_token)
    await script.call(LOADED, rest, says="the page after it")


async def _predict(script: Script) -> None:
    start = 0
    for size in (1, 2, 3, 4, 5, 8, 9):
        await script.call(PREDICT, _request(rows()[start : start + size]), says=f"{size} rows from {start}")
        start += size
    await script.call(PREDICT, _request(rows()[::-1]), says="all rows, the last first")
    await script.call(PREDICT, _request(rows()[:0]), says="no rows")
    first = _request(rows()[:2], version=1, output_names=["label"])
    await script.call(PREDICT, first, says="version 1 waits as long as it may for others; one output of two")
    await script.call(PREDICT, _request(rows()[:4], version=1), says="version 1, a full batch")
    await script.call(PREDICT, _request(rows()[:2], alias="champion"), says="by alias")
    places = tensor_pb2.Tensor(name="places", element_type=tensor_pb2.ELEMENT_TYPE_INT64, shape=[2])
    places.data = np.array([9, 0], "<i8").tobytes()
    picked = pb.PredictRequest(selector=prediction_pb2.ModelSelector(model_id="spare"), inputs=[places])
    await script.call(PREDICT, picked, says="another model")
    places.data = np.array([9, 10], "<i8").tobytes()
    picked = pb.PredictRequest(selector=prediction_pb2.ModelSelector(model_id="spare"), inputs=[places])
    await script.call(PREDICT, picked, says="an input that the model cannot be computed for")


async def _refused_predictions(script: Script) -> None:
    some = rows()[:1]

    async def refused(says: str, request: pb.PredictRequest, to_come: str | None = None) -> None:
        await script.call(PREDICT, request, says=says, to_come=to_come)

    await refused("an unknown model", _request(some, model_id="nobody"))
    await refused("an unknown version", _request(some, version=9))
    await refused("a version that is not deployed", _request(some, version=3))
    await refused("an unknown alias", _request(some, alias="nobody"))
    await refused("an empty alias", _request(some, alias=""))
    await refused("a version below 1", _request(some, version=-1))
    await refused("no inputs", pb.PredictRequest(selector=prediction_pb2.ModelSelector(model_id="exact")))
    await refused("no model", pb.PredictRequest(inputs=[_tensor(some)]))
    await refused("an unknown output", _request(some, output_names=["none"]))
    await refused("a priority", _request(some, priority=1), "priority")
    await refused("a priority that will never be", _request(some, priority=10))
    await refused("rows that are too short", _request(some[:, :7]))
    selector = prediction_pb2.ModelSelector(model_id="exact")
    changes: Sequence[tuple[str, dict[str, Any]]] = (
        ("another name", {"name": "x"}),
        ("another type", {"element_type": tensor_pb2.ELEMENT_TYPE_FLOAT64}),
        ("fewer bytes than the shape says", {"data": bytes(31)}),
        ("a negative extent", {"shape": [-1, 8]}),
    )
    sound: dict[str, Any] = {
        "name": "pixels",
        "element_type": tensor_pb2.ELEMENT_TYPE_FLOAT32,
        "shape": [1, 8],
        "data": bytes(32),
    }
    for says, change in changes:
        fields = sound | change
        await refused(f"an input with {says}", pb.PredictRequest(selector=selector, inputs=[tensor_pb2.Tensor(**fields)]))


async def _stream(script: Script) -> None:
    turns = [_start(version=1), *(_item(f"item-{row}", rows()[row : row + 1]) for row in range(3))]
    await script.call(STREAM, *turns, says="one after the other, each lingers alone", manner=Manner.IN_TURN)
    order = [(5 * place + 3) % _ROWS for place in range(2 * _FULL_BATCH)]
    joined = [_start(version=1, ordered=True), *(_item(f"row-{row}", rows()[row : row + 1]) for row in order)]
    await script.call(STREAM, *joined, says="rows of different requests in two full batches", held=True)
    sizes = [(0, 1), (1, 3), (4, 2), (6, 2)]
    mixed = [_start(version=1, ordered=True), *(_item(f"from-{row}", rows()[row : row + size]) for row, size in sizes)]
    await script.call(STREAM, *mixed, says="requests of 1, 3, 2 and 2 rows in two full batches", held=True)
    few = _start(wanted_credits=2, output_names=["label"])
    await script.call(STREAM, few, _item("only", rows()[:4]), says="two credits, one output", manner=Manner.IN_TURN)
    short = _item("late", rows()[:1])
    short.item.timeout.CopyFrom(_SHORT)
    await script.call(STREAM, _start(version=1), short, says="an item whose time is over first", manner=Manner.IN_TURN)
    wrong = [_start(version=1), _item("wrong", rows()[:1, :7]), _item("right", rows()[:4])]
    await script.call(STREAM, *wrong, says="a wrong item fails alone", manner=Manner.IN_TURN)
    twice = [_start(version=1, ordered=True), *[_item("same", rows()[:2])] * 2, _item("other", rows()[2:4])]
    await script.call(STREAM, *twice, says="an id that is unanswered yet", held=True)
    await script.call(STREAM, _start(), says="a start and nothing else")


async def _refused_streams(script: Script) -> None:
    await script.call(STREAM, _start(model_id="nobody"), says="an unknown model")
    await script.call(STREAM, _start(version=3), says="a version that is not deployed")
    await script.call(STREAM, _start(wanted_credits=-1), says="negative credits")
    await script.call(STREAM, _start(output_names=["none"]), says="an unknown output")
    await script.call(STREAM, _start(priority=1), says="a priority", to_come="start.priority")
    await script.call(STREAM, _item("first", rows()[:1]), says="no start")
    await script.call(STREAM, says="nothing at all")
    await script.call(STREAM, _start(), _start(), says="a second start", manner=Manner.IN_TURN)
    await script.call(STREAM, _start(), _item("", rows()[:1]), says="an item without an id", manner=Manner.IN_TURN)


async def _undeploy(script: Script) -> None:
    deploy = pb.DeployModelRequest(request_id="deploy-again", model_id="exact", version=1)
    undeploy = pb.UndeployModelRequest(request_id="undeploy-1", model_id="exact", version=1)
    await script.call(LOADED, pb.ListLoadedModelsRequest(), says="what the loaded models have done so far")
    await script.call(UNDEPLOY, undeploy, says="a version that serves")
    await script.call(UNDEPLOY, undeploy, says="the same request again gives the stored answer")
    await _version(script, "exact", 1, says="a version that serves no more")
    undeploy.version = 2
    await script.call(UNDEPLOY, undeploy, says="the request id with another body is refused")
    await script.call(UNDEPLOY, pb.UndeployModelRequest(model_id="exact", version=1), says="a version that is not deployed")
    await script.call(UNDEPLOY, pb.UndeployModelRequest(version=1), says="no model")
    await script.call(UNDEPLOY, pb.UndeployModelRequest(model_id="exact", version=-1), says="a version below 1")
    await script.call(PREDICT, _request(rows()[:1], version=1), says="a version that serves no more")
    await script.call(DEPLOY, deploy, says="deployed again, with the defaults")
    await script.call(UNDEPLOY, pb.UndeployModelRequest(model_id="exact", version=1), says="and undeployed again")
    await script.call(
        DEPLOY, pb.DeployModelRequest(model_id="exact", version=1), says="requests without a version go to it now"
    )
    await script.call(PREDICT, _request(rows()[:1]), says="answered by the version deployed last")
    await script.call(WATCH, pb.WatchDeploymentsRequest(), says="all that happened", manner=Manner.TAKEN, take=7)
    later = pb.WatchDeploymentsRequest(after_position=3)
    await script.call(WATCH, later, says="from a position on", manner=Manner.TAKEN, take=4)


async def _version(script: Script, model: str, version: int, *, says: str) -> None:
    """How the registry shows a version."""
    await script.call(registry.GET, registry_service_pb2.GetVersionRequest(model_id=model, version=version), says=says)


def _tensor(array: NDArray[np.float32]) -> tensor_pb2.Tensor:
    data = array.astype("<f4").tobytes()
    return tensor_pb2.Tensor(name="pixels", element_type=tensor_pb2.ELEMENT_TYPE_FLOAT32, shape=array.shape, data=data)


def _request(
    array: NDArray[np.float32], *, output_names: Sequence[str] = (), priority: int = 0, **selector: Any
) -> pb.PredictRequest:
    chosen = prediction_pb2.ModelSelector(**({"model_id": "exact"} | selector))
    return pb.PredictRequest(selector=chosen, inputs=[_tensor(array)], output_names=output_names, priority=priority)


def _start(
    *, wanted_credits: int = 0, ordered: bool = False, output_names: Sequence[str] = (), priority: int = 0, **selector: Any
) -> pb.PredictStreamRequest:
    start = prediction_pb2.PredictStreamStart(
        selector=prediction_pb2.ModelSelector(**({"model_id": "exact"} | selector)),
        wanted_credits=wanted_credits,
        ordered=ordered,
        output_names=output_names,
        priority=priority,
    )
    return pb.PredictStreamRequest(start=start)


def _item(name: str, array: NDArray[np.float32]) -> pb.PredictStreamRequest:
    return pb.PredictStreamRequest(item=prediction_pb2.PredictStreamItem(id=name, inputs=[_tensor(array)]))
