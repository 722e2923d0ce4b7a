"""A server that asks its callers who they are: real certificates, tokens in a real database, services that always answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc

from synapsenet.adapters.sql.coordination import open_coordination
from synapsenet.adapters.sql.tokens import SqlTokens
from synapsenet.clock import SystemClock
from synapsenet.platform.scopes import parse_scope
from synapsenet.platform.tokens import Token, Tokens, mint
from synapsenet_api.inference.v1 import inference_control_service_pb2 as control
from synapsenet_api.inference.v1 import inference_control_service_pb2_grpc as control_grpc
from synapsenet_api.models.v1 import model_pb2
from synapsenet_api.models.v1 import model_service_pb2 as models
from synapsenet_api.models.v1 import model_service_pb2_grpc as models_grpc
from synapsenet_api.registry.v1 import registry_service_pb2 as registry
from synapsenet_api.registry.v1 import registry_service_pb2_grpc as registry_grpc
from synapsenet_servers.bootstrap.role import Service
from synapsenet_servers.security.acting import actor
from synapsenet_servers.security.bearers import authorization
from synapsenet_servers.security.certificates import make_all
from synapsenet_servers.security.credentials import server_credentials
from synapsenet_servers.security.options import SecurityOptions
from synapsenet_servers.server import Server
from synapsenet_servers.server_options import ServerOptions

MODELS = "synapsenet.models.v1.ModelService"
CONTROL = "synapsenet.inference.v1.InferenceControlService"
REGISTRY = "synapsenet.registry.v1.RegistryService"
PARTS = 3
ENDLESS = "endless"
"""The model whose download never ends."""
BRISK = ServerOptions(drain_s=1.0)
YEAR = timedelta(days=365)
OF_ITS_OWN = [("grpc.use_local_subchannel_pool", 1)]
"""Options of a channel that shares no connection with others."""


class Models(models_grpc.ModelServiceServicer):
    """Answers what people ask most; a model is described by who has it made."""

    async def GetModel(self, request: models.GetModelRequest, context: Any) -> models.GetModelResponse:
        return models.GetModelResponse(model=model_pb2.Model(name=request.model_id, description=context.peer()))

    async def CreateModel(self, request: models.CreateModelRequest, context: Any) -> models.CreateModelResponse:
        return models.CreateModelResponse(model=model_pb2.Model(name=request.name, description=actor()))


class Control(control_grpc.InferenceControlServiceServicer):
    """Answers what only the mesh may ask."""

    async def UnloadModel(self, request: control.UnloadModelRequest, context: Any) -> control.UnloadModelResponse:
        return control.UnloadModelResponse()


class Registry(registry_grpc.RegistryServiceServicer):
    """A stream in each direction."""

    async def DownloadArtifact(
        self, request: registry.DownloadArtifactRequest, context: Any
    ) -> AsyncIterator[registry.DownloadArtifactResponse]:
        for _ in range(PARTS):
            yield registry.DownloadArtifactResponse(data=b"x")
        if request.model_id == ENDLESS:
            await asyncio.get_running_loop().create_future()

    async def UploadArtifact(self, requests: Any, context: Any) -> registry.UploadArtifactResponse:
        async for _ in requests:
            pass
        return registry.UploadArtifactResponse()


@dataclass(frozen=True, slots=True, kw_only=True)
class SecuredServer:
    """Where it is, and what opens it.

    Attributes:
        address: `localhost:port`.
        certificates: the folder; what is replaced there is used.
    """

    address: str
    certificates: Path
    tokens: Tokens

    async def token(self, *scopes: str, expires_in: timedelta | None = None) -> tuple[Token, str]:
        """A token with these scopes, and its text."""
        now = SystemClock().now()
        token, text = mint(
            "test",
            [parse_scope(scope) for scope in scopes],
            now=now,
            expires_at=None if expires_in is None else now + expires_in,
        )
        await self.tokens.add(token)
        return token, text

    @asynccontextmanager
    async def channel(self, shown: str) -> AsyncIterator[grpc.aio.Channel]:
        """A connection of its own that shows the certificate `shown`."""
        pem = [(self.certificates / name).read_bytes() for name in ("ca.pem", f"{shown}.key", f"{shown}.pem")]
        async with grpc.aio.secure_channel(self.address, grpc.ssl_channel_credentials(*pem), options=OF_ITS_OWN) as channel:
            yield channel


def services() -> Sequence[Service]:
    """All three, abstract methods and all: nobody calls those."""
    found: list[tuple[str, type[Any], Any]] = [
        (MODELS, Models, models_grpc.add_ModelServiceServicer_to_server),
        (CONTROL, Control, control_grpc.add_InferenceControlServiceServicer_to_server),
        (REGISTRY, Registry, registry_grpc.add_RegistryServiceServicer_to_server),
    ]
    return [Service(name=name, servicer=kind(), add=add) for name, kind, add in found]


def security(folder: Path, **changed: Any) -> SecurityOptions:
    """The options for the certificates in `folder`."""
    files = {
        "ca_file": "ca.pem",
        "certificate_file": "mesh.pem",
        "key_file": "mesh.key",
        "edge_certificate_file": "edge.pem",
        "edge_key_file": "edge.key",
    }
    named = SecurityOptions(**{name: str(folder / file) for name, file in files.items()}, token_cache_s=0.2)  # type: ignore[arg-type]  # all of these are texts
    return replace(named, **changed)


@asynccontextmanager
async def secured_server(folder: Path, *, options: ServerOptions = BRISK, **changed: Any) -> AsyncIterator[SecuredServer]:
    """The server inside an `async with`, everything of its in `folder`; `changed` are security options."""
    clock = SystemClock()
    certificates = folder / "certificates"
    if not certificates.exists():
        make_all(certificates, hosts=[], life=YEAR, now=clock.now())
    secured = security(certificates, **changed)
    async with open_coordination(folder / "coordination.sqlite") as database:
        tokens = SqlTokens(database)
        server = Server(
            services(),
            ["localhost:0"],
            options=options,
            credentials=server_credentials(secured),
            authorization=authorization(secured, tokens=tokens, clock=clock),
        )
        async with server.serving():
            yield SecuredServer(address=f"localhost:{server.ports[0]}", certificates=certificates, tokens=tokens)
