"""A version's way into service and out of it, each step recorded before it is taken.

A deployment is LOADING from the first record on, SERVING once the registry knows, DRAINING from the wish to end it until the
registry knows that too; then it is gone. Whatever a crash leaves is carried on at the next start: LOADING is loaded, DRAINING
is ended, and a version that should serve and cannot be loaded is FAILED with its reason, and tried again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from synapsenet.clock import Clock
from synapsenet.errors import Aborted, AlreadyExists, FailedPrecondition, Internal, NotFound, SynapseError
from synapsenet.inference.availability import refuse_what_is_to_come
from synapsenet.inference.loading import Loader
from synapsenet.inference.model import (
    BatchingPolicy,
    Condition,
    Deployment,
    DeploymentFailed,
    DeploymentRestored,
    DeploymentState,
    ModelDeployed,
    ModelUndeployed,
    VersionKey,
)
from synapsenet.inference.options import InferenceOptions
from synapsenet.inference.ports import InferenceWork, RegisteredVersion, Registry
from synapsenet.inference.residents import Residents
from synapsenet.inference.wish import DeploymentWish, DeterminismMode
from synapsenet.platform.records import decode, encode
from synapsenet.platform.work import ANONYMOUS, Request, WorkFactory


@dataclass(frozen=True, slots=True)
class _UnderWay:
    request: Request
    task: asyncio.Task[Deployment]


class Deployer:
    """Carries deployments out, one at a time for a version; what has begun goes on if its caller leaves.

    Attributes:
        restored: every deployment of an earlier run was loaded, or failed to be.
    """

    def __init__(
        self,
        *,
        work: WorkFactory[InferenceWork],
        registry: Registry,
        loader: Loader,
        residents: Residents,
        clock: Clock,
        options: InferenceOptions,
    ) -> None:
        self._work = work
        self._registry = registry
        self._loader = loader
        self._residents = residents
        self._clock = clock
        self._options = options
        self._under_way: dict[VersionKey, _UnderWay] = {}
        self._trouble = asyncio.Event()
        self.restored = False

    async def deploy(self, wish: DeploymentWish, request: Request) -> Deployment:
        """Load a version and let it serve.

        Raises:
            NotYetAvailable: an option of the wish is not in this release.
            InvalidArgument: BATCHING_INVALID.
            NotFound: the registry knows no such version.
            AlreadyExists: ALREADY_DEPLOYED; REQUEST_ID_REUSED.
            Aborted: DEPLOYMENT_UNDER_WAY.
            FailedPrecondition: ARTIFACT_MISSING, or the version is in no state to be deployed.
            ResourceExhausted: MODELS_FULL.
            DataLoss, DeadlineExceeded, InvalidArgument, Unavailable: as `Loader.load`; the version is as it was before.
        """
        refuse_what_is_to_come(wish)
        batching = wish.batching.filled(self._options.batching)
        if (earlier := await self._earlier(request)) is not None:
            return earlier
        registered = await self._registry.find(wish.model, wish.version)
        if (same := self._joined(registered.key, request)) is not None:
            return await same
        if self._residents.deployment(registered.key) is not None:
            if (earlier := await self._earlier(request)) is not None:  # it ended while the registry was asked
                return earlier
            raise AlreadyExists(
                "ALREADY_DEPLOYED",
                f"model {registered.model_name} version {wish.version} is deployed already",
                remedy="undeploy it first to deploy it in another way",
            )
        if not registered.artifact_sha256:
            raise FailedPrecondition(
                "ARTIFACT_MISSING",
                f"model {registered.model_name} version {wish.version} has no artifact",
                remedy="upload one to the registry first",
            )
        self._residents.require_room(registered.artifact_size)
        deployment = self._intended(wish, batching, registered)
        self._residents.note(deployment)
        return await self._begin(deployment.key, request, self._deploy(deployment, request))

    async def undeploy(self, model: str, version: int, request: Request) -> Deployment:
        """Let a version finish what it accepted, and serve no more; gives the deployment as it was last.

        Raises:
            NotFound: DEPLOYMENT_UNKNOWN.
            AlreadyExists: REQUEST_ID_REUSED.
            Aborted: DEPLOYMENT_UNDER_WAY.
            Unavailable: the registry is away; the version serves no more, and the rest is done when it is back.
        """
        if (earlier := await self._earlier(request)) is not None:
            return earlier
        key = self._residents.key(model, version)
        deployment = None if key is None else self._residents.deployment(key)
        if deployment is None:
            raise NotFound(
                "DEPLOYMENT_UNKNOWN",
                f"model {model} version {version} is not deployed",
                remedy="list the deployments for those that there are",
                metadata={"model": model, "version": str(version)},
            )
        if (same := self._joined(deployment.key, request)) is not None:
            return await same
        return await self._begin(deployment.key, request, self._undeploy(deployment, request))

    async def recall(self) -> None:
        """Know what an earlier run had deployed; to be called before anything else."""
        for deployment in await self._work.read(lambda tx: tx.deployments.all()):
            self._residents.note(deployment)

    async def keep(self) -> None:
        """Carry on with what `recall` found, then try again what failed, until cancelled."""
        for deployment in self._unsettled():
            await self._settle(deployment)
        self.restored = True
        delay = self._options.retry_first_s
        while True:
            if not self._unsettled():
                delay = self._options.retry_first_s
                self._trouble.clear()
                await self._trouble.wait()
            await self._clock.sleep(delay)
            delay = min(2 * delay, self._options.retry_longest_s)
            for deployment in self._unsettled():
                await self._settle(deployment)

    async def stop(self) -> None:
        """Give up what is under way, which the next start carries on, and answer whoever waits for a prediction."""
        tasks = [one.task for one in self._under_way.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for _, resident in self._residents:
            if resident is not None:
                await resident.batcher.close()

    async def _earlier(self, request: Request) -> Deployment | None:
        answer = await self._work.read(lambda tx: tx.earlier(request))
        return None if answer is None else decode(Deployment, answer)

    def _joined(self, key: VersionKey, request: Request) -> asyncio.Future[Deployment] | None:
        """The end of what is under way for `key`, if it was begun by the same request; None if nothing is."""
        if (running := self._under_way.get(key)) is None:
            return None
        if request.id and running.request == request:
            return asyncio.shield(running.task)
        raise Aborted(
            "DEPLOYMENT_UNDER_WAY",
            f"version {key.version} of {key.model_id} is being deployed or undeployed",
            remedy="retry when that has ended",
            retry_after=1.0,
        )

    async def _begin(self, key: VersionKey, request: Request, steps: Coroutine[Any, Any, Deployment]) -> Deployment:
        task = asyncio.create_task(steps)
        self._under_way[key] = _UnderWay(request, task)

        def ended(task: asyncio.Task[Deployment]) -> None:
            del self._under_way[key]
            if not task.cancelled() and task.exception():  # heard here, in case the caller has left
                self._trouble.set()

        task.add_done_callback(ended)
        return await asyncio.shield(task)

    def _intended(self, wish: DeploymentWish, batching: BatchingPolicy, registered: RegisteredVersion) -> Deployment:
        return Deployment(
            key=registered.key,
            model_name=registered.model_name,
            state=DeploymentState.LOADING,
            artifact_sha256=registered.artifact_sha256,
            artifact_size=registered.artifact_size,
            artifact_format=registered.artifact_format,
            batching=batching,
            relaxed=wish.determinism is DeterminismMode.RELAXED,
            pinned=wish.pinned,
            order=self._residents.next_order(),
            deployed_at=self._clock.now(),
        )

    async def _deploy(self, deployment: Deployment, request: Request) -> Deployment:
        try:
            await self._work.run(lambda tx: tx.deployments.add(deployment, request))
        except BaseException:  # whatever it was, nothing is recorded
            self._residents.forget(deployment.key)
            raise
        return await self._take_in(deployment)

    async def _take_in(self, deployment: Deployment) -> Deployment:
        """From LOADING to SERVING; or, if that fails, back to nothing."""
        try:
            await self._registry.deploying(deployment.key)
            resident = await self._loader.load(deployment)
            await self._registry.serving(deployment.key)
        except Exception as error:
            failed = replace(deployment, state=DeploymentState.DRAINING, condition=self._condition(error))
            await self._record(failed, DeploymentFailed(deployment=failed))
            await self._settle_release(failed)
            raise
        serving = replace(deployment, state=DeploymentState.SERVING)
        await self._record(serving, ModelDeployed(deployment=serving), answered=True)
        self._residents.note(serving, resident)
        return serving

    async def _undeploy(self, deployment: Deployment, request: Request) -> Deployment:
        draining = replace(deployment, state=DeploymentState.DRAINING, condition=None)
        await self._work.run(lambda tx: tx.deployments.update(draining, request))
        self._residents.note(draining)
        return await self._release(draining)

    async def _release(self, draining: Deployment) -> Deployment:
        """From DRAINING to nothing. Without a condition it was undeployed by wish, and that is the answer."""
        if (resident := self._residents.resident(draining.key)) is not None:
            try:
                async with asyncio.timeout(self._options.drain_timeout_s):
                    await resident.batcher.drain()
            except TimeoutError:
                pass  # closing answers what is left: UNAVAILABLE, retry
            await resident.batcher.close()
        await self._registry.released(draining.key, draining.condition)

        def commit(tx: InferenceWork) -> None:
            if draining.condition is None:
                tx.remember(tx.deployments.request(draining.key), encode(draining))
                tx.events.append(_aggregate(draining.key), ModelUndeployed(deployment=draining))
            tx.deployments.remove(draining.key)

        await self._work.run(commit)
        self._residents.forget(draining.key)
        if all(other.artifact_sha256 != draining.artifact_sha256 for other, _ in self._residents):
            await self._loader.drop(draining.artifact_sha256)
        return draining

    def _unsettled(self) -> list[Deployment]:
        return [
            deployment
            for deployment, resident in self._residents
            if deployment.key not in self._under_way and (deployment.state is not DeploymentState.SERVING or resident is None)
        ]

    async def _settle(self, deployment: Deployment) -> None:
        """Carry on with what is recorded of `deployment`; what fails is recorded too, and tried again."""
        if deployment.key in self._under_way or self._residents.deployment(deployment.key) is not deployment:
            return  # somebody has taken it up meanwhile
        match deployment.state:
            case DeploymentState.LOADING:
                steps = self._take_in(deployment)
            case DeploymentState.DRAINING:
                steps = self._release(deployment)
            case _:
                steps = self._reload(deployment)
        with suppress(SynapseError):
            await self._begin(deployment.key, ANONYMOUS, steps)

    async def _settle_release(self, failed: Deployment) -> None:
        self._residents.note(failed)
        try:
            await self._release(failed)
        except SynapseError:
            self._trouble.set()

    async def _reload(self, deployment: Deployment) -> Deployment:
        try:
            resident = await self._loader.load(deployment)
        except SynapseError as error:
            failed = replace(deployment, state=DeploymentState.FAILED, condition=self._condition(error))
            self._residents.note(failed)
            if deployment.state is not DeploymentState.FAILED:
                await self._record(failed, DeploymentFailed(deployment=failed))
            await self._registry.troubled(deployment.key, failed.condition)
            raise
        serving = replace(deployment, state=DeploymentState.SERVING, condition=None)
        if deployment.state is DeploymentState.FAILED:
            await self._registry.troubled(deployment.key, None)
            await self._record(serving, DeploymentRestored(deployment=serving))
        self._residents.note(serving, resident)
        return serving

    async def _record(self, deployment: Deployment, event: object, *, answered: bool = False) -> None:
        def commit(tx: InferenceWork) -> None:
            tx.deployments.update(deployment)
            tx.events.append(_aggregate(deployment.key), event)
            if answered:
                tx.remember(tx.deployments.request(deployment.key), encode(deployment))

        await self._work.run(commit)

    def _condition(self, error: Exception) -> Condition:
        known = error if isinstance(error, SynapseError) else Internal("LOAD_CRASHED", "loading ended with an unexpected error")
        return Condition(reason=known.reason, message=known.public, since=self._clock.now())


def _aggregate(key: VersionKey) -> str:
    return f"deployment/{key}"
