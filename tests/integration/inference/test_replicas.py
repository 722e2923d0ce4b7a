"""Two replicas of inference on the same records: what an operation asks of one, the other does too, or says why it cannot."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from synapsenet.errors import Aborted, AlreadyExists, NotFound
from synapsenet.inference.model import DeploymentState, VersionKey
from synapsenet.inference.replicas import GROUP
from synapsenet.inference.service import Selector
from synapsenet.inference.wish import DeploymentWish
from synapsenet.lifecycle.model import OperationState
from synapsenet.lifecycle.wishes import DeployWish
from synapsenet.platform.membership import Instance, Membership
from synapsenet.platform.work import ANONYMOUS, Request
from synapsenet.testing.inference import KEY, MemoryRegistry
from synapsenet.testing.onnx_models import exact_model
from tests.integration.inference.benches import Bench, benches, until

WISH = DeploymentWish(model=KEY.model_id, version=KEY.version)
Pair = tuple[Bench, Bench]


class Gate(MemoryRegistry):
    """A registry whose artifacts come when it is told so."""

    def __init__(self) -> None:
        super().__init__()
        self.open = asyncio.Event()
        self.open.set()
        self.waiting = asyncio.Event()

    async def download(self, key: VersionKey) -> AsyncIterator[bytes]:
        self.waiting.set()
        await self.open.wait()
        async for chunk in super().download(key):
            yield chunk


@pytest.fixture
def registry() -> Gate:
    registry = Gate()
    for version in (1, 2):
        registry.add(exact_model(), VersionKey(KEY.model_id, version))
    return registry


@pytest.fixture(name="pair")
async def _pair(tmp_path: Path, registry: Gate) -> AsyncIterator[Pair]:
    async with benches(tmp_path, registry, replicas=2) as [first, second]:
        async with asyncio.timeout(10):
            while not (await first.replica.replicas.others() and await second.replica.replicas.others()):
                await asyncio.sleep(0.01)
        yield first, second


def has_loaded(bench: Bench, version: int = 1) -> bool:
    return bench.replica.residents.resident(VersionKey(KEY.model_id, version)) is not None


def membership(bench: Bench) -> Membership:
    return bench.replica.replicas._membership


def standing(bench: Bench) -> list[DeploymentState]:
    return [deployment.state for deployment, _ in bench.replica.residents]


async def test_a_deployment_has_ended_when_every_replica_serves_and_an_undeployment_when_none_does(pair: Pair) -> None:
    first, second = pair
    await first.replica.deployer.deploy(WISH, ANONYMOUS)
    for bench in pair:
        assert has_loaded(bench)
        assert standing(bench) == [DeploymentState.SERVING]
        assert bench.shares() == {1: 1.0}
    await second.replica.deployer.undeploy(KEY.model_id, KEY.version, ANONYMOUS)
    assert not any(has_loaded(bench) for bench in pair)
    await until(lambda: not any(standing(bench) for bench in pair))


async def test_what_replicas_tell_each_other_is_no_change_that_watchers_see(pair: Pair) -> None:
    first, _ = pair
    await first.replica.deployer.deploy(WISH, ANONYMOUS)
    await first.replica.deployer.undeploy(KEY.model_id, KEY.version, ANONYMOUS)
    seen = []
    async for event in first.inference.watch(after=0):
        seen.append((event.type, event.sequence))
        if len(seen) == 2:
            break
    assert seen == [("ModelDeployed", 1), ("ModelUndeployed", 2)]
    assert len(await first.events()) > 2


async def test_a_replica_that_cannot_hold_the_version_takes_the_deployment_back_everywhere(pair: Pair) -> None:
    first, second = pair
    second.replica.residents._max_models = 0  # this replica alone is full
    ended = await first.deploy(1)
    assert (ended.state, ended.failure and ended.failure.reason) == (OperationState.COMPENSATED, "MODELS_FULL")
    await until(lambda: not any(standing(bench) for bench in pair))
    assert (await first.status()).state == "registered"
    second.replica.residents._max_models = 9
    assert (await first.deploy(1)).state is OperationState.SUCCEEDED
    assert all(has_loaded(bench) for bench in pair)


@pytest.mark.parametrize("step", ["reserve", "fetch", "load", "warm_up", "shift_traffic", "retire_previous"])
async def test_a_step_may_be_carried_out_by_another_replica_than_the_ones_before_and_after_it(pair: Pair, step: str) -> None:
    first, _ = pair
    first.asked.elsewhere[step] = 1
    for version in (1, 2):
        ended = await first.deploy(version)
        assert (ended.state, [one.attempts for one in ended.steps if one.attempts]) == (OperationState.SUCCEEDED, [])
    assert [bench.shares() for bench in pair] == [{2: 1.0}, {2: 1.0}]


async def test_traffic_goes_over_on_every_replica_before_the_version_of_before_is_gone(pair: Pair) -> None:
    first, _ = pair
    await first.deploy(1)
    await first.deploy(2)
    for bench in pair:
        assert bench.shares() == {2: 1.0}
        assert has_loaded(bench, 2)
        assert not has_loaded(bench, 1)
        chosen, _ = await bench.inference.choose(Selector(model=KEY.model_id))
        assert chosen.key.version == 2


async def test_more_replicas_than_there_are_cannot_be_asked_for_and_fewer_can(pair: Pair) -> None:
    first, _ = pair
    with pytest.raises(Exception, match="2 replicas") as refusal:
        await first.deploy(1, DeployWish(replicas=3))
    assert getattr(refusal.value, "reason", "") == "REPLICAS_TOO_FEW"
    assert (await first.deploy(1, DeployWish(replicas=1))).state is OperationState.SUCCEEDED


async def test_a_replica_that_is_gone_is_waited_for_no_longer_than_its_lease(tmp_path: Path, registry: Gate) -> None:
    async with benches(tmp_path, registry, replicas=2) as [first, second]:
        async with asyncio.timeout(10):
            while not await first.replica.replicas.others():
                await asyncio.sleep(0.01)
        dead = Instance(group=GROUP, id="replica-dead")  # it registered, and does nothing
        async with membership(first).join(dead, ttl=0.5):
            deploying = asyncio.create_task(first.deploy(1))
            await until(lambda: has_loaded(second) or first.state() is not None)
            await asyncio.sleep(0.1)
            assert not deploying.done()
        assert (await deploying).state is OperationState.SUCCEEDED


async def test_a_version_is_deployed_once_whichever_replica_is_asked(pair: Pair) -> None:
    first, second = pair
    await first.replica.deployer.deploy(WISH, Request("r", b"d"))
    assert (await second.replica.deployer.deploy(WISH, Request("r", b"d"))).key == KEY
    with pytest.raises(AlreadyExists) as refusal:
        await second.replica.deployer.deploy(WISH, ANONYMOUS)
    assert refusal.value.reason == "ALREADY_DEPLOYED"


async def test_a_repeated_request_gets_the_answer_of_the_operation_that_another_replica_began(
    pair: Pair, registry: Gate
) -> None:
    first, second = pair
    registry.open.clear()
    once = asyncio.create_task(first.replica.deployer.deploy(WISH, Request("r", b"d")))
    await registry.waiting.wait()
    await until(lambda: standing(second) == [DeploymentState.LOADING])
    again = asyncio.create_task(second.replica.deployer.deploy(WISH, Request("r", b"d")))
    await asyncio.sleep(0.05)
    with pytest.raises(Aborted) as refusal:
        await second.replica.deployer.deploy(replace(WISH), ANONYMOUS)
    registry.open.set()
    assert await again == await once
    assert refusal.value.reason == "DEPLOYMENT_UNDER_WAY"
    assert has_loaded(second)


async def test_a_model_deployed_anew_is_served_as_it_is_now_and_ended_once(pair: Pair) -> None:
    first, second = pair
    for _ in range(3):
        await first.replica.deployer.deploy(WISH, ANONYMOUS)
        await first.replica.deployer.undeploy(KEY.model_id, KEY.version, ANONYMOUS)
    last = await first.replica.deployer.deploy(WISH, ANONYMOUS)
    await until(lambda: second.replica.residents.deployment(KEY) == last)
    assert (await second.inference.choose(Selector(model=KEY.model_id)))[0] == last
    await second.replica.deployer.undeploy(KEY.model_id, KEY.version, ANONYMOUS)
    with pytest.raises(NotFound):
        await first.replica.deployer.undeploy(KEY.model_id, KEY.version, ANONYMOUS)
