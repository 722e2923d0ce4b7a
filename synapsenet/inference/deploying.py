"""Deployments as their callers ask for them: judged here first, then carried out by a lifecycle operation.

What becomes of a version is the coordinator's to decide; its operation comes back to this area step by step (`steps/`). A call
that is repeated with its request id gets the first one's answer, whichever replica it reaches and whatever was killed
meanwhile: the answer is recorded in the commit that ends the operation's work here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from synapsenet.clock import Clock
from synapsenet.errors import Aborted, AlreadyExists, NotFound, SynapseError, Unavailable
from synapsenet.inference.availability import refuse_what_is_to_come
from synapsenet.inference.following import Follower
from synapsenet.inference.intention import artifact_missing, intended
from synapsenet.inference.model import (
    Condition,
    Deployment,
    DeploymentFailed,
    DeploymentState,
    VersionKey,
    aggregate,
)
from synapsenet.inference.options import InferenceOptions
from synapsenet.inference.ports import InferenceWork, Lifecycle, RegisteredVersion, Registry
from synapsenet.inference.residents import Residents
from synapsenet.inference.run_options import RunOptions
from synapsenet.inference.wish import DeploymentWish, DeterminismMode
from synapsenet.platform.records import decode
from synapsenet.platform.work import Request, WorkFactory


@dataclass(frozen=True, slots=True)
class _UnderWay:
    request: Request
    task: asyncio.Task[Deployment]


class Deployer:
    """Has versions deployed and undeployed; what has begun goes on if its caller leaves.

    Args:
        follower: hears what other replicas, and operations, do.
    """

    def __init__(
        self,
        *,
        work: WorkFactory[InferenceWork],
        registry: Registry,
        lifecycle: Lifecycle,
        residents: Residents,
        follower: Follower,
        clock: Clock,
        options: InferenceOptions,
    ) -> None:
        self._under_way: dict[VersionKey, _UnderWay] = {}
        self._work = work
        self._registry = registry
        self._lifecycle = lifecycle
        self._residents = residents
        self._clock = clock
        self._options = options
        self.follower = follower

    async def deploy(self, wish: DeploymentWish, request: Request) -> Deployment:
        """Have a version serve, beside those of its model that do.

        Raises:
            NotYetAvailable: an option of the wish is not in this release.
            InvalidArgument: BATCHING_INVALID.
            NotFound: the registry knows no such version.
            AlreadyExists: ALREADY_DEPLOYED; REQUEST_ID_REUSED.
            Aborted: DEPLOYMENT_UNDER_WAY; another operation is at work on the model.
            FailedPrecondition: ARTIFACT_MISSING, or the version is in no state to be deployed.
            ResourceExhausted: MODELS_FULL.
            Unavailable: the registry or the coordinator is away.
            SynapseError: why a step of the operation failed; the version is as it was before.
        """
        refuse_what_is_to_come(wish)
        batching = wish.batching.filled(self._options.batching)
        if (earlier := await self._earlier(request)) is not None:
            return earlier
        registered = await self._registry.find(wish.model, wish.version)
        key = registered.key
        await self.follower.hear(wish.model)
        if (answer := await self._resumed(key, request)) is not None:
            return answer
        if (same := self._joined(key, request)) is not None:
            return await same
        if (standing := self._residents.deployment(key)) is not None:
            if (earlier := await self._earlier(request)) is not None:  # it ended while the registry was asked
                return earlier
            if standing.state in (DeploymentState.LOADING, DeploymentState.DRAINING):
                raise under_way(key)
            raise deployed_already(registered.model_name, wish.version)
        if not registered.artifact_sha256:
            raise artifact_missing(registered)
        self._residents.require_room(registered.artifact_size, key=key)
        relaxed = wish.determinism is DeterminismMode.RELAXED
        options = RunOptions(batching=batching, relaxed=relaxed, pinned=wish.pinned, request=request)
        return await self._begin(key, request, self._deploy(registered, options))

    async def undeploy(self, model: str, version: int, request: Request) -> Deployment:
        """Let a version finish what it accepted, and serve no more; gives the deployment as it was last.

        Raises:
            NotFound: DEPLOYMENT_UNKNOWN.
            AlreadyExists: REQUEST_ID_REUSED.
            Aborted: DEPLOYMENT_UNDER_WAY; another operation is at work on the model.
            Unavailable: the coordinator is away; nothing has changed.
            SynapseError: why a step of the operation failed; the version serves as before.
        """
        if (earlier := await self._earlier(request)) is not None:
            return earlier
        await self.follower.hear(model)
        key = self._residents.key(model, version)
        deployment = None if key is None else self._residents.deployment(key)
        if deployment is None:
            raise deployment_unknown(model, version)
        if (answer := await self._resumed(deployment.key, request)) is not None:
            return answer
        if (same := self._joined(deployment.key, request)) is not None:
            return await same
        if deployment.state in (DeploymentState.LOADING, DeploymentState.DRAINING):
            raise under_way(deployment.key)
        return await self._begin(deployment.key, request, self._undeploy(deployment, request))

    async def stop(self) -> None:
        """Wait for nothing any more; operations go on, or are taken up at the next start."""
        await self.follower.stop()
        tasks = [one.task for one in self._under_way.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _earlier(self, request: Request) -> Deployment | None:
        answer = await self._work.read(lambda tx: tx.earlier(request))
        return None if answer is None else decode(Deployment, answer)

    def _joined(self, key: VersionKey, request: Request) -> asyncio.Future[Deployment] | None:
        """The end of what is under way here for `key`, if it was begun by the same request; None if nothing is.

        Raises:
            Aborted: DEPLOYMENT_UNDER_WAY, another request is.
        """
        if (running := self._under_way.get(key)) is None:
            return None
        if request.id and running.request == request:
            return asyncio.shield(running.task)
        raise under_way(key)

    async def _resumed(self, key: VersionKey, request: Request) -> Deployment | None:
        """The answer to `request`, once the operation that it began, and that outlived it, has ended; None: there is none."""

        def begun(tx: InferenceWork) -> Deployment | None:
            found = tx.deployments.find(key)
            return found if found is not None and tx.deployments.request(key) == request else None

        if not request.id or key in self._under_way:
            return None
        found = await self._work.read(begun)
        if found is None or found.state is DeploymentState.FAILED or not found.operation_id:
            return None
        with suppress(NotFound):  # it is long over, and forgotten
            await self._ended(found.operation_id)
        await self.follower.hear(key.model_id)
        return await self._earlier(request)

    async def _begin(self, key: VersionKey, request: Request, steps: Coroutine[Any, Any, Deployment]) -> Deployment:
        task = asyncio.create_task(self._answered(steps, request))
        self._under_way[key] = _UnderWay(request, task)

        def ended(task: asyncio.Task[Deployment]) -> None:
            del self._under_way[key]
            if not task.cancelled():
                task.exception()  # heard here, in case the caller has left

        task.add_done_callback(ended)
        return await asyncio.shield(task)

    async def _answered(self, steps: Coroutine[Any, Any, Deployment], request: Request) -> Deployment:
        """What `steps` give; if they are refused because `request` had begun the same before a crash: what that gave."""
        try:
            return await steps
        except SynapseError:
            if (answer := await self._earlier(request)) is not None:
                return answer
            raise

    async def _deploy(self, registered: RegisteredVersion, options: RunOptions) -> Deployment:
        key = registered.key
        try:
            operation = await self._lifecycle.begin_deployment(key, options=options.to_json())
        except (Aborted, Unavailable):
            raise
        except SynapseError as refusal:
            await self._refused(intended(registered, options, at=self._clock.now()), options.request, refusal)
            raise
        await self._ended(operation)
        await self.follower.hear(key.model_id)
        if (answer := await self._earlier(options.request)) is not None:
            return answer
        serving = replace(intended(registered, options, at=self._clock.now()), state=DeploymentState.SERVING)
        return await self._work.read(lambda tx: tx.deployments.find(key)) or serving

    async def _undeploy(self, deployment: Deployment, request: Request) -> Deployment:
        def intend(tx: InferenceWork) -> None:
            found = tx.deployments.find(deployment.key)
            if found is None:
                raise deployment_unknown(deployment.model_name, deployment.key.version)
            tx.deployments.update(found, request)

        await self._work.run(intend)
        operation = await self._lifecycle.begin_undeployment(deployment.key)
        await self._ended(operation)
        await self.follower.hear(deployment.key.model_id)
        last = replace(deployment, state=DeploymentState.DRAINING, condition=None)
        return await self._earlier(request) or last

    async def _ended(self, operation_id: str) -> None:
        """Wait for the operation; while the coordinator is away it may be going on, so that is waited for too, for a while."""
        pauses = [self._options.retry_first_s * 2**number for number in range(5)]
        for pause in pauses:
            try:
                return await self._lifecycle.end(operation_id)
            except Unavailable as away:
                if away.reason != "PEER_UNAVAILABLE":
                    raise
                await self._clock.sleep(pause)
        return await self._lifecycle.end(operation_id)

    async def _refused(self, draft: Deployment, request: Request, refusal: SynapseError) -> None:
        """Let watchers see a deployment that the coordinator did not begin."""
        condition = Condition(reason=refusal.reason, message=refusal.public, since=self._clock.now())

        def commit(tx: InferenceWork) -> None:
            if tx.earlier(request) is not None:  # it has been carried out meanwhile
                return
            order = 1 + max((one.order for one in tx.deployments.all()), default=0)
            failed = replace(draft, state=DeploymentState.DRAINING, order=order, condition=condition)
            tx.events.append(aggregate(draft.key), DeploymentFailed(deployment=failed))

        await self._work.run(commit)


def under_way(key: VersionKey) -> Aborted:
    """Somebody is changing the deployment of `key`."""
    return Aborted(
        "DEPLOYMENT_UNDER_WAY",
        f"version {key.version} of {key.model_id} is being deployed or undeployed",
        remedy="retry when that has ended",
        retry_after=1.0,
    )


def deployed_already(model_name: str, version: int) -> AlreadyExists:
    """There is a deployment of that version."""
    return AlreadyExists(
        "ALREADY_DEPLOYED",
        f"model {model_name} version {version} is deployed already",
        remedy="undeploy it first to deploy it in another way",
    )


def deployment_unknown(model: str, version: int) -> NotFound:
    """There is no deployment of that version."""
    return NotFound(
        "DEPLOYMENT_UNKNOWN",
        f"model {model} version {version} is not deployed",
        remedy="list the deployments for those that there are",
        metadata={"model": model, "version": str(version)},
    )
