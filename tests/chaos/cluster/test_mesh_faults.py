"""What callers see when instances, Envoy or its files fail: over a real Envoy and replicas that are processes of their own."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import pytest
import pytest_asyncio

from synapsenet_api.experiments.v1 import experiment_service_pb2 as pb
from synapsenet_api.experiments.v1.experiment_service_pb2_grpc import ExperimentServiceStub
from synapsenet_servers.mesh.channels import open_channel
from tests.chaos.conftest import Tell
from tests.integration.mesh.small_mesh import ROLE, Replica, SmallMesh, small_mesh

OUT_OF_ROTATION_WITHIN_S = 2.0
CALLERS = 4
PAUSE_S = 0.01


@dataclass(slots=True)
class Load:
    """What callers that never pause for long have seen.

    Attributes:
        answers: who answered how often.
        failures: when, by the monotonic clock, and how.
    """

    answers: Counter[str] = field(default_factory=Counter)
    failures: list[tuple[float, grpc.StatusCode]] = field(default_factory=list)
    slowest_s: float = 0.0


@asynccontextmanager
async def load(mesh: SmallMesh) -> AsyncIterator[Load]:
    """Callers that do not try again, inside an `async with`."""
    seen = Load()

    async def call() -> None:
        while True:
            begun = time.monotonic()
            try:
                seen.answers[await mesh.ask()] += 1
            except grpc.aio.AioRpcError as error:
                seen.failures.append((time.monotonic(), error.code()))
            seen.slowest_s = max(seen.slowest_s, time.monotonic() - begun)
            await asyncio.sleep(PAUSE_S)

    callers = [asyncio.ensure_future(call()) for _ in range(CALLERS)]
    try:
        yield seen
    finally:
        for caller in callers:
            caller.cancel()
        await asyncio.gather(*callers, return_exceptions=True)


@pytest_asyncio.fixture(scope="module", loop_scope="module", name="mesh")
async def _mesh(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SmallMesh]:
    async with small_mesh(tmp_path_factory.mktemp("mesh")) as mesh:
        yield mesh


pytestmark = pytest.mark.asyncio(loop_scope="module")


@asynccontextmanager
async def replicas(mesh: SmallMesh, **seconds: float) -> AsyncIterator[list[Replica]]:
    """Replicas of these names, each as slow as it says, in use inside an `async with`."""
    started = await asyncio.gather(*(mesh.replica(name, seconds=slow) for name, slow in seconds.items()))
    try:
        await mesh.until_answering(*seconds)
        yield started
    finally:
        for replica in started:
            await replica.end()


async def test_a_killed_instance_is_out_of_rotation_within_two_seconds(tmp_path: Path, tell: Tell) -> None:
    """Without Envoy's retries and ejections, so that calls show it; the registry still has it."""
    async with (
        small_mesh(tmp_path, retries=0, eject_after=10_000) as mesh,
        replicas(mesh, a=0, b=0) as (killed, _),
        load(mesh) as seen,
    ):
        killed.signal(signal.SIGKILL)
        at = time.monotonic()
        await asyncio.sleep(OUT_OF_ROTATION_WITHIN_S + 0.5)
    assert seen.failures
    assert {code for _, code in seen.failures} == {grpc.StatusCode.UNAVAILABLE}
    last = max(when for when, _ in seen.failures) - at
    late = sum(when - at >= OUT_OF_ROTATION_WITHIN_S for when, _ in seen.failures)
    tell(f"an instance killed, without retries: out of rotation after {last:.1f} s", calls_to_it_after_2_s=late)


async def test_callers_notice_no_more_of_a_killed_instance_than_the_calls_that_it_had_begun(
    mesh: SmallMesh, tell: Tell
) -> None:
    async with replicas(mesh, a=0, b=0) as (killed, _), load(mesh) as seen:
        killed.signal(signal.SIGKILL)
        seen.answers.clear()
        await asyncio.sleep(1.5)
    assert seen.answers["b"] > 50
    begun = min(len(seen.failures), CALLERS)  # a call that was being carried out may have been: its caller decides
    tell(
        f"an instance killed under {seen.answers.total()} calls, {begun} begun", further_failed_calls=len(seen.failures) - begun
    )


async def test_an_instance_that_leaves_the_registry_is_left_by_callers_without_a_failure(mesh: SmallMesh, tell: Tell) -> None:
    async with replicas(mesh, a=0, b=0) as (leaving, _), load(mesh) as seen:
        await leaving.registered.aclose()
        await asyncio.sleep(0.5)
        seen.answers.clear()
        leaving.signal(signal.SIGTERM)
        await asyncio.to_thread(leaving.process.wait, 10)
        await asyncio.sleep(0.2)
    assert set(seen.answers) == {"b"}
    tell("an instance that deregistered, then ended", failed_calls=len(seen.failures))


async def test_a_stopped_instance_is_ejected_and_comes_back(mesh: SmallMesh, tell: Tell) -> None:
    async with replicas(mesh, a=0, b=0) as (stopped, _):
        stopped.signal(signal.SIGSTOP)
        await asyncio.sleep(3.0)
        async with load(mesh) as seen:
            await asyncio.sleep(0.5)
        assert (set(seen.answers), seen.failures) == ({"b"}, [])
        stopped.signal(signal.SIGCONT)
        await mesh.until_answering("a", "b")
    tell("an instance stopped and continued: ejected, and back", failed_calls=len(seen.failures))


async def test_a_slow_instance_gets_few_calls(mesh: SmallMesh, tell: Tell) -> None:
    async with replicas(mesh, quick=0, slow=0.3), load(mesh) as seen:
        await asyncio.sleep(2.0)
    assert seen.answers["slow"] < 0.3 * seen.answers["quick"]
    share = seen.answers["slow"] / seen.answers.total()
    tell(f"an instance 0.3 s slow gets {share:.0%} of the calls", failed_calls=len(seen.failures))


async def test_a_damaged_endpoint_file_stops_nothing_and_is_written_anew(mesh: SmallMesh, tell: Tell) -> None:
    """By a rename, which Envoy reads at once, as an operator's editor makes it."""
    file = mesh.endpoints / f"{ROLE}.json"
    async with replicas(mesh, a=0):
        whole = file.read_bytes()
        async with load(mesh) as seen:
            for content in (b"", b'{"resources": [{"@type": "type.goo', b"\x00\xff\x00", b'{"resources": []}'):
                draft = file.with_name("operator's")
                draft.write_bytes(content)
                draft.rename(file)
                async with asyncio.timeout(5):
                    while file.read_bytes() != whole:
                        await asyncio.sleep(0.02)
                await asyncio.sleep(0.1)
        assert (set(seen.answers), seen.failures) == ({"a"}, [])
        newcomer = await mesh.replica("b")
        try:
            await mesh.until_answering("a", "b")
        finally:
            await newcomer.end()
    tell("endpoint files truncated and filled with garbage 4 times: written anew", failed_calls=len(seen.failures))


async def test_a_service_whose_envoy_is_killed_gets_its_answer_from_the_next_one(mesh: SmallMesh, tell: Tell) -> None:
    """The channel that areas call each other through waits for Envoy, and tries again what was not carried out."""
    request = pb.GetExperimentRequest(experiment_id="e")
    async with replicas(mesh, a=0), open_channel(f"unix:{mesh.socket}", patient=True) as channel:
        stub = ExperimentServiceStub(channel)
        for damaged in (False, False, True):
            if damaged:  # and starts over a file that is damaged, until that is written anew
                (mesh.endpoints / f"{ROLE}.json").write_bytes(b"{")
            envoy = mesh.envoy
            assert envoy is not None
            os.kill(envoy, signal.SIGKILL)
            assert (await stub.GetExperiment(request, timeout=10)).experiment.name == "a"
            async with asyncio.timeout(10):
                while mesh.envoy in (envoy, None):
                    await asyncio.sleep(0.02)
    tell("Envoy killed 3 times, once over a damaged endpoint file", failed_calls_between_services=0)
