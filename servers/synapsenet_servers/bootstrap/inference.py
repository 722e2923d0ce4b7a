"""Inference put together: its deployments in SQL, its models in ONNX Runtime, registry and coordinator over gRPC."""

from __future__ import annotations

import hashlib
from contextlib import AsyncExitStack
from typing import Any

from synapsenet.adapters.artifacts import open_artifacts
from synapsenet.adapters.onnx_runtime import OnnxRuntime
from synapsenet.adapters.sql.inference import SqlInferenceWork, metadata
from synapsenet.adapters.threads import open_threads
from synapsenet.inference.control import Control
from synapsenet.inference.loading import Loader
from synapsenet.inference.replica import Replica, compose
from synapsenet.inference.service import Inference
from synapsenet.inference.steps.evaluating import Evaluate
from synapsenet.platform.participant import Participant
from synapsenet_api.inference.v1 import inference_control_service_pb2_grpc as control_grpc
from synapsenet_api.inference.v1 import inference_service_pb2_grpc as service_grpc
from synapsenet_api.inference.v1 import open_inference_rest_service_pb2_grpc as rest_grpc
from synapsenet_api.open_inference import grpc_service_pb2_grpc as open_grpc
from synapsenet_servers.bootstrap.participation import open_participant
from synapsenet_servers.bootstrap.role import Platform, Role, Service, Task
from synapsenet_servers.peers.evaluation_sets import GrpcEvaluationSets
from synapsenet_servers.peers.inference import GrpcRegistry
from synapsenet_servers.peers.inference_lifecycle import GrpcLifecycle
from synapsenet_servers.release import RELEASE
from synapsenet_servers.servicers.inference import InferenceServicer
from synapsenet_servers.servicers.inference_control import InferenceControlServicer
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
        lifecycle=platform.channel("lifecycle"),
        timeout=options.registry_timeout_s,
        download_timeout=options.fetch_timeout_s,
    )
    lifecycle = GrpcLifecycle(
        platform.channel("lifecycle"),
        timeout=options.registry_timeout_s,
        patience=options.operation_wait_s,
        longest=options.operation_timeout_s,
    )
    runs = stack.enter_context(open_threads(options.executor_threads, name="model-run"))
    loader = Loader(
        registry=registry,
        artifacts=open_artifacts(folder / "artifacts", clock),
        runtime=OnnxRuntime(intra_op_threads=options.intra_op_threads),
        loads=stack.enter_context(open_threads(1, name="model-load")),
        runs=runs,
        clock=clock,
        options=options,
    )
    replica = compose(
        own=_own_name(platform),
        work=work,
        feed=work.feed,
        registry=registry,
        lifecycle=lifecycle,
        membership=platform.membership,
        loader=loader,
        clock=clock,
        options=options,
    )
    await replica.residency.recall()
    stack.push_async_callback(replica.stop)
    sets = GrpcEvaluationSets(platform.channel("features"), limit=options.max_evaluation_bytes, timeout=options.fetch_timeout_s)
    evaluate = Evaluate(registry=registry, sets=sets, loader=loader, runs=runs, clock=clock)
    participant = open_participant(_AREA, platform, stack, work=work, steps={**replica.steps, "evaluate": evaluate})
    inference = Inference(
        work=work,
        feed=work.feed,
        registry=registry,
        follower=replica.follower,
        residency=replica.residency,
        residents=replica.residents,
        clock=clock,
        options=options,
    )
    control = Control(participant=participant, work=work, residents=replica.residents, batching=options.batching)
    return _role(inference, replica, control, participant, release)


def _own_name(platform: Platform) -> str:
    """A name that no other live process has, and this one has again after a restart: so nobody waits for its former self."""
    place = f"{platform.config.mesh.host_name}:{platform.data.absolute()}"
    return f"replica-{hashlib.sha256(place.encode()).hexdigest()[:16]}"


# Type stubs call a servicer abstract that leaves RPCs out; those answer by the table of what is not yet available.
_OpenInference: Any = OpenInferenceServicer
_OpenInferenceRest: Any = OpenInferenceRestServicer


def _role(
    inference: Inference,
    replica: Replica,
    control: Control[SqlInferenceWork],
    participant: Participant[SqlInferenceWork],
    release: str,
) -> Role:
    own = Service(
        name="synapsenet.inference.v1.InferenceService",
        servicer=InferenceServicer(inference, replica.deployer),
        add=service_grpc.add_InferenceServiceServicer_to_server,
    )
    public = Service(
        name="inference.GRPCInferenceService",
        servicer=_OpenInference(inference, replica.repository, version=release),
        add=open_grpc.add_GRPCInferenceServiceServicer_to_server,
    )
    routes = Service(
        name="synapsenet.inference.v1.OpenInferenceRestService",
        servicer=_OpenInferenceRest(inference, replica.repository, version=release),
        add=rest_grpc.add_OpenInferenceRestServiceServicer_to_server,
    )
    controlled = Service(
        name="synapsenet.inference.v1.InferenceControlService",
        servicer=InferenceControlServicer(control),
        add=control_grpc.add_InferenceControlServiceServicer_to_server,
    )
    tasks = [
        Task(name="keeping models loaded", run=replica.residency.keep),
        Task(name="following operations and other replicas", run=replica.follower.run),
        Task(name="being known to other replicas", run=replica.replicas.run),
    ]
    return Role(name=_AREA, services=[own, public, routes], control=[controlled], tasks=tasks, participant=participant)
