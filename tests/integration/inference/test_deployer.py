"""Deployments through failures and restarts: real records, real artifacts, real ONNX Runtime; the registry in memory."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from synapsenet.adapters.artifacts import open_artifacts
from synapsenet.adapters.onnx_runtime import OnnxRuntime
from synapsenet.adapters.sql.coordination import open_coordination
from synapsenet.adapters.sql.inference import SqlInferenceWork, metadata
from synapsenet.adapters.sql.locks import SqlLocks
from synapsenet.adapters.sql.work import SqlWork, open_work
from synapsenet.adapters.threads import open_threads
from synapsenet.errors import (
    Aborted,
    AlreadyExists,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    NotYetAvailable,
    ResourceExhausted,
    SynapseError,
    Unavailable,
)
from synapsenet.ids import SeededIds
from synapsenet.inference.deploying import Deployer
from synapsenet.inference.loading import Loader
from synapsenet.inference.model import DeploymentState, VersionKey
from synapsenet.inference.options import InferenceOptions
from synapsenet.inference.residents import Residents
from synapsenet.inference.wish import BatchingMode, BatchingWish, DeploymentWish, DeterminismMode
from synapsenet.platform.work import ANONYMOUS, Request
from synapsenet.testing.clock import FakeClock
from synapsenet.testing.inference import KEY, MemoryRegistry
from synapsenet.testing.onnx_models import exact_model

WISH = DeploymentWish(model=KEY.model_id, version=KEY.version)
OPTIONS = InferenceOptions(max_loaded_models=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """A replica with its deployer."""

    deployer: Deployer
    residents: Residents
    work: SqlWork[SqlInferenceWork]
    clock: FakeClock

    def state(self, key: VersionKey = KEY) -> DeploymentState | None:
        found = self.residents.deployment(key)
        return found.state if found else None

    async def events(self) -> list[str]:
        """The types of the events that have a position so far."""
        return [event.type for event in await self.work.feed.read(after=0, limit=100)]


Started = Callable[[], AbstractAsyncContextManager[Bench]]


@pytest.fixture
def registry() -> MemoryRegistry:
    registry = MemoryRegistry()
    registry.add(exact_model())
    return registry


@pytest.fixture
def started(tmp_path: Path, registry: MemoryRegistry) -> Started:
    """Start a replica on this test's folder; again after the last one has ended."""
    seeds = itertools.count()  # the events of a later start have other ids

    @asynccontextmanager
    async def start() -> AsyncIterator[Bench]:
        clock = FakeClock()
        async with (
            open_coordination(tmp_path / "coordination.sqlite") as coordination,
            open_work(
                tmp_path / "inference.sqlite",
                area="inference",
                metadata=metadata,
                unit=SqlInferenceWork,
                clock=clock,
                event_ids=SeededIds("event", next(seeds)),
            ) as work,
        ):
            with open_threads(1, name="test") as threads:
                loader = Loader(
                    registry=registry,
                    artifacts=open_artifacts(tmp_path / "artifacts", clock),
                    runtime=OnnxRuntime(intra_op_threads=1),
                    loads=threads,
                    runs=threads,
                    clock=clock,
                    options=OPTIONS,
                )
                residents = Residents(max_models=OPTIONS.max_loaded_models, max_bytes=OPTIONS.max_loaded_bytes)
                deployer = Deployer(
                    work=work,
                    registry=registry,
                    loader=loader,
                    residents=residents,
                    clock=clock,
                    options=OPTIONS,
                    locks=SqlLocks(coordination, clock),
                    feed=work.feed,
                )
                await deployer.recall()
                keeping = asyncio.create_task(deployer.keep())
                yield Bench(deployer=deployer, residents=residents, work=work, clock=clock)
                keeping.cancel()
                await asyncio.gather(keeping, return_exceptions=True)
                await deployer.stop()

    return start


@pytest.fixture
async def bench(started: Started) -> AsyncIterator[Bench]:
    async with started() as bench:
        yield bench


async def settled(bench: Bench, state: DeploymentState | None) -> None:
    """Let time pass until the deployment is in `state`."""
    async with asyncio.timeout(20):
        while bench.state() is not state or not bench.deployer.restored:
            await bench.clock.advance(0.5)
            await asyncio.sleep(0.01)


def damage(folder: Path) -> None:
    """Change one byte of every artifact."""
    for path in (folder / "artifacts" / "sha256").rglob("*"):
        if path.is_file():
            data = bytearray(path.read_bytes())
            data[-1] ^= 1
            path.write_bytes(data)


async def test_a_deployment_serves_and_the_registry_knows(bench: Bench, registry: MemoryRegistry) -> None:
    deployment = await bench.deployer.deploy(WISH, ANONYMOUS)
    assert deployment.state is DeploymentState.SERVING
    assert registry.states[KEY] == "serving"
    assert bench.residents.choose(KEY.model_id, None) is not None
    assert bench.residents.choose(deployment.model_name, 1) is not None


async def test_an_undeployed_version_is_gone_with_its_copy_of_the_artifact(
    bench: Bench, registry: MemoryRegistry, tmp_path: Path
) -> None:
    await bench.deployer.deploy(WISH, ANONYMOUS)
    await bench.deployer.undeploy(KEY.model_id, 1, ANONYMOUS)
    assert bench.state() is None
    assert registry.states[KEY] == "registered"
    assert await bench.work.read(lambda tx: tx.deployments.all()) == []
    assert not [path for path in (tmp_path / "artifacts" / "sha256").rglob("*") if path.is_file()]


async def test_an_artifact_that_is_no_model_leaves_everything_as_it_was(bench: Bench, registry: MemoryRegistry) -> None:
    registry.add(b"no model at all")
    with pytest.raises(InvalidArgument) as refusal:
        await bench.deployer.deploy(WISH, ANONYMOUS)
    assert refusal.value.reason == "ARTIFACT_NOT_ONNX"
    assert bench.state() is None
    assert registry.states[KEY] == "registered"
    condition = registry.conditions[KEY]
    assert condition is not None
    assert condition.reason == "ARTIFACT_NOT_ONNX"
    registry.add(exact_model())
    assert (await bench.deployer.deploy(WISH, ANONYMOUS)).state is DeploymentState.SERVING


async def test_an_artifact_other_than_the_registered_one_is_never_loaded(
    bench: Bench, registry: MemoryRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = await registry.find(KEY.model_id, 1)

    async def lying(model: str, version: int) -> object:
        return replace(found, artifact_sha256="ab" * 32)

    monkeypatch.setattr(registry, "find", lying)
    with pytest.raises(SynapseError, match="has SHA-256") as refusal:
        await bench.deployer.deploy(WISH, ANONYMOUS)
    assert refusal.value.reason == "ARTIFACT_CORRUPT"
    assert bench.state() is None


@pytest.mark.parametrize(
    ("wish", "kind"),
    [
        (replace(WISH, version=9), NotFound),
        (replace(WISH, batching=BatchingWish(max_batch_size=0)), InvalidArgument),
        (replace(WISH, batching=BatchingWish(mode=BatchingMode.ADAPTIVE)), NotYetAvailable),
        (replace(WISH, determinism=DeterminismMode.NATIVE), NotYetAvailable),
    ],
)
async def test_a_wish_that_cannot_be_granted_changes_nothing(
    bench: Bench, registry: MemoryRegistry, wish: DeploymentWish, kind: type[SynapseError]
) -> None:
    with pytest.raises(kind):
        await bench.deployer.deploy(wish, ANONYMOUS)
    assert bench.state() is None
    assert registry.states[KEY] == "registered"


async def test_a_version_that_may_not_be_deployed_or_has_no_artifact_is_refused(bench: Bench, registry: MemoryRegistry) -> None:
    registry.states[KEY] = "archived"
    with pytest.raises(FailedPrecondition, match="archived"):
        await bench.deployer.deploy(WISH, ANONYMOUS)
    assert bench.state() is None
    assert registry.states[KEY] == "archived"
    registry.add(b"")
    with pytest.raises(FailedPrecondition, match="has no artifact"):
        await bench.deployer.deploy(WISH, ANONYMOUS)


async def test_no_more_models_are_held_than_there_is_room_for(bench: Bench, registry: MemoryRegistry) -> None:
    for version in (1, 2, 3):
        registry.add(exact_model(), VersionKey(KEY.model_id, version))
    for version in (1, 2):
        await bench.deployer.deploy(replace(WISH, version=version), ANONYMOUS)
    with pytest.raises(ResourceExhausted, match="2 models"):
        await bench.deployer.deploy(replace(WISH, version=3), ANONYMOUS)


async def test_the_same_request_is_carried_out_once_even_while_it_is_under_way(bench: Bench, registry: MemoryRegistry) -> None:
    request = Request("wish", b"digest")
    first, second = await asyncio.gather(bench.deployer.deploy(WISH, request), bench.deployer.deploy(WISH, request))
    assert first == second == await bench.deployer.deploy(WISH, request)
    assert registry.downloads == 1
    with pytest.raises(AlreadyExists) as refusal:
        await bench.deployer.deploy(WISH, Request("wish", b"another"))
    assert refusal.value.reason == "REQUEST_ID_REUSED"
    with pytest.raises(AlreadyExists) as refusal:
        await bench.deployer.deploy(WISH, Request("another", b"digest"))
    assert refusal.value.reason == "ALREADY_DEPLOYED"


async def test_two_wishes_for_one_version_do_not_meet(bench: Bench) -> None:
    first, second = await asyncio.gather(
        bench.deployer.deploy(WISH, Request("a", b"a")),
        bench.deployer.deploy(WISH, Request("b", b"b")),
        return_exceptions=True,
    )
    assert {type(first), type(second)} & {Aborted}
    assert bench.state() is DeploymentState.SERVING


async def test_a_deployment_goes_on_when_its_caller_leaves(bench: Bench, registry: MemoryRegistry) -> None:
    caller = asyncio.create_task(bench.deployer.deploy(WISH, ANONYMOUS))
    async with asyncio.timeout(10):
        while bench.state() is not DeploymentState.LOADING:
            await asyncio.sleep(0)
    caller.cancel()
    await settled(bench, DeploymentState.SERVING)
    assert registry.states[KEY] == "serving"


async def test_an_undeployment_that_the_registry_cannot_hear_of_is_ended_when_it_is_back(
    bench: Bench, registry: MemoryRegistry
) -> None:
    await bench.deployer.deploy(WISH, ANONYMOUS)
    registry.reachable = False
    request = Request("wish", b"digest")
    with pytest.raises(Unavailable):
        await bench.deployer.undeploy(KEY.model_id, 1, request)
    assert bench.state() is DeploymentState.DRAINING
    assert bench.residents.choose(KEY.model_id, None) is None
    registry.reachable = True
    await settled(bench, None)
    assert registry.states[KEY] == "registered"
    assert (await bench.deployer.undeploy(KEY.model_id, 1, request)).key == KEY


async def test_a_deployment_is_restored_from_its_own_copy_while_the_registry_is_away(
    started: Started, registry: MemoryRegistry
) -> None:
    async with started() as bench:
        await bench.deployer.deploy(WISH, ANONYMOUS)
    registry.reachable = False
    async with started() as bench:
        await settled(bench, DeploymentState.SERVING)
        assert bench.residents.resident(KEY) is not None
    assert registry.downloads == 1


async def test_a_damaged_copy_is_fetched_again(started: Started, registry: MemoryRegistry, tmp_path: Path) -> None:
    async with started() as bench:
        await bench.deployer.deploy(WISH, ANONYMOUS)
    damage(tmp_path)
    async with started() as bench:
        async with asyncio.timeout(10):
            while bench.residents.resident(KEY) is None:
                await asyncio.sleep(0.01)
    assert registry.downloads == 2


async def test_a_reload_that_fails_is_shown_and_tried_again_until_it_succeeds(
    started: Started, registry: MemoryRegistry, tmp_path: Path
) -> None:
    async with started() as bench:
        await bench.deployer.deploy(WISH, ANONYMOUS)
    damage(tmp_path)
    registry.reachable = False
    async with started() as bench:
        await settled(bench, DeploymentState.FAILED)
        with pytest.raises(Unavailable, match="could not be loaded"):
            bench.residents.choose(KEY.model_id, None)
        registry.reachable = True
        await settled(bench, DeploymentState.SERVING)
        assert registry.conditions[KEY] is None
        async with asyncio.timeout(10):
            while "DeploymentRestored" not in await bench.events():
                await asyncio.sleep(0.01)
    assert registry.states[KEY] == "serving"


async def test_a_deployment_that_a_crash_interrupted_is_carried_on(started: Started, registry: MemoryRegistry) -> None:
    request = Request("wish", b"digest")
    async with started() as bench:
        under_way = asyncio.create_task(bench.deployer.deploy(WISH, request))
        async with asyncio.timeout(10):
            while registry.states[KEY] != "deploying":
                await asyncio.sleep(0)
        await bench.deployer.stop()
        assert isinstance((await asyncio.gather(under_way, return_exceptions=True))[0], asyncio.CancelledError)
    async with started() as bench:
        await settled(bench, DeploymentState.SERVING)
        assert (await bench.deployer.deploy(WISH, request)).key == KEY
    assert registry.states[KEY] == "serving"
