"""The roles models, registry and lifecycle, served as the platform serves them, and stubs to call them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from synapsenet_api.lifecycle.v1.lifecycle_service_pb2_grpc import LifecycleServiceStub
from synapsenet_api.models.v1.model_service_pb2_grpc import ModelServiceStub
from synapsenet_api.registry.v1.registry_control_service_pb2_grpc import RegistryControlServiceStub
from synapsenet_api.registry.v1.registry_service_pb2_grpc import RegistryServiceStub
from synapsenet_servers.bootstrap import lifecycle, models, registry
from synapsenet_servers.bootstrap.host import hosting
from synapsenet_servers.bootstrap.platform import open_platform
from synapsenet_servers.config import Config
from synapsenet_servers.not_yet_available import lifecycle as absent
from tests.integration.registry.served import Serve, Served

ROLES = {"models": models.assemble, "registry": registry.assemble, "lifecycle": lifecycle.assemble}


@pytest.fixture
def serve(tmp_path: Path) -> Serve:
    """Serves the roles on the same data each time, with these sections of the configuration."""

    @asynccontextmanager
    async def serving(**sections: dict[str, Any]) -> AsyncIterator[Served]:
        async with AsyncExitStack() as stack:
            config = Config(**sections)  # type: ignore[arg-type]  # pydantic makes sections of mappings
            platform = await stack.enter_async_context(open_platform(config, data=tmp_path / "data"))
            host = await stack.enter_async_context(hosting(platform, ROLES, outer=["127.0.0.1:0"], absent=absent.ROWS))
            outside = await stack.enter_async_context(grpc.aio.insecure_channel(f"127.0.0.1:{host.ports[0]}"))
            yield Served(
                models=ModelServiceStub(outside),
                registry=RegistryServiceStub(outside),
                lifecycle=LifecycleServiceStub(outside),
                control=RegistryControlServiceStub(outside),
                outside=outside,
                data=platform.data,
            )

    return serving


@pytest.fixture
async def served(serve: Serve) -> AsyncIterator[Served]:
    async with serve() as running:
        yield running
