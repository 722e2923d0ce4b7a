"""Where a started platform is found."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """What people and programs are told once the platform takes calls.

    Attributes:
        grpc: `host:port`.
        http: `host:port`.
        data: the folder in which everything is kept.
        metrics: `host:port` of the page for Prometheus; empty if there is none.
    """

    grpc: str
    http: str
    data: Path
    metrics: str = ""
