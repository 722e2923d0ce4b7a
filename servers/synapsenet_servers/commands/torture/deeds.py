"""Random operations on several models, each begun once and waited for whatever happens meanwhile."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import numpy as np

from synapsenet.ids import RandomIds
from synapsenet_api.lifecycle.v1.operation_pb2 import Operation, OperationState
from synapsenet_client import Aborted, AsyncClient, FailedPrecondition, intent
from synapsenet_servers.commands.demo.onnx_model import perceptron
from synapsenet_servers.commands.torture.faults import Faults
from synapsenet_servers.commands.torture.persistence import ATTEMPT_S, persist

INPUTS = 4
_CLASSES = 2
_ALIVE = 3
_PATIENCE_S = 20.0
_CORRUPTED = 0.08
_CANCELLED = 0.08
_APPROVED = 0.7
_LIKELY = {"deploy": 6, "undeploy": 2, "roll_back": 3, "promote": 3, "validate": 4, "archive": 1, "deprecate": 1}
_SAGAS = frozenset({"deploy", "undeploy", "roll_back", "promote", "validate", "archive"})
_ENDED = frozenset(
    {
        OperationState.OPERATION_STATE_SUCCEEDED,
        OperationState.OPERATION_STATE_COMPENSATED,
        OperationState.OPERATION_STATE_FAILED,
        OperationState.OPERATION_STATE_RESOLVED,
    }
)


class Deeds:
    """Those who want things of the platform.

    Attributes:
        asked: wishes by their name.
        outcomes: what became of them.
        stuck: operations that did not end in time.
    """

    def __init__(self, client: AsyncClient, models: Sequence[str], count: int, faults: Faults | None, seed: int) -> None:
        self._client = client.within(ATTEMPT_S)
        self._models = models
        self._left = iter(range(count))
        self._faults = faults
        self._chance = random.Random(seed)
        self._ids = RandomIds("tried")
        self._alive: dict[str, list[int]] = {model: [] for model in models}
        self.asked: Counter[str] = Counter()
        self.outcomes: Counter[str] = Counter()
        self.stuck: list[str] = []

    async def prepare(self) -> None:
        """Create the models, each with a few versions that can be deployed."""
        for model in self._models:
            await self._create(model, self._ids.next())
            for _ in range(_ALIVE):
                await self._new_version(model)

    async def _create(self, model: str, request_id: str) -> None:
        await persist(lambda: self._client.models.create(model, request_id=request_id))

    async def run(self) -> None:
        """One after another, until all are done; several of these run at once."""
        for _ in self._left:
            if self._faults is not None:
                self._faults.operation_begins()
            try:
                await self._one(self._chance.choice(self._models))
            except (FailedPrecondition, Aborted) as refusal:
                self.outcomes[f"refused: {refusal.reason}"] += 1

    async def _one(self, model: str) -> None:
        if self._faults is not None and self._chance.random() < _CORRUPTED:
            version = await self._new_version(model)
            found = await persist(lambda: self._client.registry.get_version(model, version))
            self._faults.corrupt(found.artifact.sha256)
        else:
            version = self._chance.choice(self._alive[model])
        status = await persist(lambda: self._client.lifecycle.status(model, version))
        events = [*status.allowed_events] or ["deploy"]  # what is being worked on is refused, or waited for
        event = self._chance.choices(events, weights=[_LIKELY.get(one, 1) for one in events])[0]
        self.asked[event] += 1
        if event == "archive":
            self._alive[model] = [one for one in self._alive[model] if one != version]
            await self._new_version(model)
        if event in _SAGAS or (event == "deprecate" and status.state == "serving"):
            await self._operation(model, version, event)
        else:
            await self._transition(model, version, event)

    async def _transition(self, model: str, version: int, event: str) -> None:
        request_id, wanted = self._ids.next(), intent(wait=_PATIENCE_S / 10)
        lifecycle = self._client.lifecycle
        await persist(lambda: lifecycle.transition(model, version, event, intent=wanted, request_id=request_id))
        self.outcomes["done at once"] += 1

    async def _operation(self, model: str, version: int, event: str) -> None:
        begin = self._begin(model, version, "undeploy" if event == "deprecate" else event, self._ids.next())
        operation = await persist(begin)
        if self._chance.random() < _CANCELLED:
            await self._cancel(operation.id)
        ended = await self._ended(operation.id)
        self.outcomes[OperationState.Name(ended.state).removeprefix("OPERATION_STATE_").lower()] += 1
        if ended.state not in _ENDED:
            self.stuck.append(f"{ended.saga} {ended.id} is {OperationState.Name(ended.state)}")

    def _begin(self, model: str, version: int, event: str, request_id: str) -> Callable[[], Awaitable[Operation]]:
        lifecycle: Any = self._client.lifecycle
        patient = {"intent": intent(wait=_PATIENCE_S, reason="a trial"), "request_id": request_id}
        if event == "roll_back":
            return lambda: lifecycle.roll_back(model, version=version, **patient)
        return lambda: getattr(lifecycle, event)(model, version, **patient)

    async def _cancel(self, operation_id: str) -> None:
        request_id = self._ids.next()
        try:
            await persist(lambda: self._client.lifecycle.cancel_operation(operation_id, request_id=request_id))
        except FailedPrecondition:
            self.outcomes["ended before it was cancelled"] += 1

    async def _ended(self, operation_id: str) -> Operation:
        """The operation at its end, or as it is after a minute and more."""
        operation = Operation()
        for _ in range(20):
            operation = await persist(lambda: self._client.lifecycle.wait_operation(operation_id, timeout=3.0))
            if operation.state in _ENDED:
                break
        return operation

    async def _new_version(self, model: str) -> int:
        """A version like no other, registered or still to be validated; its number."""
        request_id, registry = self._ids.next(), self._client.registry
        created = await persist(lambda: registry.create_version(model, request_id=request_id))
        version = int(created.version)
        artifact = self._artifact()
        await persist(lambda: registry.upload(model, version, artifact, format="ONNX"))
        if self._chance.random() < _APPROVED:
            approval = self._ids.next()
            await persist(lambda: self._client.lifecycle.transition(model, version, "approve", request_id=approval))
        self._alive[model].append(version)
        return version

    def _artifact(self) -> bytes:
        weights = np.random.default_rng(self._chance.randrange(1 << 30))
        return perceptron(
            {
                "layer.0.weight": weights.standard_normal((INPUTS, _CLASSES), np.float32),
                "layer.0.bias": np.zeros(_CLASSES, np.float32),
            },
            input_scale=1.0,
        )
