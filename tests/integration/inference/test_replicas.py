"""Two replicas of inference on the same records: what is deployed or ended through one, the other loads or lets go."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from synapsenet.adapters.artifacts import open_artifacts
from synapsenet.adapters.onnx_runtime import OnnxRuntime
from synapsenet.adapters.sql.coordination import open_coordination
from synapsenet.adapters.sql.inference import SqlInferenceWork, metadata
from synapsenet.adapters.sql.locks import SqlLocks
from synapsenet.adapters.sql.work import SqlWork, open_work
from synapsenet.adapters.threads import open_threads
from synapsenet.clock import SystemClock
from synapsenet.errors import Aborted, AlreadyExists, NotFound
from synapsenet.ids import SeededIds
from synapsenet.inference.deploying import Deployer
from synapsenet.inference.loading import Loader
from synapsenet.inference.model import Condition, DeploymentState, VersionKey
from synapsenet.inference.options import InferenceOptions
from synapsenet.inference.residents import Residents
from synapsenet.inference.service import Inference, Selector
from synapsenet.inference.wish import DeploymentWish
from synapsenet.platform.locks import Locks
from synapsenet.platform.work import ANONYMOUS, Request
from synapsenet.testing.inference import KEY, MemoryRegistry
from synapsenet.testing.onnx_models import exact_model

WISH = DeploymentWish(model=KEY.model_id, version=KEY.version)
OPTIONS = InferenceOptions(retry_first_s=0.05)
CLOCK = SystemClock()
SOON_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Replica:
    """One replica, as its process holds it."""

    inference: Inference
    deployer: Deployer
    residents: Residents

    def standing(self) -> list[DeploymentState]:
        return [deployment.state for deployment, _ in self.residents]

    @property
    def has_it_loaded(self) -> bool:
        return self.residents.resident(KEY) is not None


class Gate(MemoryRegistry):
    """A registry that lets deployments pass when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.open = asyncio.Event()
        self.open.set()
        self.waiting = asyncio.Event()

    async def deploying(self, key: VersionKey) -> None:
        self.waiting.set()
        await self.open.wait()
        await super().deploying(key)

    async def released(self, key: VersionKey, condition: Condition | None) -> None:
        self.waiting.set()
        await self.open.wait()
        await super().released(key, condition)


@pytest.fixture
def registry() -> Gate:
    registry = Gate()
    registry.add(exact_model())
    return registry


@asynccontextmanager
async def replica(folder: Path, work: SqlWork[SqlInferenceWork], locks: Locks, registry: Gate) -> AsyncIterator[Replica]:
    with open_threads(1, name="test") as threads:
        loader = Loader(
            registry=registry,
            artifacts=open_artifacts(folder, CLOCK),
            runtime=OnnxRuntime(intra_op_threads=1),
            loads=threads,
            runs=threads,
            clock=CLOCK,
            options=OPTIONS,
        )
        residents = Residents(max_models=9, max_bytes=1 << 30)
        deployer = Deployer(
            work=work,
            registry=registry,
            loader=loader,
            residents=residents,
            clock=CLOCK,
            options=OPTIONS,
            locks=locks,
            feed=work.feed,
        )
        await deployer.recall()
        running = [asyncio.create_task(task()) for task in (deployer.keep, deployer.follower.run)]
        inference = Inference(
            work=work, feed=work.feed, registry=registry, deployer=deployer, residents=residents, clock=CLOCK, options=OPTIONS
        )
        yield Replica(inference=inference, deployer=deployer, residents=residents)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await deployer.stop()


@pytest.fixture(name="pair")
async def _pair(tmp_path: Path, registry: Gate) -> AsyncIterator[tuple[Replica, Replica]]:
    async with AsyncExitStack() as stack:
        coordination = await stack.enter_async_context(open_coordination(tmp_path / "coordination.sqlite"))
        work = await stack.enter_async_context(
            open_work(
                tmp_path / "inference.sqlite",
                area="inference",
                metadata=metadata,
                unit=SqlInferenceWork,
                clock=CLOCK,
                event_ids=SeededIds("event", 0),
            )
        )
        locks = SqlLocks(coordination, CLOCK)
        first = await stack.enter_async_context(replica(tmp_path / "1", work, locks, registry))
        second = await stack.enter_async_context(replica(tmp_path / "2", work, locks, registry))
        yield first, second


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(SOON_S):
        while not holds():
            await asyncio.sleep(0.01)


async def test_what_one_replica_deploys_the_other_loads_and_lets_go_when_it_is_ended(pair: tuple[Replica, Replica]) -> None:
    first, second = pair
    await first.deployer.deploy(WISH, ANONYMOUS)
    await until(lambda: second.has_it_loaded)
    assert second.standing() == [DeploymentState.SERVING]
    await second.deployer.undeploy(KEY.model_id, KEY.version, ANONYMOUS)
    await until(lambda: not first.standing())
    assert not first.has_it_loaded


async def test_a_request_that_comes_before_the_news_waits_for_the_model_to_be_loaded_here(
    pair: tuple[Replica, Replica],
) -> None:
    first, second = pair
    await first.deployer.deploy(WISH, ANONYMOUS)
    deployment, _ = await second.inference.choose(Selector(model=KEY.model_id))
    assert deployment.key == KEY


async def test_a_version_is_deployed_once_whichever_replica_is_asked(pair: tuple[Replica, Replica]) -> None:
    first, second = pair
    await first.deployer.deploy(WISH, Request("r", b"d"))
    assert (await second.deployer.deploy(WISH, Request("r", b"d"))).key == KEY
    with pytest.raises(AlreadyExists) as refusal:
        await second.deployer.deploy(WISH, ANONYMOUS)
    assert refusal.value.reason == "ALREADY_DEPLOYED"


async def test_a_repeated_request_gets_the_answer_of_the_replica_that_is_carrying_it_out(
    pair: tuple[Replica, Replica], registry: Gate
) -> None:
    first, second = pair
    registry.open.clear()
    once = asyncio.create_task(first.deployer.deploy(WISH, Request("r", b"d")))
    await registry.waiting.wait()
    again = asyncio.create_task(second.deployer.deploy(WISH, Request("r", b"d")))
    await asyncio.sleep(0.05)
    with pytest.raises(Aborted) as refusal:
        await second.deployer.deploy(WISH, ANONYMOUS)
    registry.open.set()
    assert await again == await once
    assert refusal.value.reason == "DEPLOYMENT_UNDER_WAY"
    await until(lambda: second.has_it_loaded)


async def test_a_model_that_is_being_ended_by_another_replica_is_not_ended_twice(
    pair: tuple[Replica, Replica], registry: Gate
) -> None:
    first, second = pair
    await first.deployer.deploy(WISH, ANONYMOUS)
    await until(lambda: second.has_it_loaded)
    registry.open.clear()
    registry.waiting.clear()
    ending = asyncio.create_task(first.deployer.undeploy(KEY.model_id, KEY.version, ANONYMOUS))
    await registry.waiting.wait()
    with pytest.raises(Aborted):
        await second.deployer.undeploy(KEY.model_id, KEY.version, ANONYMOUS)
    registry.open.set()
    await ending
    await until(lambda: not second.standing())
    with pytest.raises(NotFound):
        await second.deployer.undeploy(KEY.model_id, KEY.version, ANONYMOUS)


async def test_a_model_deployed_anew_elsewhere_is_served_as_it_is_now(pair: tuple[Replica, Replica]) -> None:
    first, second = pair
    for _ in range(3):
        await first.deployer.deploy(WISH, ANONYMOUS)
        await first.deployer.undeploy(KEY.model_id, KEY.version, ANONYMOUS)
    last = await first.deployer.deploy(WISH, ANONYMOUS)
    await until(lambda: second.has_it_loaded and second.residents.deployment(KEY) == last)
    assert (await second.inference.choose(Selector(model=KEY.model_id)))[0] == last
