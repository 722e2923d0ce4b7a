"""The way into service: room, artifact, memory and a first run, on every replica."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from synapsenet.inference.intention import artifact_missing, intended
from synapsenet.inference.model import (
    BatchingPolicy,
    Condition,
    Deployment,
    DeploymentFailed,
    DeploymentState,
    Stage,
    VersionKey,
    aggregate,
)
from synapsenet.inference.ports import InferenceWork, Registry
from synapsenet.inference.run_options import RunOptions, read_options
from synapsenet.inference.steps.crew import Crew, gone, own, wanted_replicas
from synapsenet.platform.participation import Json, OneWay, StepCall, Turn, giving


class Reserve:
    """Keeps room for a version; undone, nothing of it is left anywhere, and why is told."""

    def __init__(self, crew: Crew, *, registry: Registry, batching: BatchingPolicy) -> None:
        self._crew = crew
        self._registry = registry
        self._batching = batching

    async def prepare(self, call: StepCall) -> Json:
        """Nothing is needed.

        Raises:
            InvalidArgument: OPTIONS_INVALID, BATCHING_INVALID: an operation that cannot succeed is not begun.
            NotYetAvailable: an option is not in this release.
            FailedPrecondition: REPLICAS_TOO_FEW.
        """
        self._options(call)
        self._crew.replicas.require(wanted_replicas(call), await self._crew.replicas.others())
        return {}

    async def execute(self, call: StepCall, turn: Turn) -> Callable[[InferenceWork], Json]:
        """Record the deployment.

        Raises:
            FailedPrecondition: ARTIFACT_MISSING.
            ResourceExhausted: MODELS_FULL.
        """
        registered = await self._registry.find(call.model_id, call.version)
        if not registered.artifact_sha256:
            raise artifact_missing(registered)
        options = self._options(call)

        def add(tx: InferenceWork) -> Deployment:
            if (made := own(tx, call)) is not None:
                return made
            tx.deployments.remove(registered.key)  # what an operation left that somebody settled by hand
            tx.reports.remove(registered.key)
            order = 1 + max((one.order for one in tx.deployments.all()), default=0)
            made = replace(
                intended(registered, options, at=self._crew.clock.now()), order=order, operation_id=call.operation_id
            )
            tx.deployments.add(made, options.request)
            return made

        async with self._crew.noting(call, turn):
            deployment = await self._crew.record(turn, add)
            await self._crew.bring(deployment, Stage.RESERVED, wanted=wanted_replicas(call))
        return giving({})

    async def compensate(self, call: StepCall, compensation_input: Json, turn: Turn) -> Callable[[InferenceWork], None]:
        """Have every replica forget it."""
        key = VersionKey(call.model_id, call.version)
        if await self._crew.work.read(lambda tx: own(tx, call)) is None:
            return lambda tx: None

        def drain(tx: InferenceWork) -> Deployment:
            found = own(tx, call)
            if found is None:
                raise gone(call)
            return replace(found, state=DeploymentState.DRAINING, condition=found.condition or self._taken_back())

        draining = await self._crew.record(turn, drain)
        await self._crew.drain(draining)
        await self._crew.memory.forget(draining)

        def remove(tx: InferenceWork) -> None:
            if (found := own(tx, call)) is not None:
                tx.events.append(aggregate(key), DeploymentFailed(deployment=found))
                tx.deployments.remove(key)
                tx.reports.remove(key)

        return remove

    def _options(self, call: StepCall) -> RunOptions:
        return read_options(call.input.get("options") or {}, self._batching, model=call.model_id, version=call.version)

    def _taken_back(self) -> Condition:
        message = "the deployment was taken back before it served"
        return Condition(reason="DEPLOYMENT_TAKEN_BACK", message=message, since=self._crew.clock.now())


class Bring:
    """Brings a version to a stage on the replicas; undone, back to the one before.

    Args:
        back: where undoing leads.
    """

    def __init__(self, crew: Crew, stage: Stage, *, back: Stage) -> None:
        self._crew = crew
        self._stage = stage
        self._back = back

    async def prepare(self, call: StepCall) -> Json:
        return {}

    async def execute(self, call: StepCall, turn: Turn) -> Callable[[InferenceWork], Json]:
        """Carry it out here and have the others do so.

        Raises:
            FailedPrecondition: DEPLOYMENT_GONE.
            SynapseError: as `Memory.bring`, here or on another replica.
        """
        await bring(self._crew, call, turn, self._stage)
        return giving({})

    async def compensate(self, call: StepCall, compensation_input: Json, turn: Turn) -> Callable[[InferenceWork], None]:
        """Take it back; the others follow, and it is waited for them when the room is given back."""
        if await self._crew.work.read(lambda tx: own(tx, call)) is None:
            return lambda tx: None

        def take_back(tx: InferenceWork) -> Deployment:
            found = own(tx, call)
            if found is None:
                raise gone(call)
            return replace(found, stage=min(found.stage, self._back))

        deployment = await self._crew.record(turn, take_back)
        await self._crew.memory.take_back(deployment, self._back)
        return lambda tx: None


class WarmUp(OneWay[InferenceWork]):
    """Runs a version once on every replica."""

    def __init__(self, crew: Crew) -> None:
        self._crew = crew

    async def execute(self, call: StepCall, turn: Turn) -> Callable[[InferenceWork], Json]:
        """Run it and compare what it gives with what it promises.

        Raises:
            FailedPrecondition: PROMISE_BROKEN; DEPLOYMENT_GONE.
            SynapseError: as `Memory.bring`, here or on another replica.
        """
        await bring(self._crew, call, turn, Stage.WARM)
        return giving({})


async def bring(crew: Crew, call: StepCall, turn: Turn, stage: Stage) -> Deployment:
    """Bring the call's version to `stage` on the replicas; the deployment as it is recorded.

    Raises:
        FailedPrecondition: DEPLOYMENT_GONE.
        SynapseError: as `Memory.bring`, here or on another replica.
    """

    def on(tx: InferenceWork) -> Deployment:
        found = own(tx, call)
        if found is None:
            raise gone(call)
        return replace(found, stage=stage)

    async with crew.noting(call, turn):
        deployment = await crew.record(turn, on)
        await crew.bring(deployment, stage, wanted=wanted_replicas(call))
    return deployment
