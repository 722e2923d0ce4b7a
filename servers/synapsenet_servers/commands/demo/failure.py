"""The demo's one failure: a version with a damaged artifact is deployed, and the one that serves is to go on as before."""

from __future__ import annotations

import numpy as np
import onnx
from numpy.typing import NDArray

from synapsenet_api.lifecycle.v1.operation_pb2 import Operation, OperationState
from synapsenet_client import Client
from synapsenet_servers.commands.demo.telling import Telling


def damaged(artifact: bytes) -> bytes:
    """An ONNX model in whose file the shape of one weight is not what it was: it can be read, and cannot be loaded."""
    model = onnx.load_model_from_string(artifact)
    weight = next(tensor for tensor in model.graph.initializer if tensor.name == "layer.1.weight")
    weight.dims[:] = list(weight.dims)[::-1]
    return bytes(model.SerializeToString())


class Failure:
    """Deploys what cannot be deployed.

    Args:
        model: id of the model.
        serving: the version that serves.
        artifact: of that version.
        pixels: (images, pixels) float32, what both before and after are asked with.
    """

    def __init__(
        self, client: Client, telling: Telling, *, model: str, serving: int, artifact: bytes, pixels: NDArray[np.float32]
    ) -> None:
        self._client = client
        self._telling = telling
        self._model = model
        self._serving = serving
        self._artifact = artifact
        self._pixels = pixels

    def provoke(self) -> bool:
        """Whether the deployment was undone, and the version of before serves alone and answers bit for bit as before."""
        with self._telling.step("deploy a version whose artifact is damaged") as step:
            before = self._answers()
            operation = self._deploy(self._version())
            undone = operation.state == OperationState.OPERATION_STATE_COMPENSATED
            restored = undone and self._serves_alone() and np.array_equal(before, self._answers())
            failed = next((one.name for one in operation.steps if one.HasField("error")), "no step")
            after = "answers as before" if restored else "does not answer as before"
            step.result = f"{failed} failed, {'undone' if undone else 'NOT undone'}; version {self._serving} {after}"
            return bool(restored)

    def _version(self) -> int:
        registry = self._client.registry
        version = registry.create_version(self._model, description="damaged on purpose, by the demo")
        registry.upload(self._model, version.version, damaged(self._artifact), format="ONNX")
        lifecycle = self._client.lifecycle
        lifecycle.transition(self._model, version.version, "approve")
        return int(version.version)

    def _deploy(self, version: int) -> Operation:
        operation = self._client.lifecycle.deploy(self._model, version)
        with self._client.lifecycle.watch_operation(operation.id) as changes:
            for change in changes:
                operation = change
        return operation

    def _serves_alone(self) -> bool:
        status = self._client.lifecycle.status(self._model, self._serving)
        return status.state == "serving" and status.traffic_fraction == 1.0

    def _answers(self) -> NDArray[np.float32]:
        answer = self._client.inference.predict(self._model, {"pixels": self._pixels})
        if answer.version != self._serving:
            return np.empty(0, np.float32)
        return np.asarray(answer.outputs["scores"], np.float32)
