"""Deployments through failures and restarts: real records, artifacts, ONNX Runtime and coordinator; the registry in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

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
from synapsenet.inference.model import DeploymentState, VersionKey
from synapsenet.inference.run_options import RunOptions
from synapsenet.inference.wish import BatchingMode, BatchingWish, DeploymentWish, DeterminismMode
from synapsenet.lifecycle.wishes import DeployWish, Patience
from synapsenet.platform.work import ANONYMOUS, Request
from synapsenet.testing.inference import KEY, MemoryRegistry
from synapsenet.testing.onnx_models import exact_model
from tests.integration.inference.benches import OPTIONS, REASON, Bench, benches, until

WISH = DeploymentWish(model=KEY.model_id, version=KEY.version)
SMALL = replace(OPTIONS, max_loaded_models=2)


@pytest.fixture
def registry() -> MemoryRegistry:
    registry = MemoryRegistry()
    for version in (1, 2, 3):
        registry.add(exact_model(), VersionKey(KEY.model_id, version))
    return registry


@pytest.fixture
async def bench(tmp_path: Path, registry: MemoryRegistry) -> AsyncIterator[Bench]:
    async with benches(tmp_path, registry, options=SMALL) as [bench]:
        yield bench


def copies(folder: Path) -> list[Path]:
    """The files of this replica's copies of artifacts."""
    return [path for path in (folder / "replica-0" / "sha256").rglob("*") if path.is_file()]


def damage(folder: Path) -> None:
    """Change one byte of every copy."""
    for path in copies(folder):
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.write_bytes(data)


async def test_a_deployment_serves_and_the_coordinator_has_it_serving(bench: Bench) -> None:
    deployment = await bench.replica.deployer.deploy(WISH, ANONYMOUS)
    assert deployment.state is DeploymentState.SERVING
    assert (await bench.status()).state == "serving"
    assert (await bench.status()).traffic == 1.0
    assert bench.replica.residents.choose(KEY.model_id, None) is not None
    assert bench.replica.residents.choose(deployment.model_name, 1) is not None


async def test_an_undeployed_version_is_gone_with_its_copy_of_the_artifact(bench: Bench, tmp_path: Path) -> None:
    await bench.replica.deployer.deploy(WISH, ANONYMOUS)
    await bench.replica.deployer.undeploy(KEY.model_id, 1, ANONYMOUS)
    assert bench.state() is None
    assert (await bench.status()).state == "registered"
    assert await bench.work.read(lambda tx: tx.deployments.all()) == []
    assert not copies(tmp_path)


async def test_an_artifact_that_is_no_model_leaves_everything_as_it_was(bench: Bench, registry: MemoryRegistry) -> None:
    registry.add(b"no model at all")
    with pytest.raises(InvalidArgument) as refusal:
        await bench.replica.deployer.deploy(WISH, ANONYMOUS)
    assert refusal.value.reason == "ARTIFACT_NOT_ONNX"
    assert bench.state() is None
    status = await bench.status()
    assert (status.state, status.condition and status.condition.reason) == ("registered", "ARTIFACT_NOT_ONNX")
    assert await bench.events() == ["DeploymentFailed"]
    registry.add(exact_model())
    assert (await bench.replica.deployer.deploy(WISH, ANONYMOUS)).state is DeploymentState.SERVING
    assert (await bench.status()).condition is None


async def test_an_artifact_other_than_the_registered_one_is_never_loaded(
    bench: Bench, registry: MemoryRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = await registry.find(KEY.model_id, 1)

    async def lying(model: str, version: int) -> object:
        return replace(found, artifact_sha256="ab" * 32)

    monkeypatch.setattr(registry, "find", lying)
    with pytest.raises(SynapseError, match="has SHA-256") as refusal:
        await bench.replica.deployer.deploy(WISH, ANONYMOUS)
    assert refusal.value.reason == "ARTIFACT_CORRUPT"
    assert registry.downloads == 1
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
    bench: Bench, wish: DeploymentWish, kind: type[SynapseError]
) -> None:
    with pytest.raises(kind):
        await bench.replica.deployer.deploy(wish, ANONYMOUS)
    assert bench.state() is None
    assert await bench.events() == []
    assert (await bench.status()).state == "registered"


async def test_a_version_that_may_not_be_deployed_or_has_no_artifact_is_refused(bench: Bench, registry: MemoryRegistry) -> None:
    bench.catalogue.begins_in = "archived"
    with pytest.raises(FailedPrecondition, match="archived"):
        await bench.replica.deployer.deploy(WISH, ANONYMOUS)
    assert bench.state() is None
    assert (await bench.status()).state == "archived"
    assert await bench.events() == ["DeploymentFailed"]
    registry.add(b"")
    with pytest.raises(FailedPrecondition, match="has no artifact"):
        await bench.replica.deployer.deploy(WISH, ANONYMOUS)


async def test_no_more_models_are_held_than_there_is_room_for(bench: Bench) -> None:
    for version in (1, 2):
        await bench.replica.deployer.deploy(replace(WISH, version=version), ANONYMOUS)
    with pytest.raises(ResourceExhausted, match="2 models"):
        await bench.replica.deployer.deploy(replace(WISH, version=3), ANONYMOUS)


async def test_the_same_request_is_carried_out_once_even_while_it_is_under_way(bench: Bench, registry: MemoryRegistry) -> None:
    request, deployer = Request("wish", b"digest"), bench.replica.deployer
    first, second = await asyncio.gather(deployer.deploy(WISH, request), deployer.deploy(WISH, request))
    assert first == second == await deployer.deploy(WISH, request)
    assert registry.downloads == 1
    with pytest.raises(AlreadyExists) as refusal:
        await deployer.deploy(WISH, Request("wish", b"another"))
    assert refusal.value.reason == "REQUEST_ID_REUSED"
    with pytest.raises(AlreadyExists) as refusal:
        await deployer.deploy(WISH, Request("another", b"digest"))
    assert refusal.value.reason == "ALREADY_DEPLOYED"


async def test_two_wishes_for_one_version_do_not_meet(bench: Bench) -> None:
    first, second = await asyncio.gather(
        bench.replica.deployer.deploy(WISH, Request("a", b"a")),
        bench.replica.deployer.deploy(WISH, Request("b", b"b")),
        return_exceptions=True,
    )
    assert {type(first), type(second)} & {Aborted}
    assert bench.state() is DeploymentState.SERVING


async def test_two_versions_of_one_model_are_deployed_one_after_the_other(bench: Bench) -> None:
    deployer = bench.replica.deployer
    made = await asyncio.gather(
        deployer.deploy(WISH, Request("a", b"a")), deployer.deploy(replace(WISH, version=2), Request("b", b"b"))
    )
    assert {one.state for one in made} == {DeploymentState.SERVING}
    assert sum(bench.shares().values()) == 1.0


async def test_a_deployment_goes_on_when_its_caller_leaves(bench: Bench) -> None:
    caller = asyncio.create_task(bench.replica.deployer.deploy(WISH, ANONYMOUS))
    await until(lambda: bench.state() is DeploymentState.LOADING)
    caller.cancel()
    await until(lambda: bench.state() is DeploymentState.SERVING)


async def test_a_repeated_undeployment_has_its_first_answer(bench: Bench) -> None:
    request = Request("wish", b"digest")
    await bench.replica.deployer.deploy(WISH, ANONYMOUS)
    last = await bench.replica.deployer.undeploy(KEY.model_id, 1, request)
    assert last.state is DeploymentState.DRAINING
    assert await bench.replica.deployer.undeploy(KEY.model_id, 1, request) == last
    with pytest.raises(NotFound):
        await bench.replica.deployer.undeploy(KEY.model_id, 1, ANONYMOUS)


async def test_a_repeated_deployment_that_waited_for_what_its_first_call_had_begun_has_its_answer(bench: Bench) -> None:
    """The first call ended with its process, after the coordinator had begun and before the first step had been heard of."""
    request = Request("wish", b"digest")
    bench.asked.carries_on.clear()
    options = RunOptions(batching=OPTIONS.batching, request=request).to_json()
    wish = DeployWish(keep_previous=True, options=options)
    await bench.lifecycle.coordinator.deploy(KEY.model_id, 1, wish, REASON, Patience(wait=0), ANONYMOUS)
    repeated = asyncio.create_task(bench.replica.deployer.deploy(WISH, request))
    other = asyncio.create_task(bench.replica.deployer.deploy(replace(WISH, version=2), Request("other", b"digest")))
    await asyncio.sleep(0.1)
    assert bench.state() is None
    bench.asked.carries_on.set()
    assert (await repeated).state is DeploymentState.SERVING
    assert (await other).key.version == 2
    with pytest.raises(AlreadyExists, match="is deployed already"):
        await bench.replica.deployer.deploy(WISH, Request("another", b"digest"))


async def test_a_repeated_undeployment_that_waited_for_what_its_first_call_had_begun_has_its_answer(bench: Bench) -> None:
    request = Request("wish", b"digest")
    deployment = await bench.replica.deployer.deploy(WISH, ANONYMOUS)
    bench.asked.carries_on.clear()
    await bench.work.run(lambda tx: tx.deployments.update(deployment, request))
    await bench.lifecycle.coordinator.undeploy(KEY.model_id, 1, REASON, Patience(wait=0), ANONYMOUS)
    repeated = asyncio.create_task(bench.replica.deployer.undeploy(KEY.model_id, 1, request))
    await asyncio.sleep(0.1)
    assert bench.state() is DeploymentState.SERVING
    bench.asked.carries_on.set()
    assert (await repeated).state is DeploymentState.DRAINING
    assert bench.state() is None


async def test_a_deployment_is_restored_from_its_own_copy_while_the_registry_is_away(
    tmp_path: Path, registry: MemoryRegistry
) -> None:
    async with benches(tmp_path, registry) as [bench]:
        await bench.replica.deployer.deploy(WISH, ANONYMOUS)
    registry.reachable = False
    async with benches(tmp_path, registry) as [bench]:
        await until(lambda: bench.replica.residents.resident(KEY) is not None)
        assert bench.state() is DeploymentState.SERVING
    assert registry.downloads == 1


async def test_a_damaged_copy_is_fetched_again(tmp_path: Path, registry: MemoryRegistry) -> None:
    async with benches(tmp_path, registry) as [bench]:
        await bench.replica.deployer.deploy(WISH, ANONYMOUS)
    damage(tmp_path)
    async with benches(tmp_path, registry) as [bench]:
        await until(lambda: bench.replica.residents.resident(KEY) is not None)
    assert registry.downloads == 2


async def test_a_reload_that_fails_is_a_condition_of_the_version_until_it_succeeds(
    tmp_path: Path, registry: MemoryRegistry
) -> None:
    async with benches(tmp_path, registry) as [bench]:
        await bench.replica.deployer.deploy(WISH, ANONYMOUS)
    damage(tmp_path)
    registry.reachable = False
    async with benches(tmp_path, registry) as [bench]:
        await until(lambda: bench.state() is DeploymentState.FAILED)
        with pytest.raises(Unavailable, match="could not be loaded"):
            bench.replica.residents.choose(KEY.model_id, None)
        registry.reachable = True
        await until(lambda: bench.state() is DeploymentState.SERVING)
        async with asyncio.timeout(10):
            while "DeploymentRestored" not in await bench.events() or (await bench.status()).condition is not None:
                await asyncio.sleep(0.01)
        assert (await bench.status()).state == "serving"


async def test_a_deployment_that_a_crash_interrupted_is_carried_on_and_its_caller_answered(
    tmp_path: Path, registry: MemoryRegistry
) -> None:
    request = Request("wish", b"digest")
    async with benches(tmp_path, registry) as [bench]:
        under_way = asyncio.create_task(bench.replica.deployer.deploy(WISH, request))
        await until(lambda: bench.state() is DeploymentState.LOADING)
        await bench.participant.close()
        await bench.replica.deployer.stop()
        assert isinstance((await asyncio.gather(under_way, return_exceptions=True))[0], asyncio.CancelledError)
    async with benches(tmp_path, registry) as [bench]:
        await until(lambda: bench.state() is DeploymentState.SERVING)
        assert (await bench.replica.deployer.deploy(WISH, request)).key == KEY
        assert (await bench.status()).state == "serving"
