"""A small platform behind a real Envoy."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from google.api.httpbody_pb2 import HttpBody

import synapsenet_api
from synapsenet.clock import SystemClock
from synapsenet.errors import Internal, NotFound, ResourceExhausted, Unavailable
from synapsenet_api.experiments.v1 import analysis_service_pb2 as analysis
from synapsenet_api.experiments.v1 import analysis_service_pb2_grpc, experiment_service_pb2_grpc
from synapsenet_api.experiments.v1 import experiment_service_pb2 as pb
from synapsenet_api.inference.v1 import open_inference_rest_service_pb2 as rest
from synapsenet_api.inference.v1 import open_inference_rest_service_pb2_grpc
from synapsenet_api.registry.v1 import registry_control_service_pb2 as control
from synapsenet_api.registry.v1 import registry_control_service_pb2_grpc
from synapsenet_servers.bootstrap.role import Service
from synapsenet_servers.children.supervisor import Supervisor
from synapsenet_servers.mesh.edge import Edge, EdgePlaces, start_edge
from synapsenet_servers.mesh.options import EdgeOptions
from synapsenet_servers.server import Server
from synapsenet_servers.server_options import ServerOptions

CONTRACTS = Path(synapsenet_api.__file__).with_name("api.binpb")
CLOCK = SystemClock()
CROWD = 60
"""How many calls for `crowded` have to be there before all of them fail at once."""
# mypy: disable-error-code="override"
# The generated signatures are those of both stacks, ours is asyncio's.


class Experiments(experiment_service_pb2_grpc.ExperimentServiceServicer):
    """Answers with what the request says, or as its id says."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.deadlines: list[float | None] = []
        self.abandoned = asyncio.Event()
        self.crowd = asyncio.Event()

    async def GetExperiment(self, request: pb.GetExperimentRequest, context: Any) -> pb.GetExperimentResponse:
        self.calls[request.experiment_id] += 1
        self.deadlines.append(context.time_remaining())
        match request.experiment_id:
            case "unknown":
                raise NotFound("EXPERIMENT_UNKNOWN", "experiment unknown does not exist", metadata={"id": "unknown"})
            case "busy":
                raise ResourceExhausted("SERVER_BUSY", "busy", retry_after=3)
            case "away":
                raise Unavailable("STORE_AWAY", "the store is away")
            case "crowded":
                if self.calls["crowded"] >= CROWD:
                    self.crowd.set()
                await self.crowd.wait()
                raise Unavailable("STORE_AWAY", "the store is away")
            case "broken":
                raise Internal("BROKEN", "broken")
            case "slow":
                try:
                    await asyncio.sleep(60)
                finally:
                    self.abandoned.set()
        answer = pb.GetExperimentResponse()
        answer.experiment.id = request.experiment_id
        return answer

    async def CreateExperiment(self, request: pb.CreateExperimentRequest, context: Any) -> pb.CreateExperimentResponse:
        answer = pb.CreateExperimentResponse()
        answer.experiment.name = request.name
        return answer

    async def FinishRun(self, request: pb.FinishRunRequest, context: Any) -> pb.FinishRunResponse:
        answer = pb.FinishRunResponse()
        answer.run.id = request.run_id
        return answer

    async def StreamMetricHistory(
        self, request: pb.StreamMetricHistoryRequest, context: Any
    ) -> AsyncIterator[pb.StreamMetricHistoryResponse]:
        for _ in range(3):
            yield pb.StreamMetricHistoryResponse()
            if request.run_id == "breaking":
                raise Unavailable("STORE_AWAY", "the store went away")
            await asyncio.sleep(0.1)


class Analysis(analysis_service_pb2_grpc.AnalysisServiceServicer):
    """Remembers what it was asked."""

    def __init__(self) -> None:
        self.compared: list[str] = []
        self.filter = ""

    async def CompareExperiments(self, request: analysis.CompareExperimentsRequest, context: Any) -> Any:
        self.compared = list(request.experiment_ids)
        return analysis.CompareExperimentsResponse()

    async def SearchExperiments(self, request: analysis.SearchExperimentsRequest, context: Any) -> Any:
        self.filter = request.filter
        return analysis.SearchExperimentsResponse()


class OpenInference(open_inference_rest_service_pb2_grpc.OpenInferenceRestServiceServicer):
    """Gives a body back as it came."""

    async def InferModel(self, request: rest.InferModelRequest, context: Any) -> HttpBody:
        return request.body


class Control(registry_control_service_pb2_grpc.RegistryControlServiceServicer):
    """There, but not to be reached from outside."""

    async def CloseModel(self, request: control.CloseModelRequest, context: Any) -> control.CloseModelResponse:
        return control.CloseModelResponse()


@dataclass(frozen=True, slots=True, kw_only=True)
class Behind:
    """The platform behind the edge, and the edge."""

    experiments: Experiments
    analysis: Analysis
    edge: Edge
    supervisor: Supervisor
    upstream: str

    @asynccontextmanager
    async def http(self, **settings: Any) -> AsyncIterator[httpx.AsyncClient]:
        async with httpx.AsyncClient(base_url=f"http://{self.edge.address}", timeout=10, trust_env=False, **settings) as client:
            yield client


@asynccontextmanager
async def platform(folder: Path, **options: Any) -> AsyncIterator[Behind]:
    experiments = Experiments()  # type: ignore[abstract]  # it has what the tests call
    analyses = Analysis()  # type: ignore[abstract]  # it has what the tests call
    upstream = folder / "up.sock"
    services = [
        Service(
            name="synapsenet.experiments.v1.ExperimentService",
            servicer=experiments,
            add=experiment_service_pb2_grpc.add_ExperimentServiceServicer_to_server,
        ),
        Service(
            name="synapsenet.experiments.v1.AnalysisService",
            servicer=analyses,
            add=analysis_service_pb2_grpc.add_AnalysisServiceServicer_to_server,
        ),
        Service(
            name="synapsenet.inference.v1.OpenInferenceRestService",
            servicer=OpenInference(),  # type: ignore[abstract]  # it has what the tests call
            add=open_inference_rest_service_pb2_grpc.add_OpenInferenceRestServiceServicer_to_server,
        ),
        Service(
            name="synapsenet.registry.v1.RegistryControlService",
            servicer=Control(),  # type: ignore[abstract]  # it has what the tests call
            add=registry_control_service_pb2_grpc.add_RegistryControlServiceServicer_to_server,
        ),
    ]
    places = EdgePlaces(contracts=CONTRACTS, upstream=upstream, run=folder, log=folder / "envoy.log")
    async with AsyncExitStack() as stack:
        supervisor = await stack.enter_async_context(Supervisor(clock=CLOCK))
        server = Server(services, [f"unix:{upstream}"], options=ServerOptions(drain_s=1.0))
        await stack.enter_async_context(server.serving())
        edge = await start_edge(EdgeOptions(port=0, **options), places, supervisor=supervisor, clock=CLOCK)
        yield Behind(experiments=experiments, analysis=analyses, edge=edge, supervisor=supervisor, upstream=f"unix:{upstream}")
