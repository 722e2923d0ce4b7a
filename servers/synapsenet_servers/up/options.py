"""What `synapsenet up` is told, and what it starts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class UpOptions:
    """What `synapsenet up` is told.

    Attributes:
        port: Envoy, on loopback; 0 takes a free one.
        http_port: Envoy too: both ports answer gRPC and HTTP/JSON; 0 takes a free one.
        data: where everything is kept.
    """

    port: int = 7400
    http_port: int = 7480
    data: Path = Path(".synapsenet/up")


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleProcess:
    """One process of the platform.

    Attributes:
        name: unique; what people see.
        role: what `synapsenet serve` hosts in it.
    """

    name: str
    role: str


SERVICES: Sequence[RoleProcess] = (
    *(
        RoleProcess(name=role, role=role)
        for role in ("features", "monitoring", "models", "registry", "lifecycle", "experiments", "training")
    ),
    RoleProcess(name="inference-1", role="inference"),
    RoleProcess(name="inference-2", role="inference"),
)
"""The areas' processes; none waits for another, because each finds the others through the mesh when it calls them."""

MESH = RoleProcess(name="mesh", role="mesh")
