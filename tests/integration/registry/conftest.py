"""The roles models, registry and lifecycle, served as the platform serves them, and stubs to call them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from synapsenet_api.models.v1.model_service_pb2_grpc import ModelServiceStub
from synapsenet_api.registry.v1.registry_control_service_pb2_grpc import RegistryControlServiceStub
from synapsenet_api.registry.v1.registry_service_pb2_grpc import RegistryServiceStub
from tests.integration.registry.served import Serve, Served
from tests.serving import serving_roles


@pytest.fixture
def serve(tmp_path: Path) -> Serve:
    """Serves the roles on the same data each time, with these sections of the configuration."""

    @asynccontextmanager
    async def serving(**sections: dict[str, Any]) -> AsyncIterator[Served]:
        async with serving_roles(tmp_path / "data", "models", "registry", "lifecycle", **sections) as roles:
            yield Served(
                models=ModelServiceStub(roles.channel),
                registry=RegistryServiceStub(roles.channel),
                control=RegistryControlServiceStub(roles.channel),
                outside=roles.channel,
                data=roles.data,
            )

    return serving


@pytest.fixture
async def served(serve: Serve) -> AsyncIterator[Served]:
    async with serve() as running:
        yield running
