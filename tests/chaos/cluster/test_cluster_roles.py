"""Whole roles, killed and restarted in turn under load: real processes on etcd and PostgreSQL behind a host's Envoy."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from synapsenet_api.experiments.v1 import experiment_service_pb2 as experiments_pb
from synapsenet_api.experiments.v1.experiment_service_pb2_grpc import ExperimentServiceStub
from synapsenet_api.features.v1 import feature_service_pb2 as features_pb
from synapsenet_api.features.v1.feature_service_pb2_grpc import FeatureServiceStub
from synapsenet_api.models.v1 import model_service_pb2 as models_pb
from synapsenet_api.models.v1.model_service_pb2_grpc import ModelServiceStub
from synapsenet_api.training.v1 import training_service_pb2 as training_pb
from synapsenet_api.training.v1.training_service_pb2_grpc import TrainingServiceStub
from tests.chaos.conftest import Tell
from tests.cluster import REPLICATED, Cluster, small_cluster

CALL_S = 10.0
RETRY_FOR_S = 60.0
RETRY_AFTER_S = 0.1
PAUSE_S = 0.02
OUT_OF_ROTATION_WITHIN_S = 2.0
LEASE_TTL_S = 3.0
HANDOVER_AFTER_S = 3.0

ROLES = ("models", "experiments", "features", "training")

# Each replica of a role in another process than the other's.
PROCESSES = {"mesh": ("mesh",), "a": REPLICATED, "b": REPLICATED, "sole": ("features", "training")}


@pytest.fixture(scope="module", name="cluster")
def _cluster() -> Iterator[Cluster]:
    with small_cluster(PROCESSES, mesh={"lease_ttl_s": LEASE_TTL_S}) as cluster:
        yield cluster


@dataclass(slots=True)
class Seen:
    """What callers saw.

    Attributes:
        done: calls that were answered, by role.
        refused: when calls were answered UNAVAILABLE, by role; each was then made again until it was answered.
        failed: any other failure.
        created: ids of the models whose creation was answered, by their names.
    """

    done: Counter[str] = field(default_factory=Counter)
    refused: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    failed: list[str] = field(default_factory=list)
    created: dict[str, str] = field(default_factory=dict)


@asynccontextmanager
async def load(cluster: Cluster) -> AsyncIterator[Seen]:
    """One caller a role inside an `async with`; a call that is refused is made again until it is answered, as the SDK does."""
    seen, run, numbers = Seen(), f"{time.monotonic_ns()}", itertools.count()
    async with cluster.channel() as channel:
        models = ModelServiceStub(channel)

        async def create_model() -> None:
            name = f"m-{run}-{next(numbers)}"
            answer = await persistently("models", lambda: models.CreateModel(_creation(name), timeout=CALL_S))
            seen.created[name] = answer.model.id

        experiments, features, training = (
            ExperimentServiceStub(channel), FeatureServiceStub(channel), TrainingServiceStub(channel)
        )  # fmt: skip
        listing: dict[str, Callable[[], Any]] = {
            "experiments": lambda: experiments.ListExperiments(experiments_pb.ListExperimentsRequest(), timeout=CALL_S),
            "features": lambda: features.ListFeatureGroups(features_pb.ListFeatureGroupsRequest(), timeout=CALL_S),
            "training": lambda: training.ListJobs(training_pb.ListJobsRequest(), timeout=CALL_S),
        }

        async def persistently(role: str, call: Callable[[], Any]) -> Any:
            deadline = time.monotonic() + RETRY_FOR_S
            while True:
                try:
                    answer = await call()
                except grpc.aio.AioRpcError as error:
                    if error.code() is not grpc.StatusCode.UNAVAILABLE or time.monotonic() > deadline:
                        seen.failed.append(f"{role}: {error.code()} {error.details()}")
                        raise
                    seen.refused[role].append(time.monotonic())
                    await asyncio.sleep(RETRY_AFTER_S)
                    continue
                seen.done[role] += 1
                return answer

        async def go_on(call: Callable[[], Awaitable[object]]) -> None:
            while True:
                await call()
                await asyncio.sleep(PAUSE_S)

        callers = [asyncio.ensure_future(go_on(create_model))]
        callers += [asyncio.ensure_future(go_on(partial(persistently, role, call))) for role, call in listing.items()]
        try:
            yield seen
        finally:
            for caller in callers:
                caller.cancel()
            await asyncio.gather(*callers, return_exceptions=True)


def _creation(name: str) -> models_pb.CreateModelRequest:
    return models_pb.CreateModelRequest(name=name, request_id=name)


async def lost(cluster: Cluster, seen: Seen) -> int:
    """How many creations that were answered are not there under the id that was answered."""
    missing = 0
    async with cluster.channel() as channel:
        stub = ModelServiceStub(channel)
        for name, answered in seen.created.items():
            try:
                found = await stub.GetModel(models_pb.GetModelRequest(model_id=name), timeout=CALL_S)
                missing += found.model.id != answered
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.NOT_FOUND:
                    raise
                missing += 1
    return missing


async def progress(seen: Seen) -> None:
    """Return once every role has answered ten calls from now."""
    before = Counter(seen.done)
    async with asyncio.timeout(RETRY_FOR_S):
        while seen.failed or any(seen.done[role] < before[role] + 10 for role in ROLES):
            assert not seen.failed, seen.failed
            await asyncio.sleep(PAUSE_S)


async def test_the_edge_tells_of_every_service_whether_it_is_served_and_describes_it(cluster: Cluster) -> None:
    async with cluster.channel() as channel:
        listed = await described(channel)
        assert {"synapsenet.models.v1.ModelService", "synapsenet.training.v1.TrainingService"} <= listed
        assert not any(name.endswith("ControlService") for name in listed)
        health = health_pb2_grpc.HealthStub(channel)
        for name in ("", *(name for name in listed if name.startswith("synapsenet."))):
            answer = await health.Check(health_pb2.HealthCheckRequest(service=name), timeout=CALL_S)
            assert answer.status == health_pb2.HealthCheckResponse.SERVING, name


async def described(channel: grpc.aio.Channel) -> set[str]:
    """What reflection lists."""
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    asked = reflection_pb2.ServerReflectionRequest(list_services="")
    async for answer in stub.ServerReflectionInfo(iter([asked]), timeout=CALL_S):
        return {service.name for service in answer.list_services_response.service}
    return set()


async def test_a_rolling_restart_of_every_role_loses_no_call(cluster: Cluster, tell: Tell) -> None:
    """A role with two replicas refuses none; one that is alone refuses until it is back, and the caller goes on."""
    async with load(cluster) as seen:
        await progress(seen)
        for name in ("a", "b"):
            assert await asyncio.to_thread(cluster.processes[name].stop) == 0
            await asyncio.to_thread(cluster.restart, name)
            await progress(seen)
        assert dict(seen.refused) == {}
        assert await asyncio.to_thread(cluster.processes["sole"].stop) == 0
        await asyncio.to_thread(cluster.restart, "sole")
        await progress(seen)
        assert set(seen.refused) <= {"features", "training"}
        following = cluster.launch("mesh-2", ("mesh",))  # takes over as the former ends
        await asyncio.sleep(HANDOVER_AFTER_S)
        assert await asyncio.to_thread(cluster.processes["mesh"].stop) == 0
        await asyncio.to_thread(following.wait_until_serving)
        await progress(seen)
        cluster.processes["mesh"].close()
        cluster.processes["mesh"] = cluster.processes.pop("mesh-2")
    calls = seen.done.total()
    tell(
        f"every role restarted in turn under {calls} calls",
        failed_calls=len(seen.failed),
        lost_writes=await lost(cluster, seen),
    )


async def test_each_process_killed_in_turn_under_load_costs_no_answered_write_and_no_other_role(
    cluster: Cluster, tell: Tell
) -> None:
    async with load(cluster) as seen:
        await progress(seen)
        for name in ("a", "sole", "mesh"):
            seen.refused.clear()
            at = time.monotonic()
            await asyncio.to_thread(cluster.processes[name].kill)
            if name == "a":
                await asyncio.sleep(OUT_OF_ROTATION_WITHIN_S)
                await progress(seen)
                assert all(when - at < OUT_OF_ROTATION_WITHIN_S for refusals in seen.refused.values() for when in refusals)
            await asyncio.to_thread(cluster.restart, name)
            await progress(seen)
            if name == "sole":
                assert set(seen.refused) <= {"features", "training"}
    calls = seen.done.total()
    tell(
        f"every process killed in turn under {calls} calls",
        failed_calls=len(seen.failed),
        lost_writes=await lost(cluster, seen),
    )


async def test_an_etcd_that_is_away_longer_than_every_lease_costs_no_call(cluster: Cluster, tell: Tell) -> None:
    """The endpoints stay as they were; what is served goes on; all are registered again once it is back."""
    async with load(cluster) as seen:
        await progress(seen)
        await asyncio.to_thread(cluster.etcd.kill)
        await asyncio.sleep(2 * LEASE_TTL_S)
        await progress(seen)
        assert dict(seen.refused) == {}
        await asyncio.to_thread(cluster.etcd.start)
        await asyncio.sleep(LEASE_TTL_S)
        await progress(seen)
        # Endpoints are followed again: who ends now is left by callers. (No test comes after this one.)
        assert await asyncio.to_thread(cluster.processes["b"].stop) == 0
        await progress(seen)
        assert dict(seen.refused) == {}
    tell(
        f"etcd away for {2 * LEASE_TTL_S:g} s, twice every lease, under {seen.done.total()} calls",
        failed_calls=len(seen.failed),
        lost_writes=await lost(cluster, seen),
    )
