"""Replicas of inference with the real coordinator beside them, in one process and without a wire; the registry in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from synapsenet.adapters.artifacts import open_artifacts
from synapsenet.adapters.onnx_runtime import OnnxRuntime
from synapsenet.adapters.sql.coordination import open_coordination
from synapsenet.adapters.sql.inference import SqlInferenceWork
from synapsenet.adapters.sql.inference import metadata as inference_metadata
from synapsenet.adapters.sql.lifecycle import SqlLifecycleWork
from synapsenet.adapters.sql.lifecycle import metadata as lifecycle_metadata
from synapsenet.adapters.sql.locks import SqlLocks
from synapsenet.adapters.sql.membership import SqlMembership
from synapsenet.adapters.sql.work import SqlWork, open_work
from synapsenet.adapters.threads import open_threads
from synapsenet.clock import SystemClock
from synapsenet.errors import Internal, NotFound
from synapsenet.ids import RandomIds
from synapsenet.inference.loading import Loader
from synapsenet.inference.model import Condition, DeploymentState, VersionKey
from synapsenet.inference.options import InferenceOptions
from synapsenet.inference.ports import EvaluationSets
from synapsenet.inference.ports import Lifecycle as LifecyclePort
from synapsenet.inference.replica import Replica, compose
from synapsenet.inference.service import Inference
from synapsenet.inference.steps.evaluating import Evaluate
from synapsenet.inference.tensors import Array
from synapsenet.lifecycle import model as lifecycle_model
from synapsenet.lifecycle import ports as lifecycle_ports
from synapsenet.lifecycle.failures import as_error
from synapsenet.lifecycle.guards import VersionFacts
from synapsenet.lifecycle.model import Caller, Operation, OperationState, VersionStatus
from synapsenet.lifecycle.sagas import INFERENCE, REGISTRY, SAGAS
from synapsenet.lifecycle.service import Lifecycle
from synapsenet.lifecycle.service import compose as coordinating
from synapsenet.lifecycle.table import MACHINE
from synapsenet.lifecycle.wishes import DeployWish, Patience
from synapsenet.platform.participant import Participant, ParticipationOptions
from synapsenet.platform.participation import Json
from synapsenet.platform.work import ANONYMOUS
from synapsenet.testing.inference import KEY, MemoryRegistry
from synapsenet.testing.lifecycle_stage import OPTIONS as COORDINATION
from synapsenet.testing.lifecycle_stage import Troupe
from tests.integration.inference.asked import Asked

CLOCK = SystemClock()
OPTIONS = InferenceOptions(max_loaded_models=3, retry_first_s=0.05, lock_ttl_s=1.0)
SOON_S = 10.0
REASON = Caller(actor="test", reason="to see what happens")


class Catalogue(lifecycle_ports.Catalogue):
    """What the coordinator asks the registry, asked of the one in memory."""

    def __init__(self, registry: MemoryRegistry) -> None:
        self._registry = registry
        self.shown: dict[int, VersionStatus] = {}
        self.begins_in = "registered"

    async def find(self, model: str, version: int) -> VersionFacts:
        found = await self._registry.find(model, version)
        return VersionFacts(
            model_id=found.key.model_id,
            model_name=found.model_name,
            version=version,
            state=self.begins_in,
            artifact_sha256=found.artifact_sha256,
        )

    async def model_id(self, model: str) -> str:
        return model

    async def keep(self, status: VersionStatus) -> None:
        self.shown[status.version] = status


class Coordinated(LifecyclePort):
    """Inference's port to the coordinator, without a wire."""

    lifecycle: Lifecycle

    async def begin_deployment(self, key: VersionKey, *, options: Json) -> str:
        wish = DeployWish(keep_previous=True, options=options)
        begun = await self.lifecycle.coordinator.deploy(
            key.model_id, key.version, wish, REASON, Patience(wait=SOON_S), ANONYMOUS
        )
        return begun.id

    async def begin_undeployment(self, key: VersionKey) -> str:
        begun = await self.lifecycle.coordinator.undeploy(key.model_id, key.version, REASON, Patience(wait=SOON_S), ANONYMOUS)
        return begun.id

    async def end(self, operation_id: str) -> None:
        ended = await self.lifecycle.desk.wait(operation_id, timeout=SOON_S)
        assert ended.state.has_ended, ended
        if ended.state is not OperationState.SUCCEEDED:
            raise as_error(ended.failure) if ended.failure else Internal("OPERATION_FAILED")

    async def report(self, key: VersionKey, *, reporter: str, condition: Condition | None) -> None:
        said = None if condition is None else lifecycle_model.Condition(reason=condition.reason, message=condition.message)
        await self.lifecycle.coordinator.report_condition(key.model_id, key.version, reporter, said)


class Sets(EvaluationSets):
    """Training sets of whatever `columns` was given."""

    def __init__(self) -> None:
        self.columns: dict[str, Mapping[str, Array]] = {}

    async def read(self, set_id: str) -> Mapping[str, Array]:
        if set_id not in self.columns:
            raise NotFound("TRAINING_SET_UNKNOWN", f"there is no training set {set_id}")
        return self.columns[set_id]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """A replica, its coordinator, and what is behind both."""

    replica: Replica
    inference: Inference
    participant: Participant[SqlInferenceWork]
    work: SqlWork[SqlInferenceWork]
    sets: Sets
    lifecycle: Lifecycle
    asked: Asked
    catalogue: Catalogue

    async def deploy(self, version: int, wish: DeployWish | None = None) -> Operation:
        """A deployment as the coordinator is asked for it, ended."""
        begun = await self.lifecycle.coordinator.deploy(
            KEY.model_id, version, wish or DeployWish(), REASON, Patience(wait=SOON_S), ANONYMOUS
        )
        return await self.ended(begun)

    async def undeploy(self, version: int) -> Operation:
        begun = await self.lifecycle.coordinator.undeploy(KEY.model_id, version, REASON, Patience(wait=SOON_S), ANONYMOUS)
        return await self.ended(begun)

    async def promote(self, version: int, traffic: Mapping[int, float]) -> Operation:
        wish = DeployWish(traffic=traffic)
        begun = await self.lifecycle.coordinator.promote(KEY.model_id, version, wish, REASON, Patience(wait=SOON_S), ANONYMOUS)
        return await self.ended(begun)

    async def ended(self, operation: Operation) -> Operation:
        ended = await self.lifecycle.desk.wait(operation.id, timeout=SOON_S)
        assert ended.state.has_ended, ended
        return ended

    async def status(self, version: int = 1) -> VersionStatus:
        """Where the coordinator has the version."""
        return (await self.lifecycle.coordinator.status(KEY.model_id, version))[0]

    def state(self, key: VersionKey = KEY) -> DeploymentState | None:
        """Where this replica has the version."""
        found = self.replica.residents.deployment(key)
        return found.state if found else None

    def shares(self) -> Mapping[int, float]:
        return self.replica.residents.shares(KEY.model_id)

    async def events(self) -> list[str]:
        """The types of the events that have a position so far."""
        return [event.type for event in await self.work.feed.read(after=0, limit=1_000)]


@dataclass(slots=True, kw_only=True)
class _Shared:
    """What replicas on one folder share."""

    folder: Path
    registry: MemoryRegistry
    work: SqlWork[SqlInferenceWork]
    locks: SqlLocks
    membership: SqlMembership
    coordination: SqlWork[SqlLifecycleWork]
    options: InferenceOptions
    sets: Sets = field(default_factory=Sets)


@asynccontextmanager
async def benches(
    folder: Path, registry: MemoryRegistry, *, replicas: int = 1, options: InferenceOptions = OPTIONS
) -> AsyncIterator[list[Bench]]:
    """That many replicas with one coordinator, which asks the first; again on the same folder after the last has ended."""
    async with AsyncExitStack() as stack:
        coordination = await stack.enter_async_context(open_coordination(folder / "coordination.sqlite"))
        shared = _Shared(
            folder=folder,
            registry=registry,
            work=await stack.enter_async_context(
                open_work(
                    folder / "inference.sqlite",
                    area="inference",
                    metadata=inference_metadata,
                    unit=SqlInferenceWork,
                    clock=CLOCK,
                    event_ids=RandomIds("event"),
                )
            ),
            coordination=await stack.enter_async_context(
                open_work(
                    folder / "lifecycle.sqlite",
                    area="lifecycle",
                    metadata=lifecycle_metadata,
                    unit=SqlLifecycleWork,
                    clock=CLOCK,
                    event_ids=RandomIds("event"),
                )
            ),
            locks=SqlLocks(coordination, CLOCK),
            membership=SqlMembership(coordination, CLOCK),
            options=options,
        )
        ports = [Coordinated() for _ in range(replicas)]
        made = [
            await stack.enter_async_context(_replica(shared, f"replica-{number}", port)) for number, port in enumerate(ports)
        ]
        asked, catalogue = Asked([one.participant for one in made]), Catalogue(registry)
        lifecycle = await stack.enter_async_context(_coordinator(shared, asked, catalogue))
        for port in ports:
            port.lifecycle = lifecycle
        for one in made:
            one.begin()
        yield [one.bench(lifecycle, asked, catalogue) for one in made]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Made:
    """A replica that has not begun."""

    replica: Replica
    inference: Inference
    participant: Participant[SqlInferenceWork]
    shared: _Shared
    running: list[asyncio.Task[None]] = field(default_factory=list)

    def begin(self) -> None:
        for run in (self.replica.residency.keep, self.replica.follower.run, self.replica.replicas.run):
            self.running.append(asyncio.create_task(run()))

    def bench(self, lifecycle: Lifecycle, asked: Asked, catalogue: Catalogue) -> Bench:
        return Bench(
            replica=self.replica,
            inference=self.inference,
            participant=self.participant,
            work=self.shared.work,
            sets=self.shared.sets,
            lifecycle=lifecycle,
            asked=asked,
            catalogue=catalogue,
        )


@asynccontextmanager
async def _replica(shared: _Shared, own: str, port: Coordinated) -> AsyncIterator[_Made]:
    with open_threads(1, name="test") as threads:
        loader = Loader(
            registry=shared.registry,
            artifacts=open_artifacts(shared.folder / own, CLOCK),
            runtime=OnnxRuntime(intra_op_threads=1),
            loads=threads,
            runs=threads,
            clock=CLOCK,
            options=shared.options,
        )
        replica = compose(
            own=own,
            work=shared.work,
            feed=shared.work.feed,
            registry=shared.registry,
            lifecycle=port,
            membership=shared.membership,
            loader=loader,
            clock=CLOCK,
            options=shared.options,
        )
        await replica.residency.recall()
        inference = Inference(
            work=shared.work,
            feed=shared.work.feed,
            registry=shared.registry,
            follower=replica.follower,
            residency=replica.residency,
            residents=replica.residents,
            clock=CLOCK,
            options=shared.options,
        )
        evaluate = Evaluate(registry=shared.registry, sets=shared.sets, loader=loader, runs=threads, clock=CLOCK)
        participant = Participant(
            INFERENCE,
            work=shared.work,
            steps={**replica.steps, "evaluate": evaluate},
            clock=CLOCK,
            options=ParticipationOptions(),
        )
        made = _Made(replica=replica, inference=inference, participant=participant, shared=shared)
        try:
            yield made
            for task in made.running:
                assert not task.done(), task.exception()
        finally:
            for task in made.running:
                task.cancel()
            await asyncio.gather(*made.running, return_exceptions=True)
            await participant.close()
            await replica.stop()


@asynccontextmanager
async def _coordinator(shared: _Shared, asked: Asked, catalogue: Catalogue) -> AsyncIterator[Lifecycle]:
    lifecycle = coordinating(
        MACHINE,
        SAGAS,
        work=shared.coordination,
        feed=shared.coordination.feed,
        locks=shared.locks,
        catalogue=catalogue,
        participants={INFERENCE: asked, REGISTRY: Troupe(results={"verify_artifact": {"artifact_sha256": "ab" * 32}})},
        clock=CLOCK,
        ids=RandomIds("op"),
        options=COORDINATION,
        holder="test",
    )
    tasks = [asyncio.create_task(run()) for run in (lifecycle.runner.keep, lifecycle.runner.listen, lifecycle.projector.run)]
    try:
        yield lifecycle
        for task in tasks:
            assert not task.done(), task.exception()
    finally:
        await lifecycle.runner.stop()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(SOON_S):
        while not holds():
            await asyncio.sleep(0.01)
