"""A version's way into service and out of it, each step recorded before it is taken.

A deployment is LOADING from the first record on, SERVING once the registry knows, DRAINING from the wish to end it until the
registry knows that too; then it is gone. Whatever a crash leaves is carried on at the next start: LOADING is loaded, DRAINING
is ended, and a version that should serve and cannot be loaded is FAILED with its reason, and tried again.

Several replicas share the records. Whoever takes a deployment from one state to the next holds its lock meanwhile; the others
hear of the change, and load or let go what was decided.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, replace
from typing import Any

from synapsenet.clock import Clock
from synapsenet.errors import FailedPrecondition, Internal, NotFound, SynapseError
from synapsenet.inference.availability import refuse_what_is_to_come
from synapsenet.inference.exclusion import Exclusion, deployed_already, moved_on, under_way
from synapsenet.inference.following import Follower, Step, Steps, next_step
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
from synapsenet.inference.residents import Resident, Residents
from synapsenet.inference.wish import DeploymentWish, DeterminismMode
from synapsenet.platform.events import EventFeed
from synapsenet.platform.locks import Locks
from synapsenet.platform.records import decode, encode
from synapsenet.platform.work import ANONYMOUS, Request, WorkFactory


@dataclass(frozen=True, slots=True)
class _UnderWay:
    request: Request
    task: asyncio.Task[Deployment]


class Deployer:
    """Carries deployments out, one at a time for a version; what has begun goes on if its caller leaves.

    Args:
        locks: shared by all replicas.
        feed: the area's events, by which other replicas' deeds are heard.

    Attributes:
        follower: hears what other replicas do.
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
        locks: Locks,
        feed: EventFeed,
    ) -> None:
        self._under_way: dict[VersionKey, _UnderWay] = {}
        self._work = work
        self._exclusion = Exclusion(work=work, locks=locks, options=options)
        self.follower = Follower(
            work=work,
            feed=feed,
            residents=residents,
            clock=clock,
            options=options,
            steps=Steps(is_busy=self._under_way.__contains__, take_up=self._take_up, let_go=self._let_go),
        )
        self._registry = registry
        self._loader = loader
        self._residents = residents
        self._clock = clock
        self._options = options
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
        await self.follower.hear(wish.model)
        if (answer := await self._carried_elsewhere(registered.key, request)) is not None:
            return answer
        if (same := self._joined(registered.key, request)) is not None:
            return await same
        if (standing := self._residents.deployment(registered.key)) is not None:
            if (earlier := await self._earlier(request)) is not None:  # it ended while the registry was asked
                return earlier
            if standing.state in (DeploymentState.LOADING, DeploymentState.DRAINING):
                raise under_way(registered.key)
            raise deployed_already(registered.model_name, wish.version)
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
        await self.follower.hear(model)
        key = self._residents.key(model, version)
        deployment = None if key is None else self._residents.deployment(key)
        if deployment is None:
            raise NotFound(
                "DEPLOYMENT_UNKNOWN",
                f"model {model} version {version} is not deployed",
                remedy="list the deployments for those that there are",
                metadata={"model": model, "version": str(version)},
            )
        if (answer := await self._carried_elsewhere(deployment.key, request)) is not None:
            return answer
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
            with suppress(SynapseError):
                await self.follower.catch_up()
            for deployment in self._unsettled():
                await self._settle(deployment)

    async def stop(self) -> None:
        """Give up what is under way, for the next start, and answer whoever waits for a prediction."""
        await self.follower.stop()
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
        raise under_way(key)

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

    async def _deploy(self, intended: Deployment, request: Request) -> Deployment:
        def commit(tx: InferenceWork) -> Deployment:
            recorded = tx.deployments.all()
            if any(one.key == intended.key for one in recorded):
                raise deployed_already(intended.model_name, intended.key.version)
            deployment = replace(intended, order=1 + max((one.order for one in recorded), default=0))
            tx.deployments.add(deployment, request)
            return deployment

        async with AsyncExitStack() as stack:
            try:
                await stack.enter_async_context(self._exclusion.alone(intended.key))
                deployment = await self._work.run(commit)
            except BaseException:  # whatever it was, nothing is recorded by us
                self._residents.forget(intended.key)
                raise
            self._residents.note(deployment)
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

        def commit(tx: InferenceWork) -> None:
            if tx.deployments.find(draining.key) is None:
                raise moved_on(draining.key)
            tx.deployments.update(draining, request)

        async with self._exclusion.alone(deployment.key):
            await self._work.run(commit)
            self._residents.note(draining)
            return await self._release(draining)

    async def _carry_on(self, deployment: Deployment, step: Callable[[Deployment], Awaitable[Deployment]]) -> Deployment:
        """Take a recorded step that nobody else is taking."""
        async with self._exclusion.alone(deployment.key):
            recorded = await self._work.read(lambda tx: tx.deployments.find(deployment.key))
            if next_step(deployment, recorded, loaded=False) is not Step.NOTHING:
                raise moved_on(deployment.key)
            return await step(deployment)

    async def _let_go(self, deployment: Deployment, resident: Resident | None) -> None:
        """Answer what was accepted of what another replica has ended; nothing is recorded."""
        if resident is not None:
            await self._emptied(resident)
        await self._drop_unused(deployment.artifact_sha256)

    async def _release(self, draining: Deployment) -> Deployment:
        """From DRAINING to nothing. Without a condition it was undeployed by wish, and that is the answer."""
        if (resident := self._residents.resident(draining.key)) is not None:
            await self._emptied(resident)
        await self._registry.released(draining.key, draining.condition)

        def commit(tx: InferenceWork) -> None:
            if draining.condition is None:
                tx.remember(tx.deployments.request(draining.key), encode(draining))
                tx.events.append(_aggregate(draining.key), ModelUndeployed(deployment=draining))
            tx.deployments.remove(draining.key)

        await self._work.run(commit)
        self._residents.forget(draining.key)
        await self._drop_unused(draining.artifact_sha256)
        return draining

    async def _emptied(self, resident: Resident) -> None:
        """Let a model answer what it accepted."""
        try:
            async with asyncio.timeout(self._options.drain_timeout_s):
                await resident.batcher.drain()
        except TimeoutError:
            pass  # closing answers what is left: UNAVAILABLE, retry
        await resident.batcher.close()

    async def _drop_unused(self, sha256: str) -> None:
        if all(other.artifact_sha256 != sha256 for other, _ in self._residents):
            await self._loader.drop(sha256)

    async def _carried_elsewhere(self, key: VersionKey, request: Request) -> Deployment | None:
        """The answer to a request that another replica has carried out; None if none has."""
        if key in self._under_way or not await self._exclusion.awaited(key, request):
            return None
        return await self._earlier(request)

    async def _take_up(self, deployment: Deployment) -> None:
        """Load what another replica deployed, unless `keep` comes to it in its turn."""
        if self.restored:
            await self._settle(deployment)

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
                steps = self._carry_on(deployment, self._take_in)
            case DeploymentState.DRAINING:
                steps = self._carry_on(deployment, self._release)
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
