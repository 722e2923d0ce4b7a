"""The registry, put together."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack

from synapsenet.adapters.formats import FormatInspector
from synapsenet.adapters.sql.registry import SqlRegistryWork, metadata
from synapsenet.platform.participation import Step
from synapsenet.registry.ports import RegistryWork
from synapsenet.registry.sealing import Seal
from synapsenet.registry.service import Registry
from synapsenet.registry.verification import VerifyArtifact
from synapsenet_api.registry.v1.registry_control_service_pb2_grpc import add_RegistryControlServiceServicer_to_server
from synapsenet_api.registry.v1.registry_service_pb2_grpc import add_RegistryServiceServicer_to_server
from synapsenet_servers.bootstrap.participation import open_participant
from synapsenet_servers.bootstrap.role import Platform, Role, Service
from synapsenet_servers.peers.registry import GrpcLifecycle, GrpcModelDirectory
from synapsenet_servers.servicers.registry import RegistryControl, Versions


async def assemble(platform: Platform, stack: AsyncExitStack) -> Role:
    """The role `registry`, its records in `data/registry`, its artifacts in the platform's store."""
    work = await stack.enter_async_context(platform.records("registry", metadata=metadata, unit=SqlRegistryWork))
    inspector = FormatInspector()
    registry = Registry(
        work=work,
        models=GrpcModelDirectory(platform.channel("models")),
        lifecycle=GrpcLifecycle(platform.channel("lifecycle")),
        artifacts=platform.artifacts,
        inspector=inspector,
        clock=platform.clock,
        options=platform.config.registry,
    )
    verify = VerifyArtifact(work=work, artifacts=platform.artifacts, inspector=inspector)
    steps: Mapping[str, Step[RegistryWork]] = {"seal": Seal(work), "verify_artifact": verify}
    participant = open_participant("registry", platform, stack, work=work, steps=steps)
    versions = Service(
        name="synapsenet.registry.v1.RegistryService",
        servicer=Versions(registry),
        add=add_RegistryServiceServicer_to_server,
    )
    control = Service(
        name="synapsenet.registry.v1.RegistryControlService",
        servicer=RegistryControl(registry),
        add=add_RegistryControlServiceServicer_to_server,
    )
    return Role(name="registry", services=[versions], control=[control], participant=participant)
