"""One replica at a time takes a deployment from one state to the next."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from synapsenet.errors import Aborted, AlreadyExists
from synapsenet.inference.model import VersionKey
from synapsenet.inference.options import InferenceOptions
from synapsenet.inference.ports import InferenceWork
from synapsenet.platform.locks import Locks
from synapsenet.platform.work import Request, WorkFactory

_HOLDER = "a replica of inference"


class Exclusion:
    """The locks of deployments, shared by all replicas. They avoid wasted work; what is recorded decides."""

    def __init__(self, *, work: WorkFactory[InferenceWork], locks: Locks, options: InferenceOptions) -> None:
        self._work = work
        self._locks = locks
        self._options = options

    @asynccontextmanager
    async def alone(self, key: VersionKey, *, wait: float = 0.0) -> AsyncIterator[None]:
        """Be the one replica that changes the deployment of `key`, inside an `async with`.

        Raises:
            Aborted: DEPLOYMENT_UNDER_WAY, another is.
        """
        hold = self._locks.hold(f"inference/{key}", holder=_HOLDER, ttl=self._options.lock_ttl_s, wait=wait)
        async with AsyncExitStack() as stack:
            try:
                await stack.enter_async_context(hold)
            except Aborted as busy:
                raise under_way(key) from busy
            yield

    async def awaited(self, key: VersionKey, request: Request) -> bool:
        """Whether `request` was begun by another replica, once that has ended with it.

        Raises:
            Aborted: DEPLOYMENT_UNDER_WAY, it has not ended within `inference.fetch_timeout_s`.
        """
        if not request.id:
            return False

        def begun(tx: InferenceWork) -> bool:
            return tx.deployments.find(key) is not None and tx.deployments.request(key) == request

        if not await self._work.read(begun):
            return False
        async with self.alone(key, wait=self._options.fetch_timeout_s):
            return True


def under_way(key: VersionKey) -> Aborted:
    """Somebody is changing the deployment of `key`."""
    return Aborted(
        "DEPLOYMENT_UNDER_WAY",
        f"version {key.version} of {key.model_id} is being deployed or undeployed",
        remedy="retry when that has ended",
        retry_after=1.0,
    )


def moved_on(key: VersionKey) -> Aborted:
    """Somebody has changed the deployment of `key`."""
    return Aborted(
        "DEPLOYMENT_CHANGED",
        f"version {key.version} of {key.model_id} was changed by another replica meanwhile",
        remedy="read it again and retry",
        retry_after=1.0,
    )


def deployed_already(model_name: str, version: int) -> AlreadyExists:
    """There is a deployment of that version."""
    return AlreadyExists(
        "ALREADY_DEPLOYED",
        f"model {model_name} version {version} is deployed already",
        remedy="undeploy it first to deploy it in another way",
    )
