"""Inference put together: its deployments in SQLite, its models in ONNX Runtime, the registry over gRPC."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Any

from synapsenet.adapters.artifacts import open_artifacts
from synapsenet.adapters.onnx_runtime import OnnxRuntime
from synapsenet.adapters.sql.inference import SqlInferenceWork, metadata
from synapsenet.adapters.threads import open_threads
from synapsenet.inference.deploying import Deployer
from synapsenet.inference.loading import Loader
from synapsenet.inference.residents import Residents
from synapsenet.inference.service import Inference
from synapsenet_api.inference.v1 import inference_control_service_pb2_grpc as control_grpc
from synapsenet_api.inference.v1 import inference_service_pb2_grpc as service_grpc
from synapsenet_api.inference.v1 import open_inference_rest_service_pb2_grpc as rest_grpc
from synapsenet_api.open_inference import grpc_service_pb2_grpc as open_grpc
from synapsenet_servers.bootstrap.role import Platform, Role, Service, Task
from synapsenet_servers.peers.inference import GrpcRegistry
from synapsenet_servers.release import RELEASE
from synapsenet_servers.servicers.inference import InferenceServicer
from synapsenet_servers.servicers.open_inference import OpenInferenceServicer
from synapsenet_servers.servicers.open_inference_rest import OpenInferenceRestServicer

_AREA = "inference"


async def assemble(platform: Platform, stack: AsyncExitStack, *, release: str = RELEASE) -> Role:
    """The inference role, which calls itself `release`; its models are loaded in the background once it serves."""
    options, clock, folder = platform.config.inference, platform.clock, platform.data / _AREA
    work = await stack.enter_async_context(platform.records(_AREA, metadata=metadata, unit=SqlInferenceWork))
    registry = GrpcRegistry(
        registry=platform.channel("registry"),
        models=platform.channel("models"),
        timeout=options.registry_timeout_s,
        download_timeout=options.fetch_timeout_s,
    )
    loader = Loader(
        registry=registry,
        artifacts=open_artifacts(folder / "artifacts", clock),
        runtime=OnnxRuntime(intra_op_threads=options.intra_op_threads),
        loads=stack.enter_context(open_threads(1, name="model-load")),
        runs=stack.enter_context(open_threads(options.executor_threads, name="model-run")),
        clock=clock,
        options=options,
    )
    residents = Residents(max_models=options.max_loaded_models, max_bytes=options.max_loaded_bytes)
    deployer = Deployer(
        work=work,
        registry=registry,
        loader=loader,
        residents=residents,
        clock=clock,
        options=options,
        locks=platform.locks,
        feed=work.feed,
    )
    await deployer.recall()
    stack.push_async_callback(deployer.stop)
    inference = Inference(
        work=work, feed=work.feed, registry=registry, deployer=deployer, residents=residents, clock=clock, options=options
    )
    return _role(inference, deployer, release)


# Type stubs call a servicer abstract that leaves RPCs out; those answer by the table of what is not yet available.
_OpenInference: Any = OpenInferenceServicer
_OpenInferenceRest: Any = OpenInferenceRestServicer
_Control: Any = control_grpc.InferenceControlServiceServicer


def _role(inference: Inference, deployer: Deployer, release: str) -> Role:
    own = Service(
        name="synapsenet.inference.v1.InferenceService",
        servicer=InferenceServicer(inference, deployer),
        add=service_grpc.add_InferenceServiceServicer_to_server,
    )
    public = Service(
        name="inference.GRPCInferenceService",
        servicer=_OpenInference(inference, version=release),
        add=open_grpc.add_GRPCInferenceServiceServicer_to_server,
    )
    routes = Service(
        name="synapsenet.inference.v1.OpenInferenceRestService",
        servicer=_OpenInferenceRest(inference, version=release),
        add=rest_grpc.add_OpenInferenceRestServiceServicer_to_server,
    )
    control = Service(
        name="synapsenet.inference.v1.InferenceControlService",
        servicer=_Control(),
        add=control_grpc.add_InferenceControlServiceServicer_to_server,
    )
    tasks = [
        Task(name="keeping models loaded", run=deployer.keep),
        Task(name="following other replicas", run=deployer.follower.run),
    ]
    return Role(name=_AREA, services=[own, public, routes], control=[control], tasks=tasks)
