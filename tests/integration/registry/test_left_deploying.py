"""A deployment that was under way when a former release ended: the new one says at its start that it failed."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from pathlib import Path
from typing import Any

from synapsenet_api.models.v1 import model_service_pb2 as models_pb
from synapsenet_api.models.v1.model_service_pb2_grpc import ModelServiceStub
from synapsenet_api.registry.v1 import registry_service_pb2 as pb
from synapsenet_api.registry.v1 import version_pb2
from synapsenet_api.registry.v1.registry_service_pb2_grpc import RegistryServiceStub
from tests.serving import serving_roles

AREAS = ("models", "registry", "lifecycle")
SOON_S = 20.0


def forget_the_coordinator(data: Path) -> None:
    """Have the data as a release left them that knew no coordinator and was ended while version 1 was being deployed."""
    shutil.rmtree(data / "lifecycle")
    with sqlite3.connect(data / "registry" / "registry.sqlite") as records:
        records.execute("UPDATE versions SET lifecycle_sequence = 0")
        records.execute("UPDATE versions SET state = 'deploying' WHERE number = 1")
    records.close()


async def version(registry: Any, number: int) -> version_pb2.Version:
    found = await registry.GetVersion(pb.GetVersionRequest(model_id="digits", version=number), timeout=5)
    shown: version_pb2.Version = found.version
    return shown


async def test_a_version_that_was_being_deployed_is_registered_again_and_says_why(tmp_path: Path) -> None:
    async with serving_roles(tmp_path / "data", *AREAS) as roles:
        models: Any = ModelServiceStub(roles.channel)
        registry: Any = RegistryServiceStub(roles.channel)
        await models.CreateModel(models_pb.CreateModelRequest(name="digits"))
        for _ in range(2):
            await registry.CreateVersion(pb.CreateVersionRequest(model_id="digits"))
        data = roles.data
    forget_the_coordinator(data)
    async with serving_roles(data, *AREAS) as roles, asyncio.timeout(SOON_S):
        registry = RegistryServiceStub(roles.channel)
        while (await version(registry, 1)).state != version_pb2.VERSION_STATE_REGISTERED:
            await asyncio.sleep(0.05)
        shown = [await version(registry, number) for number in (1, 2)]
        assert shown[0].condition.reason == "OPERATION_LOST"
        assert shown[1].state == version_pb2.VERSION_STATE_CREATED
