"""Loading, warming, routing and unloading call by call, as the holder of a model may over the mesh, and nobody else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest

from synapsenet.errors import FailedPrecondition, InvalidArgument, NotFound, SynapseError
from synapsenet.inference.control import Control
from synapsenet.inference.model import DeploymentState, VersionKey
from synapsenet.inference.service import Selector
from synapsenet.testing.inference import KEY, MemoryRegistry
from synapsenet_api.inference.v1 import inference_control_service_pb2 as pb
from synapsenet_api.inference.v1.deployment_pb2 import DETERMINISM_MODE_NATIVE, BatchingPolicy, TrafficShare
from synapsenet_api.inference.v1.inference_control_service_pb2_grpc import (
    InferenceControlServiceStub,
    add_InferenceControlServiceServicer_to_server,
)
from synapsenet_servers.bootstrap.role import Service
from synapsenet_servers.peers.failures import translated
from synapsenet_servers.server import Server
from synapsenet_servers.server_options import ServerOptions
from synapsenet_servers.servicers.inference_control import InferenceControlServicer
from tests.integration.inference.benches import OPTIONS, Bench, benches, until
from tests.integration.inference.test_saga_steps import registry as registry  # noqa: PLC0414 - a fixture

MODEL = KEY.model_id


@dataclass(slots=True, kw_only=True)
class Holder:
    """Whoever holds the model, calling over the wire.

    Attributes:
        fence: epoch and token as one number that a test says.
    """

    stub: Any
    operation: str = "op-by-hand"
    fence: int = 1_000

    def by(self, step: str) -> pb.OperationFence:
        return pb.OperationFence(operation_id=self.operation, step=step, epoch=self.fence >> 40, token=self.fence % (1 << 40))

    async def load(self, version: int = 2, *, step: str = "load", **how: Any) -> Any:
        request = pb.LoadModelRequest(fence=self.by(step), model_id=MODEL, version=version, **how)
        return (await self._asked(self.stub.LoadModel, request)).model

    async def warm(self, version: int = 2, *, step: str = "warm_up") -> Any:
        request = pb.WarmModelRequest(fence=self.by(step), model_id=MODEL, version=version)
        return await self._asked(self.stub.WarmModel, request)

    async def route(self, shares: dict[int, float], *, step: str = "shift_traffic") -> dict[int, float]:
        wire = [TrafficShare(version=version, fraction=share) for version, share in shares.items()]
        request = pb.RouteTrafficRequest(fence=self.by(step), model_id=MODEL, shares=wire)
        answer = await self._asked(self.stub.RouteTraffic, request)
        return {one.version: one.fraction for one in answer.previous_shares}

    async def unload(self, version: int = 2, *, step: str = "unload") -> int:
        request = pb.UnloadModelRequest(fence=self.by(step), model_id=MODEL, version=version)
        return int((await self._asked(self.stub.UnloadModel, request)).drained)

    async def _asked(self, method: Any, request: Any) -> Any:
        try:
            return await method(request, timeout=20)
        except grpc.aio.AioRpcError as error:
            raise translated(error, "inference") from error


@pytest.fixture
async def bench(tmp_path: Path, registry: MemoryRegistry) -> AsyncIterator[Bench]:
    async with benches(tmp_path, registry) as (only,):
        yield only


@pytest.fixture
async def holder(bench: Bench) -> AsyncIterator[Holder]:
    control = Control(
        participant=bench.participant, work=bench.work, residents=bench.replica.residents, batching=OPTIONS.batching
    )
    service = Service(
        name="synapsenet.inference.v1.InferenceControlService",
        servicer=InferenceControlServicer(control),
        add=add_InferenceControlServiceServicer_to_server,
    )
    server = Server([service], ["127.0.0.1:0"], options=ServerOptions(drain_s=1.0))
    async with server.serving(), grpc.aio.insecure_channel(f"127.0.0.1:{server.ports[0]}") as channel:
        yield Holder(stub=InferenceControlServiceStub(channel))


async def serving(bench: Bench) -> int:
    """The version that answers who names none."""
    chosen, _ = await bench.inference.choose(Selector(model=MODEL))
    assert chosen.state is DeploymentState.SERVING
    return chosen.key.version


async def test_a_version_is_loaded_warmed_sent_traffic_and_unloaded_call_by_call(bench: Bench, holder: Holder) -> None:
    await bench.deploy(1)
    loaded = await holder.load(pinned=True, batching=BatchingPolicy(max_batch_size=3))
    assert (loaded.version, loaded.pinned, loaded.batching.max_batch_size) == (2, True, 3)
    assert loaded.inputs
    assert loaded.resident_bytes > 0
    assert await serving(bench) == 1
    assert (await holder.warm()).model.version == 2
    assert await holder.route({1: 0.25, 2: 0.75}) == {1: 1.0}
    assert dict(bench.shares()) == {1: 0.25, 2: 0.75}
    holder.operation = "op-next"
    assert await holder.route({1: 1.0}) == {1: 0.25, 2: 0.75}
    assert await holder.unload() == 0
    assert bench.state(VersionKey(MODEL, 2)) is None
    assert await serving(bench) == 1


async def test_a_repeated_call_gives_its_first_answer_and_changes_nothing(bench: Bench, holder: Holder) -> None:
    await bench.deploy(1)
    for _ in range(2):
        assert (await holder.load()).version == 2
        await holder.warm()
    assert [await holder.route({2: 1.0}) for _ in range(3)] == [{1: 1.0}] * 3
    assert await Holder(stub=holder.stub, operation="op-next").route({1: 1.0}) == {2: 1.0}
    assert await holder.route({2: 1.0}) == {1: 1.0}
    assert dict(bench.shares()) == {1: 1.0}


async def test_who_holds_the_model_no_more_can_do_nothing(bench: Bench, holder: Holder) -> None:
    await bench.deploy(1)
    await holder.load()
    zombie = Holder(stub=holder.stub, operation="op-of-before", fence=holder.fence - 1)
    for refused in (zombie.load(3), zombie.warm(), zombie.route({2: 1.0}), zombie.unload(1)):
        with pytest.raises(FailedPrecondition) as refusal:
            await refused
        assert refusal.value.reason == "FENCED"
    assert bench.state(VersionKey(MODEL, 3)) is None
    assert dict(bench.shares()) == {1: 1.0}
    assert await serving(bench) == 1


async def test_what_was_done_call_by_call_is_undone_so(bench: Bench, holder: Holder) -> None:
    await bench.deploy(1)
    await holder.load()
    await holder.warm()
    before = await holder.route({2: 1.0})
    assert await serving(bench) == 2
    assert await holder.route(before, step="shift_traffic:compensate") == {}
    assert await serving(bench) == 1
    await holder.unload(step="load:compensate")
    assert bench.state(VersionKey(MODEL, 2)) is None
    assert dict(bench.shares()) == {1: 1.0}
    with pytest.raises(FailedPrecondition) as refusal:
        await holder.load()
    assert refusal.value.reason == "STEP_COMPENSATED"


async def test_an_unloading_that_is_undone_has_the_version_in_memory_as_before(bench: Bench, holder: Holder) -> None:
    await bench.deploy(1)
    await holder.unload(1)
    assert bench.state() is None
    assert (await holder.load(1, step="unload:compensate")).version == 1
    await until(lambda: bench.state() is DeploymentState.SERVING)
    assert await serving(bench) == 1


async def test_the_first_version_of_a_model_is_sent_traffic_and_taken_back(bench: Bench, holder: Holder) -> None:
    await holder.load(1)
    assert await holder.route({1: 1.0}) == {}
    assert await serving(bench) == 1
    await holder.route({}, step="shift_traffic:compensate")
    await holder.unload(1, step="load:compensate")
    assert bench.state() is None


@pytest.mark.parametrize(
    ("call", "kind", "reason"),
    [
        (lambda by: by.load(step="shift_traffic"), InvalidArgument, "STEP_MISMATCH"),
        (lambda by: by.warm(step="warm_up:compensate"), InvalidArgument, "STEP_MISMATCH"),
        (lambda by: by.route({1: 1.0}, step="load"), InvalidArgument, "STEP_MISMATCH"),
        (lambda by: by.unload(step="retire_previous"), InvalidArgument, "STEP_MISMATCH"),
        (lambda by: by.route({}), InvalidArgument, "TRAFFIC_INVALID"),
        (lambda by: by.route({1: 0.5}), InvalidArgument, "TRAFFIC_INVALID"),
        (lambda by: by.route({1: 0.5, 2: 0.5}), FailedPrecondition, "TRAFFIC_TO_NOWHERE"),
        (lambda by: by.warm(2), FailedPrecondition, "DEPLOYMENT_GONE"),
        (lambda by: by.load(0), InvalidArgument, "VERSION_INVALID"),
        (lambda by: by.load(99), NotFound, "VERSION_UNKNOWN"),
        (lambda by: by.load(determinism=DETERMINISM_MODE_NATIVE), SynapseError, "NOT_YET_AVAILABLE"),
    ],
)
async def test_what_makes_no_sense_is_refused_and_the_model_serves_on(
    bench: Bench, holder: Holder, call: Any, kind: type[SynapseError], reason: str
) -> None:
    await bench.deploy(1)
    with pytest.raises(kind) as refusal:
        await call(holder)
    assert refusal.value.reason == reason
    assert await serving(bench) == 1
    assert dict(bench.shares()) == {1: 1.0}
