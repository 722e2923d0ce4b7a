"""Models, put together."""

from __future__ import annotations

from contextlib import AsyncExitStack

from synapsenet.adapters.sql.models import SqlModelsWork, metadata
from synapsenet.models.model import ID_KIND
from synapsenet.models.service import ModelCatalogue
from synapsenet_api.models.v1.model_service_pb2_grpc import add_ModelServiceServicer_to_server
from synapsenet_servers.bootstrap.role import Platform, Role, Service
from synapsenet_servers.peers.models import GrpcVersionRegistry
from synapsenet_servers.servicers.models import Models


async def assemble(platform: Platform, stack: AsyncExitStack) -> Role:
    """The role `models`, its records in `data/models`."""
    work = await stack.enter_async_context(platform.records("models", metadata=metadata, unit=SqlModelsWork))
    catalogue = ModelCatalogue(
        work=work,
        registry=GrpcVersionRegistry(platform.channel("registry")),
        clock=platform.clock,
        ids=platform.ids(ID_KIND),
        options=platform.config.models,
    )
    service = Service(
        name="synapsenet.models.v1.ModelService", servicer=Models(catalogue), add=add_ModelServiceServicer_to_server
    )
    return Role(name="models", services=[service])
