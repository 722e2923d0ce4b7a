"""A replica's memory: which deployments it holds, and how far each is there, changed by one at a time for a version."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from synapsenet.inference.loading import Loader
from synapsenet.inference.model import Deployment, DeploymentState, Stage, VersionKey
from synapsenet.inference.options import InferenceOptions
from synapsenet.inference.residents import Resident, Residents


@dataclass(slots=True)
class _Place:
    """Where one version is worked on.

    Attributes:
        held: the deployment that is here; None: none.
        stage: how far it came here; None: not even room was kept.
    """

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    held: Deployment | None = None
    stage: Stage | None = None


class Memory:
    """Brings deployments into this replica's memory, step by step, and out of it."""

    def __init__(self, *, loader: Loader, residents: Residents, options: InferenceOptions) -> None:
        self._loader = loader
        self._residents = residents
        self._options = options
        self._places: defaultdict[VersionKey, _Place] = defaultdict(_Place)

    def is_busy(self, key: VersionKey) -> bool:
        """Whether somebody changes what is here of a version."""
        return key in self._places and self._places[key].lock.locked()

    async def until_idle(self, key: VersionKey) -> None:
        """Return when nobody changes what is here of a version."""
        if key in self._places:
            async with self._places[key].lock:
                pass

    def stage(self, deployment: Deployment) -> Stage | None:
        """How far it came here; None: nothing of it is here."""
        place = self._places.get(deployment.key)
        return place.stage if place and place.held and place.held.is_same_as(deployment) else None

    async def bring(self, deployment: Deployment, stage: Stage) -> None:
        """Bring it to `stage`, if it is not there or further, and know it as it is recorded.

        Raises:
            ResourceExhausted: MODELS_FULL.
            SynapseError: as `Loader.fetch`, `Loader.load` and `Loader.probe`.
        """
        async with self._place(deployment) as place:
            self._residents.note(deployment)
            if place.stage is None:
                self._residents.require_room(deployment.artifact_size, key=deployment.key)
                place.stage = Stage.RESERVED
            if stage >= Stage.FETCHED > place.stage:
                await self._loader.fetch(deployment)
                place.stage = Stage.FETCHED
            if stage >= Stage.LOADED > place.stage:
                self._residents.note(deployment, await self._loader.load(deployment))
                place.stage = Stage.LOADED
            if stage >= Stage.WARM > place.stage:
                resident = self._residents.resident(deployment.key)
                assert resident is not None, "what is loaded is in memory"
                await self._loader.probe(resident)
                place.stage = Stage.WARM

    async def take_back(self, deployment: Deployment, stage: Stage) -> None:
        """Bring it back to `stage`, if it is further: out of memory, and without a copy that nothing else needs."""
        async with self._place(deployment) as place:
            self._residents.note(deployment)
            if stage < Stage.LOADED:
                await self._unload(deployment)
            if stage < Stage.FETCHED:
                await self._drop_unused(deployment)
            if place.stage is not None:
                place.stage = min(place.stage, stage)

    async def load(self, deployment: Deployment) -> None:
        """Have a deployment that served before in memory again; it has its room, and is noted only if that succeeds.

        Raises:
            SynapseError: as `Loader.load`.
        """
        async with self._place(deployment) as place:
            if self._residents.resident(deployment.key) is None:
                resident = await self._loader.load(deployment)
                self._residents.note(deployment, resident)
                place.stage = max(place.stage or Stage.LOADED, Stage.LOADED)
            else:
                self._residents.note(deployment)

    async def drain(self, deployment: Deployment) -> None:
        """Take nothing more for it, answer what was accepted, and have it out of memory; it is known until `forget`."""
        async with self._place(deployment) as place:
            self._residents.note(deployment)
            await self._unload(deployment)
            place.stage = None

    async def forget(self, deployment: Deployment) -> None:
        """Know nothing of it any more; what was accepted is answered first."""
        place = self._places[deployment.key]
        async with place.lock:
            known = self._residents.deployment(deployment.key)
            if known is not None and not known.is_same_as(deployment):
                return
            resident = self._residents.resident(deployment.key)
            self._residents.forget(deployment.key)
            if resident is not None:
                await self._emptied(resident)
            place.held = place.stage = None
            await self._drop_unused(deployment)

    async def close(self) -> None:
        """Answer whoever waits for a prediction."""
        for _, resident in self._residents:
            if resident is not None:
                await resident.batcher.close()

    @asynccontextmanager
    async def _place(self, deployment: Deployment) -> AsyncIterator[_Place]:
        """Be alone with a version; what is here of a deployment of before is let go first."""
        place = self._places[deployment.key]
        async with place.lock:
            if place.held is not None and not place.held.is_same_as(deployment):
                await self._unload(place.held)
                place.stage = None
            place.held = deployment
            yield place

    async def _unload(self, deployment: Deployment) -> None:
        if (resident := self._residents.resident(deployment.key)) is not None:
            await self._emptied(resident)
            self._residents.unload(deployment.key)

    async def _emptied(self, resident: Resident) -> None:
        """Let a model answer what it accepted."""
        try:
            async with asyncio.timeout(self._options.drain_timeout_s):
                await resident.batcher.drain()
        except TimeoutError:
            pass  # closing answers what is left: UNAVAILABLE, retry
        await resident.batcher.close()

    async def _drop_unused(self, deployment: Deployment) -> None:
        sha256 = deployment.artifact_sha256
        needed = any(
            other.artifact_sha256 == sha256 and other.state is not DeploymentState.DRAINING
            for other, _ in self._residents
            if other.key != deployment.key
        )
        if not needed:
            await self._loader.drop(sha256)
