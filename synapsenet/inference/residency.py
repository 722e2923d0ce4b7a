"""Residency: what is recorded, kept true in this replica's memory through failures and restarts.

It decides nothing about a version's life. A version that should serve and cannot be loaded is FAILED with its reason, which the
coordinator is told as a condition, and tried again.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from dataclasses import replace

from synapsenet.clock import Clock
from synapsenet.errors import Internal, SynapseError
from synapsenet.inference.memory import Memory
from synapsenet.inference.model import (
    Condition,
    Deployment,
    DeploymentFailed,
    DeploymentRestored,
    DeploymentState,
    ModelUndeployed,
    VersionKey,
    aggregate,
)
from synapsenet.inference.options import InferenceOptions
from synapsenet.inference.ports import InferenceWork, Lifecycle
from synapsenet.inference.replicas import Replicas
from synapsenet.inference.residents import Residents
from synapsenet.platform.work import WorkFactory

REPORTER = "inference"
_REPORTS = 5

_log = logging.getLogger(__name__)


class Residency:
    """This replica's part in what is deployed.

    Attributes:
        restored: every deployment of an earlier run was loaded, or failed to be.
    """

    def __init__(
        self,
        *,
        work: WorkFactory[InferenceWork],
        lifecycle: Lifecycle,
        memory: Memory,
        residents: Residents,
        replicas: Replicas,
        clock: Clock,
        options: InferenceOptions,
    ) -> None:
        self._work = work
        self._lifecycle = lifecycle
        self._memory = memory
        self._residents = residents
        self._replicas = replicas
        self._clock = clock
        self._options = options
        self._untold: dict[VersionKey, Condition | None] = {}
        self._trouble = asyncio.Event()
        self.restored = False

    async def recall(self) -> None:
        """Know what an earlier run had deployed; to be called before anything else."""
        await self._work.run(self._take_back_unfinished)
        recorded, routes = await self._work.read(lambda tx: (tx.deployments.all(), tx.routes.all()))
        for one in routes:
            self._residents.route(one)
        for deployment in recorded:
            self._residents.note(deployment)

    async def keep(self) -> None:
        """Load what `recall` found, then try again what failed, until cancelled."""
        for deployment in self._unsettled():
            await self._settle(deployment)
        self.restored = True
        delay = self._options.retry_first_s
        while True:
            if not self._unsettled() and not self._untold:
                delay = self._options.retry_first_s
                self._trouble.clear()
                await self._trouble.wait()
            await self._clock.sleep(delay)
            delay = min(2 * delay, self._options.retry_longest_s)
            await self._tell()
            for deployment in self._unsettled():
                await self._settle(deployment)

    async def take_up(self, deployment: Deployment) -> None:
        """Do here what is recorded of `deployment`, and say what came of it to the replica that carries out the operation."""
        try:
            await self._bring(deployment)
        except SynapseError as error:
            self._trouble.set()
            await self._report(deployment, error)
        else:
            await self._report(deployment, None)

    async def _bring(self, deployment: Deployment) -> None:
        match deployment.state:
            case DeploymentState.LOADING:
                here = self._memory.stage(deployment)
                if here is not None and here > deployment.stage:
                    await self._memory.take_back(deployment, deployment.stage)
                else:
                    await self._memory.bring(deployment, deployment.stage)
            case DeploymentState.DRAINING:
                await self._memory.drain(deployment)
            case _ if self.restored or self._residents.resident(deployment.key) is not None:
                await self._load(deployment)

    async def _report(self, deployment: Deployment, error: SynapseError | None) -> None:
        """Whoever waits for it would wait in vain, so it is said until it is heard."""
        for _ in range(_REPORTS):
            try:
                await self._replicas.report(
                    deployment,
                    stage=self._memory.stage(deployment),
                    generation=self._residents.generation(deployment.key.model_id),
                    error=error,
                )
            except SynapseError as away:
                _log.warning("what came of %s here cannot be said: %s", deployment.key, away.public)
                await self._clock.sleep(self._options.retry_first_s)
            else:
                return

    def _unsettled(self) -> list[Deployment]:
        return [deployment for deployment, _ in self._residents if self._is_unsettled(deployment)]

    def _is_unsettled(self, deployment: Deployment) -> bool:
        if self._memory.is_busy(deployment.key):
            return False
        if deployment.state is DeploymentState.LOADING:
            return (self._memory.stage(deployment) or 0) < deployment.stage
        resident = self._residents.resident(deployment.key)
        return deployment.state is not DeploymentState.DRAINING and (
            resident is None or deployment.state is DeploymentState.FAILED
        )

    async def _settle(self, deployment: Deployment) -> None:
        """Carry on with what is recorded of `deployment`; what fails is recorded too, and tried again."""
        if self._residents.deployment(deployment.key) is not deployment or not self._is_unsettled(deployment):
            return  # somebody has taken it up meanwhile
        with suppress(SynapseError):
            if deployment.state is DeploymentState.LOADING:
                await self._memory.bring(deployment, deployment.stage)
            else:
                await self._load(deployment)

    async def _load(self, deployment: Deployment) -> None:
        """Have what should serve in memory; the records and the coordinator hear if that fails, and if it works again."""
        serving = replace(deployment, state=DeploymentState.SERVING, condition=None)
        try:
            await self._memory.load(serving)
        except SynapseError as error:
            self._trouble.set()
            condition = self._condition(error)
            failed = replace(deployment, state=DeploymentState.FAILED, condition=condition)
            self._residents.note(failed)
            if deployment.state is not DeploymentState.FAILED:
                await self._record(failed, DeploymentFailed(deployment=failed))
            self._untold[deployment.key] = condition
            await self._tell()
            raise
        if deployment.state is DeploymentState.FAILED:
            await self._record(serving, DeploymentRestored(deployment=serving))
            self._untold[deployment.key] = None
            await self._tell()

    async def _tell(self) -> None:
        """Tell the coordinator what is wrong with versions, or no more; what it cannot hear now it is told later."""
        for key, condition in list(self._untold.items()):
            try:
                await self._lifecycle.report(key, reporter=REPORTER, condition=condition)
            except SynapseError as away:
                _log.info("the condition of %s is told later: %s", key, away.public)
                self._trouble.set()
            else:
                if self._untold.get(key) is condition:
                    del self._untold[key]

    async def _record(self, deployment: Deployment, event: object) -> None:
        """Keep how a reload ended, unless an operation has changed the deployment meanwhile."""

        def commit(tx: InferenceWork) -> None:
            found = tx.deployments.find(deployment.key)
            stays = found is not None and found.is_same_as(deployment)
            if found is not None and stays and found.state in (DeploymentState.SERVING, DeploymentState.FAILED):
                tx.deployments.update(replace(found, state=deployment.state, condition=deployment.condition))
                tx.events.append(aggregate(deployment.key), event)

        await self._work.run(commit)

    def _take_back_unfinished(self, tx: InferenceWork) -> None:
        """What a release without operations left in the middle: nobody carries it on, so it is ended."""
        for one in tx.deployments.all():
            if one.operation_id or one.state in (DeploymentState.SERVING, DeploymentState.FAILED):
                continue
            if one.state is DeploymentState.DRAINING and one.condition is None:
                tx.events.append(aggregate(one.key), ModelUndeployed(deployment=one))
            elif one.state is DeploymentState.LOADING:
                reason = Internal(
                    "DEPLOYMENT_INTERRUPTED", "the platform ended before the version served", remedy="deploy it again"
                )
                failed = replace(one, state=DeploymentState.DRAINING, condition=self._condition(reason))
                tx.events.append(aggregate(one.key), DeploymentFailed(deployment=failed))
            tx.deployments.remove(one.key)

    def _condition(self, error: SynapseError) -> Condition:
        return Condition(reason=error.reason, message=error.public, since=self._clock.now())
