"""What the steps share: the records, this replica's memory, and the other replicas, who do the same."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

from synapsenet.clock import Clock
from synapsenet.errors import FailedPrecondition, SynapseError
from synapsenet.inference.memory import Memory
from synapsenet.inference.model import Condition, Deployment, DeploymentStaged, Stage, VersionKey
from synapsenet.inference.ports import InferenceWork, ReplicaReport
from synapsenet.inference.replicas import Replicas
from synapsenet.inference.residents import Residents
from synapsenet.platform.participation import StepCall, Turn
from synapsenet.platform.work import WorkFactory

_STOPPED = frozenset({"FENCED", "STEP_COMPENSATED"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Crew:
    """This replica, which carries a step out, and the others, which follow the records that it writes."""

    work: WorkFactory[InferenceWork]
    memory: Memory
    residents: Residents
    replicas: Replicas
    clock: Clock

    async def record(self, turn: Turn, change: Callable[[InferenceWork], Deployment]) -> Deployment:
        """Commit `change`, and have the other replicas look at the deployment that it gives and has recorded.

        Raises:
            FailedPrecondition: FENCED or STEP_COMPENSATED.
        """
        others = await self.replicas.others()

        def commit(tx: InferenceWork) -> Deployment:
            turn.check(tx)
            changed = change(tx)
            changed = replace(changed, attempt=changed.attempt + 1)
            tx.deployments.update(changed)
            if others:
                tx.events.append(f"replicas/{changed.key}", DeploymentStaged(deployment=changed))
            return changed

        return await self.work.run(commit)

    async def bring(self, deployment: Deployment, stage: Stage, *, wanted: int) -> None:
        """Bring `deployment` to `stage` here and on others, `wanted` replicas in all; 0: on all that live.

        Raises:
            SynapseError: what the first replica that could not says.
        """
        await _both(
            self.memory.bring(deployment, stage),
            self._agreed(deployment, lambda report: report.stage is not None and report.stage >= stage, wanted=wanted),
        )

    async def drain(self, deployment: Deployment) -> None:
        """Have every replica answer what it accepted for `deployment`, which is recorded as DRAINING, and unload it."""
        await _both(self.memory.drain(deployment), self._agreed(deployment, lambda report: report.stage is None))

    async def route(self, deployment: Deployment, generation: int) -> None:
        """Return once every other replica knows the routes of `generation`; this one does."""
        await self._agreed(deployment, lambda report: report.generation >= generation)

    @asynccontextmanager
    async def noting(self, call: StepCall, turn: Turn) -> AsyncIterator[None]:
        """Let the deployment say why a step of it failed: that is what is told of it when it is taken back."""
        try:
            yield
        except SynapseError as error:
            if error.reason not in _STOPPED:
                with suppress(SynapseError):
                    await self._note(call, turn, Condition(reason=error.reason, message=error.public, since=self.clock.now()))
            raise

    async def _note(self, call: StepCall, turn: Turn, condition: Condition) -> None:
        def commit(tx: InferenceWork) -> None:
            turn.check(tx)
            found = tx.deployments.find(VersionKey(call.model_id, call.version))
            if found is not None and found.operation_id == call.operation_id:
                tx.deployments.update(replace(found, condition=condition))

        await self.work.run(commit)

    async def _agreed(self, deployment: Deployment, holds: Callable[[ReplicaReport], bool], *, wanted: int = 0) -> None:
        await self.replicas.agree(deployment, await self.replicas.others(), holds, wanted=wanted)


def wanted_replicas(call: StepCall) -> int:
    """On how many replicas the operation wants it; 0: on all."""
    return int(call.input.get("replicas") or 0)


def own(tx: InferenceWork, call: StepCall) -> Deployment | None:
    """The deployment of the call's version, if its operation made it or works on it."""
    found = tx.deployments.find(VersionKey(call.model_id, call.version))
    return found if found is not None and found.operation_id == call.operation_id else None


def gone(call: StepCall) -> FailedPrecondition:
    """The deployment that a step is about is not there."""
    return FailedPrecondition(
        "DEPLOYMENT_GONE",
        f"version {call.version} of {call.model_id} has no place on the replicas any more",
        remedy="deploy it again",
    )


async def _both(here: Coroutine[Any, Any, None], there: Coroutine[Any, Any, None]) -> None:
    """Do both at once; the first failure ends the other and is raised."""
    tasks = [asyncio.create_task(here), asyncio.create_task(there)]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
