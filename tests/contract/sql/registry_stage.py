"""A registry over real records and artifacts, with a coordinator that grants what it is told to."""

from __future__ import annotations

from dataclasses import dataclass

from synapsenet.adapters.formats import FormatInspector
from synapsenet.adapters.sql.registry import SqlRegistryWork
from synapsenet.adapters.sql.work import SqlWork
from synapsenet.platform.artifacts import ArtifactStore
from synapsenet.platform.events import Event
from synapsenet.platform.work import ANONYMOUS
from synapsenet.registry.model import Format, Version, VersionWish
from synapsenet.registry.options import RegistryOptions
from synapsenet.registry.service import Registry
from synapsenet.registry.uploads import Upload
from synapsenet.testing.artifacts import digest, stream
from synapsenet.testing.clock import FakeClock
from synapsenet.testing.registry import DIGITS, KnownModels
from synapsenet.testing.registry_lifecycle import GrantingLifecycle

HEADER = b'{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'
TENSORS = len(HEADER).to_bytes(8, "little") + HEADER + b"\0" * 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What a test of the registry has in hand."""

    registry: Registry
    work: SqlWork[SqlRegistryWork]
    artifacts: ArtifactStore
    lifecycle: GrantingLifecycle
    clock: FakeClock

    async def create(self) -> Version:
        return await self.registry.create_version(VersionWish(model="digits"), ANONYMOUS)

    async def upload(self) -> Version:
        return await self.registry.upload(tensors(), stream(TENSORS))

    async def events(self, count: int) -> list[Event]:
        """The first `count` events of the model."""
        seen: list[Event] = []
        async for event in self.work.feed.watch(after=0, aggregate=f"model/{DIGITS.id}"):
            seen.append(event)
            if len(seen) == count:
                break
        return seen


def stage(work: SqlWork[SqlRegistryWork], artifacts: ArtifactStore, clock: FakeClock) -> Stage:
    lifecycle = GrantingLifecycle(clock)
    registry = Registry(
        work=work,
        models=KnownModels(DIGITS),
        lifecycle=lifecycle,
        artifacts=artifacts,
        inspector=FormatInspector(),
        clock=clock,
        options=RegistryOptions(artifact_bytes=1_000, uploads=2),
    )
    return Stage(registry=registry, work=work, artifacts=artifacts, lifecycle=lifecycle, clock=clock)


def tensors() -> Upload:
    return Upload(model="digits", number=1, format=Format.SAFETENSORS, sha256=digest(TENSORS), size=len(TENSORS))
