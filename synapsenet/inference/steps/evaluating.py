"""The evaluation of a version that serves nobody yet: loaded aside, predicted with, measured, and let go."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

import numpy as np

from synapsenet.clock import Clock
from synapsenet.errors import InvalidArgument
from synapsenet.inference.evaluation import batches, inputs_of, measured, truth_of
from synapsenet.inference.intention import artifact_missing, intended
from synapsenet.inference.loading import Loader
from synapsenet.inference.model import BatchingPolicy, Deployment
from synapsenet.inference.ports import EvaluationSets, Executable, Executor, InferenceWork, RegisteredVersion, Registry
from synapsenet.inference.run_options import RunOptions
from synapsenet.inference.tensors import Array
from synapsenet.platform.participation import Json, OneWay, StepCall, Turn, giving


class Evaluate(OneWay[InferenceWork]):
    """Measures a version on the training set that the operation names; one at a time, beside what serves.

    Args:
        runs: where batches are run.
    """

    def __init__(self, *, registry: Registry, sets: EvaluationSets, loader: Loader, runs: Executor, clock: Clock) -> None:
        self._registry = registry
        self._sets = sets
        self._loader = loader
        self._runs = runs
        self._clock = clock
        self._one_at_a_time = asyncio.Lock()

    async def execute(self, call: StepCall, turn: Turn) -> Callable[[InferenceWork], Json]:
        """What was measured, by name, and on how many examples; nothing if no set is named.

        Raises:
            InvalidArgument: LABEL_MISSING.
            FailedPrecondition: ARTIFACT_MISSING, EVALUATION_SET_UNFIT.
            SynapseError: as `Loader.load` and `EvaluationSets.read`.
        """
        set_id, label = str(call.input.get("evaluation_set_id") or ""), str(call.input.get("label") or "")
        if not set_id:
            return giving({})
        if not label:
            raise InvalidArgument(
                "LABEL_MISSING",
                "label: an evaluation needs the column that holds the truth",
                field="label",
                remedy="name it, group:feature",
            )
        registered = await self._registry.find(call.model_id, call.version)
        if not registered.artifact_sha256:
            raise artifact_missing(registered)
        async with self._one_at_a_time:
            metrics, examples = await self._measured(registered, set_id, label)
        return giving({"metrics": metrics, "examples": examples})

    async def _measured(self, registered: RegisteredVersion, set_id: str, label: str) -> tuple[dict[str, float], int]:
        columns = await self._sets.read(set_id)
        truth = truth_of(columns, label)
        resident = await self._loader.load(self._aside(registered))
        try:
            executable = resident.executable
            inputs = inputs_of(executable.signature, columns, label=label)
            outputs = await self._outputs(executable, inputs)
        finally:
            await resident.batcher.close()
        return measured(executable.signature, outputs, truth), len(truth)

    async def _outputs(self, executable: Executable, inputs: list[Array]) -> list[Array]:
        """All outputs in the signature's order; serving requests may run between two parts."""
        runs = (partial(executable.compute, part) for part in batches(executable.signature, inputs))
        parts = [await self._runs.run(run) for run in runs]
        return [np.concatenate(arrays) for arrays in zip(*parts, strict=True)]

    def _aside(self, registered: RegisteredVersion) -> Deployment:
        """As if it were deployed, for the loader; nothing records it, and no request finds it."""
        return intended(registered, RunOptions(batching=BatchingPolicy()), at=self._clock.now())
