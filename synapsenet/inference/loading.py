"""From a registered version to a model in memory: the artifact fetched once, verified each time, loaded off the loop."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from synapsenet.clock import Clock
from synapsenet.errors import DataLoss, DeadlineExceeded, Internal, SynapseError
from synapsenet.inference.batching import Batcher
from synapsenet.inference.model import Deployment
from synapsenet.inference.options import InferenceOptions
from synapsenet.inference.ports import Executable, Executor, Registry, Runtime
from synapsenet.inference.residents import Resident
from synapsenet.inference.warming import check_promise, zeros
from synapsenet.platform.artifacts import ArtifactStore

T = TypeVar("T")


class Loader:
    """Brings deployed versions into memory.

    Args:
        artifacts: this replica's own copies.
        loads: where models are loaded.
        runs: where batches are run.
    """

    def __init__(
        self,
        *,
        registry: Registry,
        artifacts: ArtifactStore,
        runtime: Runtime,
        loads: Executor,
        runs: Executor,
        clock: Clock,
        options: InferenceOptions,
    ) -> None:
        self._registry = registry
        self._artifacts = artifacts
        self._runtime = runtime
        self._loads = loads
        self._runs = runs
        self._clock = clock
        self._options = options

    async def load(self, deployment: Deployment) -> Resident:
        """The model of `deployment`, its artifact verified against the SHA-256 that the deployment has.

        Raises:
            DataLoss: ARTIFACT_CORRUPT, what the registry gives is not what the deployment names.
            DeadlineExceeded: FETCH_TIMEOUT or LOAD_TIMEOUT.
            InvalidArgument, FailedPrecondition: as `Runtime.load`.
            Unavailable: the registry is away and there is no copy here.
        """
        begun = self._clock.monotonic()
        artifact = await self._fetched(deployment)
        executable = await self._executable(artifact, deployment)
        batcher = Batcher(executable=executable, executor=self._runs, policy=deployment.batching, clock=self._clock)
        return Resident(
            executable=executable,
            batcher=batcher,
            loaded_at=self._clock.now(),
            load_s=self._clock.monotonic() - begun,
        )

    async def fetch(self, deployment: Deployment) -> None:
        """See to it that this replica has a copy of the artifact, and that it is whole.

        Raises:
            DataLoss: ARTIFACT_CORRUPT.
            DeadlineExceeded: FETCH_TIMEOUT.
            Unavailable: the registry is away and there is no copy here.
        """
        await self._within_fetching(deployment, self._copied(deployment))

    async def probe(self, resident: Resident) -> None:
        """Run the model once, beside its queue, and compare what it gives with what it promises.

        Raises:
            FailedPrecondition: PROMISE_BROKEN.
            InvalidArgument: MODEL_FAILED, it cannot be computed for zeros.
        """
        executable = resident.executable
        outputs = await self._runs.run(lambda: executable.compute(zeros(executable.signature)))
        check_promise(executable.signature, outputs)

    async def drop(self, sha256: str) -> None:
        """Give this replica's copy up."""
        await self._artifacts.delete(sha256)

    async def _executable(self, artifact: bytes, deployment: Deployment) -> Executable:
        seconds = self._options.load_timeout_s
        try:
            async with asyncio.timeout(seconds):
                return await self._loads.run(lambda: self._runtime.load(artifact, artifact_format=deployment.artifact_format))
        except SynapseError:
            raise
        except TimeoutError as error:
            raise DeadlineExceeded(
                "LOAD_TIMEOUT",
                f"loading {deployment.key} took more than {seconds:g} s",
                remedy="retry, or raise inference.load_timeout_s",
            ) from error
        except Exception as error:
            raise Internal("LOAD_CRASHED", "loading ended with an unexpected error", secret=repr(error)) from error

    async def _fetched(self, deployment: Deployment) -> bytes:
        sha256 = deployment.artifact_sha256

        async def bytes_of_it() -> bytes:
            if await self._artifacts.find(sha256) is not None:
                try:
                    return await self._read(sha256)
                except DataLoss:
                    await self._artifacts.delete(sha256)
            await self._download(deployment)
            return await self._read(sha256)

        return await self._within_fetching(deployment, bytes_of_it())

    async def _within_fetching(self, deployment: Deployment, work: Coroutine[Any, Any, T]) -> T:
        seconds = self._options.fetch_timeout_s
        try:
            async with asyncio.timeout(seconds):
                return await work
        except TimeoutError as error:
            raise DeadlineExceeded(
                "FETCH_TIMEOUT",
                f"fetching the artifact of {deployment.key} took more than {seconds:g} s",
                remedy="retry, or raise inference.fetch_timeout_s",
            ) from error

    async def _copied(self, deployment: Deployment) -> None:
        """See to a copy here that was read to its end; a damaged one is fetched anew."""
        if await self._artifacts.find(deployment.artifact_sha256) is not None:
            try:
                async for _ in self._artifacts.read(deployment.artifact_sha256):
                    pass
            except DataLoss:
                await self._artifacts.delete(deployment.artifact_sha256)
            else:
                return
        await self._download(deployment)

    async def _download(self, deployment: Deployment) -> None:
        stored = await self._artifacts.write(self._registry.download(deployment.key), limit=self._options.max_artifact_bytes)
        if stored.sha256 != deployment.artifact_sha256:
            await self._artifacts.delete(stored.sha256)
            raise DataLoss(
                "ARTIFACT_CORRUPT",
                f"the artifact of {deployment.key} has SHA-256 {stored.sha256} instead of {deployment.artifact_sha256}",
                remedy="upload it again as a new version",
            )

    async def _read(self, sha256: str) -> bytes:
        return b"".join([chunk async for chunk in self._artifacts.read(sha256)])
