"""The lifecycle coordinator, put together: its contract stands, its behaviour is in the table of what is not yet available."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Any

from synapsenet_api.lifecycle.v1.lifecycle_control_service_pb2_grpc import (
    LifecycleControlServiceServicer,
    add_LifecycleControlServiceServicer_to_server,
)
from synapsenet_api.lifecycle.v1.lifecycle_service_pb2_grpc import (
    LifecycleServiceServicer,
    add_LifecycleServiceServicer_to_server,
)
from synapsenet_servers.bootstrap.role import Platform, Role, Service

# The generated servicers stand in for the coordinator; the guard answers every call from the table before they see it.
_ABSENT_COORDINATOR: Any = LifecycleServiceServicer
_ABSENT_CONTROL: Any = LifecycleControlServiceServicer


async def assemble(_platform: Platform, _stack: AsyncExitStack) -> Role:
    """The role `lifecycle`."""
    coordinator = Service(
        name="synapsenet.lifecycle.v1.LifecycleService",
        servicer=_ABSENT_COORDINATOR(),
        add=add_LifecycleServiceServicer_to_server,
    )
    control = Service(
        name="synapsenet.lifecycle.v1.LifecycleControlService",
        servicer=_ABSENT_CONTROL(),
        add=add_LifecycleControlServiceServicer_to_server,
    )
    return Role(name="lifecycle", services=[coordinator], control=[control])
