"""What operations make of a replica: forward, undone at any step, repeated, and after answers that were lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from synapsenet.errors import FailedPrecondition, SynapseError, Unavailable
from synapsenet.inference.model import DeploymentState, ElementType, VersionKey
from synapsenet.inference.service import Selector
from synapsenet.inference.tensors import Tensor
from synapsenet.lifecycle.model import OperationState
from synapsenet.lifecycle.wishes import DeployWish
from synapsenet.platform.participation import StepCall
from synapsenet.platform.records import encode
from synapsenet.testing.inference import KEY, MemoryRegistry
from synapsenet.testing.onnx_models import exact_model, exact_weights, gathering_model
from tests.integration.inference.benches import Bench, benches

WEIGHTS, BIAS = exact_weights()


@pytest.fixture
def registry() -> MemoryRegistry:
    registry = MemoryRegistry()
    for version in (1, 2, 3):
        registry.add(exact_model(), VersionKey(KEY.model_id, version))
    return registry


@pytest.fixture
async def bench(tmp_path: Path, registry: MemoryRegistry) -> AsyncIterator[Bench]:
    async with benches(tmp_path, registry) as [bench]:
        yield bench


def call(step: str, *, operation: str = "op-1", saga: str = "deploy", version: int = 1, **given: Any) -> StepCall:
    return StepCall(
        operation_id=operation,
        step=step,
        saga=saga,
        saga_version=1,
        model_id=KEY.model_id,
        version=version,
        input=given,
    )


class Hand:
    """Asks the participant for steps as a coordinator would, one operation after the other."""

    def __init__(self, bench: Bench, *, fence: int = 1_000) -> None:
        self._bench = bench
        self.fence = fence

    async def prepared(self, step: StepCall) -> Any:
        return await self._bench.participant.prepare(step, fence=self.fence)

    async def execute(self, step: StepCall) -> Any:
        return (await self._bench.participant.execute(step, fence=self.fence)).result

    async def compensate(self, step: StepCall, prepared: Any) -> None:
        await self._bench.participant.compensate(step, prepared, fence=self.fence)

    async def forward(self, *names: str, **how: Any) -> dict[str, Any]:
        """Prepare and execute the steps; what was prepared, by step."""
        needed = {}
        for name in names:
            needed[name] = await self.prepared(call(name, **how))
            await self.execute(call(name, **how))
        return needed


FORWARD = ("reserve", "fetch", "load", "warm_up", "shift_traffic", "retire_previous")


async def left(bench: Bench) -> tuple[int, dict[int, float]]:
    """Recorded deployments, and the shares by which requests are spread here."""
    recorded = await bench.work.read(lambda tx: tx.deployments.all())
    return len(recorded), dict(bench.shares())


@pytest.mark.parametrize("done", range(1, len(FORWARD) + 1))
async def test_whatever_was_done_of_a_deployment_is_undone_whole_and_the_version_of_before_serves(
    bench: Bench, done: int
) -> None:
    await bench.deploy(1)
    hand = Hand(bench)
    before = await left(bench)
    needed = await hand.forward(*FORWARD[:done], version=2)
    for name in reversed(FORWARD[:done]):
        await hand.compensate(call(name, version=2), needed[name])
        chosen, _ = await bench.inference.choose(Selector(model=KEY.model_id))  # there is no moment when none serves
        assert chosen.state is DeploymentState.SERVING
    assert await left(bench) == before == (1, {1: 1.0})
    assert bench.state(VersionKey(KEY.model_id, 2)) is None
    assert bench.state() is DeploymentState.SERVING
    await hand.forward(*FORWARD, version=2, operation="op-2")
    assert await left(bench) == (1, {2: 1.0})


@pytest.mark.parametrize("step", FORWARD)
async def test_a_step_that_never_ran_is_undone_by_doing_nothing_and_cannot_happen_any_more(bench: Bench, step: str) -> None:
    hand = Hand(bench)
    await hand.compensate(call(step), {})
    assert await left(bench) == (0, {})
    with pytest.raises(FailedPrecondition) as refusal:
        await hand.execute(call(step))
    assert refusal.value.reason == "STEP_COMPENSATED"


async def test_steps_are_repeated_without_another_effect(bench: Bench) -> None:
    hand = Hand(bench)
    for name in FORWARD:
        first = await hand.execute(call(name))
        assert await hand.execute(call(name)) == first
    assert await bench.events() == ["ModelDeployed"]
    routes = await bench.work.read(lambda tx: tx.routes.find(KEY.model_id))
    assert routes is not None
    assert (routes.generation, routes.shares) == (1, {1: 1.0})


@pytest.mark.parametrize("step", FORWARD)
async def test_an_operation_whose_answer_was_lost_succeeds_all_the_same(bench: Bench, step: str) -> None:
    bench.asked.lost.add(step)
    assert (await bench.deploy(1)).state is OperationState.SUCCEEDED
    assert await bench.events() == ["ModelDeployed"]
    assert await left(bench) == (1, {1: 1.0})


async def test_a_former_holder_of_the_model_changes_nothing(bench: Bench) -> None:
    newer, older = Hand(bench, fence=9), Hand(bench, fence=8)
    await newer.forward("reserve")
    for name in ("reserve", "fetch", "load"):
        with pytest.raises(FailedPrecondition) as refusal:
            await older.execute(call(name))
        assert refusal.value.reason == "FENCED"
    with pytest.raises(FailedPrecondition):
        await older.compensate(call("reserve"), {})
    assert (await left(bench))[0] == 1


async def test_what_an_operation_left_in_memory_is_loaded_again_after_a_restart_and_can_enter_traffic(
    tmp_path: Path, registry: MemoryRegistry
) -> None:
    async with benches(tmp_path, registry) as [bench]:
        needed = await Hand(bench).forward("reserve", "fetch", "load", "warm_up")
        assert bench.state() is DeploymentState.LOADING
        with pytest.raises(Unavailable):
            await bench.inference.choose(Selector(model=KEY.model_id))
    async with benches(tmp_path, registry) as [bench]:
        hand = Hand(bench)
        await hand.forward("shift_traffic", "retire_previous")
        chosen, _ = await bench.inference.choose(Selector(model=KEY.model_id))
        assert chosen.key == KEY
    async with benches(tmp_path, registry) as [bench]:
        hand = Hand(bench)
        await hand.compensate(call("shift_traffic"), {"shares": {}, "enters": True})
        for name in ("warm_up", "load", "fetch", "reserve"):
            await hand.compensate(call(name), needed[name])
        assert await left(bench) == (0, {})
    assert registry.downloads == 1


async def test_a_version_that_breaks_its_promise_is_never_sent_a_request(bench: Bench, registry: MemoryRegistry) -> None:
    await bench.deploy(1)
    registry.add(gathering_model(), VersionKey(KEY.model_id, 2))
    loaded = bench.replica.memory

    async def broken(resident: object) -> None:
        raise FailedPrecondition("PROMISE_BROKEN", "it gives something else")

    loaded._loader.probe = broken  # type: ignore[method-assign]  # no exporter makes such a model
    ended = await bench.deploy(2)
    assert (ended.state, ended.failure and ended.failure.reason) == (OperationState.COMPENSATED, "PROMISE_BROKEN")
    assert await left(bench) == (1, {1: 1.0})
    assert "DeploymentFailed" in await bench.events()


async def test_shares_are_kept_to_by_the_requests_that_name_no_version(bench: Bench) -> None:
    await bench.deploy(1)
    await bench.deploy(2, DeployWish(traffic={1: 0.75, 2: 0.25}))
    assert bench.shares() == {1: 0.75, 2: 0.25}
    turns = [(await bench.inference.choose(Selector(model=KEY.model_id)))[0].key.version for _ in range(400)]
    assert (turns.count(1), turns.count(2)) == (300, 100)
    assert all(2 in turns[place : place + 4] for place in range(396))
    await bench.promote(2, {1: 0.1, 2: 0.9})
    assert bench.shares() == {1: 0.1, 2: 0.9}
    assert ((await bench.status(1)).traffic, (await bench.status(2)).traffic) == (0.1, 0.9)
    await bench.undeploy(2)
    assert bench.shares() == {1: 1.0}
    assert (await bench.status(1)).traffic == 1.0


async def test_versions_that_are_kept_serve_by_their_number_and_take_over_when_the_others_go(bench: Bench) -> None:
    await bench.deploy(1)
    await bench.deploy(2, DeployWish(keep_previous=True))
    assert bench.shares() == {2: 1.0}
    assert (await bench.inference.choose(Selector(model=KEY.model_id, version=1)))[0].key.version == 1
    assert (await bench.status(1)).state == "serving"
    await bench.undeploy(2)
    assert bench.shares() == {1: 1.0}
    assert (await bench.inference.choose(Selector(model=KEY.model_id)))[0].key.version == 1


async def test_an_undeployment_that_is_undone_serves_as_before(bench: Bench) -> None:
    await bench.deploy(1)
    hand = Hand(bench)
    needed = await hand.forward("shift_traffic", "unload", saga="undeploy", operation="op-2")
    assert await left(bench) == (0, {})
    for name in ("unload", "shift_traffic"):
        await hand.compensate(call(name, saga="undeploy", operation="op-2"), needed[name])
    assert await left(bench) == (1, {1: 1.0})
    assert (await bench.inference.choose(Selector(model=KEY.model_id)))[0].key == KEY
    assert await bench.events() == ["ModelDeployed", "ModelUndeployed", "DeploymentRestored"]


async def test_a_version_that_serves_by_the_book_and_is_nowhere_can_be_undeployed(bench: Bench) -> None:
    for version in (1, 2):
        await bench.deploy(version, DeployWish(keep_previous=True))
    await bench.work.run(lambda tx: tx.deployments.remove(VersionKey(KEY.model_id, 2)))  # as by a backup of before it
    assert (await bench.undeploy(2)).state is OperationState.SUCCEEDED
    assert (await bench.status(2)).state == "registered"
    routes = await bench.work.read(lambda tx: tx.routes.find(KEY.model_id))
    assert routes is not None
    assert routes.shares == {1: 1.0}


async def test_a_version_that_cannot_be_loaded_again_does_not_hold_up_what_is_undone_beside_it(
    bench: Bench, registry: MemoryRegistry
) -> None:
    await bench.deploy(1)
    hand = Hand(bench)
    needed = await hand.forward(*FORWARD[:-1], version=2)
    failed = await bench.work.read(lambda tx: tx.deployments.find(KEY))
    assert failed is not None
    before = {"deployments": [encode(replace(failed, state=DeploymentState.FAILED)).decode()]}
    await bench.work.run(lambda tx: tx.deployments.update(replace(failed, state=DeploymentState.FAILED)))
    registry.reachable = False
    await hand.compensate(call("retire_previous", version=2), before)
    for name in reversed(FORWARD[:-1]):
        await hand.compensate(call(name, version=2), needed[name])
    assert await bench.work.read(lambda tx: [one.key.version for one in tx.deployments.all()]) == [1]


async def test_requests_are_answered_all_through_a_change_of_versions(bench: Bench) -> None:
    await bench.deploy(1)
    stop = asyncio.Event()
    answered = []

    async def ask() -> None:
        pixels = Tensor(name="pixels", element_type=ElementType.FLOAT32, shape=(1, 8), data=bytes(32))
        while not stop.is_set():
            prediction = await bench.inference.predict(Selector(model=KEY.model_id), [pixels])
            answered.append(prediction.deployment.key.version)
            await asyncio.sleep(0)

    asking = [asyncio.create_task(ask()) for _ in range(4)]
    for version in (2, 1, 3):
        await bench.deploy(version)
    stop.set()
    await asyncio.gather(*asking)
    assert set(answered) == {1, 2, 3}


async def test_a_version_is_measured_on_a_named_set_without_serving(bench: Bench) -> None:
    rng = np.random.default_rng(7)
    pixels = rng.integers(0, 9, (2_500, 8)).astype(np.float32)
    truth = (pixels @ WEIGHTS + BIAS).argmax(axis=1)
    wrong = truth.copy()
    wrong[:250] = (wrong[:250] + 1) % 3
    bench.sets.columns["ts-1"] = {
        "id": np.arange(2_500),
        "digits:pixels": pixels,
        "digits:label": wrong.astype(np.int64),
    }
    hand = Hand(bench)
    named: dict[str, Any] = {"evaluation_set_id": "ts-1", "label": "digits:label"}
    result = await hand.execute(call("evaluate", saga="validate", **named))
    assert result == {"metrics": {"accuracy": 0.9}, "examples": 2_500}
    assert await left(bench) == (0, {})
    assert await hand.execute(call("evaluate", saga="validate", operation="op-2")) == {}


@pytest.mark.parametrize(
    ("named", "reason"),
    [
        ({"evaluation_set_id": "ts-9", "label": "x"}, "TRAINING_SET_UNKNOWN"),
        ({"evaluation_set_id": "ts-1"}, "LABEL_MISSING"),
        ({"evaluation_set_id": "ts-1", "label": "nothing"}, "EVALUATION_SET_UNFIT"),
        ({"evaluation_set_id": "ts-1", "label": "digits:label"}, "EVALUATION_SET_UNFIT"),
    ],
)
async def test_a_set_that_cannot_be_evaluated_on_says_why(bench: Bench, named: dict[str, Any], reason: str) -> None:
    bench.sets.columns["ts-1"] = {"digits:pixel": np.zeros((3, 7)), "digits:label": np.zeros(3, np.int64)}
    with pytest.raises(SynapseError) as refusal:
        await Hand(bench).execute(call("evaluate", saga="validate", **named))
    assert refusal.value.reason == reason
