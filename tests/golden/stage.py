"""The stage of a recording: the whole platform, with a clock and ids that are the same every time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import grpc

from synapsenet.ids import SeededIds
from synapsenet.training.options import TrainingOptions
from synapsenet_api.experiments.v1 import experiment_service_pb2 as experiments_pb
from synapsenet_api.experiments.v1.experiment_service_pb2_grpc import ExperimentServiceStub
from synapsenet_api.open_inference import grpc_service_pb2 as open_pb
from synapsenet_api.open_inference.grpc_service_pb2_grpc import GRPCInferenceServiceStub
from synapsenet_servers.bootstrap import inference, training
from synapsenet_servers.bootstrap.host import Assemble, hosting
from synapsenet_servers.bootstrap.platform import open_platform
from synapsenet_servers.bootstrap.roles import ROLES
from synapsenet_servers.config import Config
from synapsenet_servers.not_yet_available.table import TABLE
from tests.golden.clock import StepClock
from tests.golden.processes import ScriptedProcesses

if TYPE_CHECKING:  # the stubs name the asyncio kind for type checkers alone
    from synapsenet_api.experiments.v1.experiment_service_pb2_grpc import ExperimentServiceAsyncStub

SEED = 20_261_123
RELEASE = "0.1.0"
_READY_S = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A running platform; `channel` reaches every service of it, training jobs may log to the experiment."""

    channel: grpc.Channel
    clock: StepClock
    processes: ScriptedProcesses
    experiment_id: str


@asynccontextmanager
async def open_stage(data: Path) -> AsyncIterator[Stage]:
    """The embedded platform behind its Unix socket: real databases, artifacts and ONNX Runtime in `data`.

    Injected are the clock, one seeded source of ids a kind, the release that it calls itself, and the processes of training
    jobs, of which one runs at a time so that a second one waits.
    """
    clock = StepClock()
    processes = ScriptedProcesses(clock)
    roles: dict[str, Assemble] = {
        **ROLES,
        "inference": partial(inference.assemble, release=RELEASE),
        "training": partial(training.assemble, processes=processes),
    }
    config = Config(training=TrainingOptions(concurrent_jobs=1))
    async with (
        open_platform(config, data=data, clock=clock, ids=partial(SeededIds, seed=SEED)) as platform,
        hosting(platform, roles, outer=[], absent=TABLE),
        grpc.aio.insecure_channel(platform.mesh) as inside,
    ):
        processes.connect(inside)
        await _ready(inside)
        with grpc.insecure_channel(platform.mesh) as channel:
            experiment_id = await _experiment(inside)
            yield Stage(channel=channel, clock=clock, processes=processes, experiment_id=experiment_id)


async def _experiment(channel: grpc.aio.Channel) -> str:
    stub: ExperimentServiceAsyncStub = ExperimentServiceStub(channel)
    request = experiments_pb.CreateExperimentRequest(name="recorded")
    return (await stub.CreateExperiment(request, timeout=_READY_S)).experiment.id


async def _ready(channel: grpc.aio.Channel) -> None:
    """Return once the platform has looked for models to load again, which it does in the background."""
    stub = GRPCInferenceServiceStub(channel)
    async with asyncio.timeout(_READY_S):
        while not (await stub.ServerReady(open_pb.ServerReadyRequest(), timeout=_READY_S)).ready:
            await asyncio.sleep(0.005)
