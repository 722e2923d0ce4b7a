"""The role experiments served as the platform serves it, and what the tests of this folder call."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from synapsenet_api.experiments.v1 import experiment_service_pb2 as pb
from synapsenet_api.experiments.v1 import metric_pb2
from synapsenet_api.experiments.v1.analysis_service_pb2_grpc import AnalysisServiceStub
from synapsenet_api.experiments.v1.experiment_service_pb2_grpc import ExperimentServiceStub
from tests.serving import serving_roles


@dataclass(frozen=True, slots=True)
class Served:
    """The stubs, asyncio ones."""

    tracking: Any
    analysis: Any


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[int]:
    """Serve the role on data below `folder`; yields its port."""
    async with serving_roles(folder / "data", "experiments") as roles:
        yield roles.port


@asynccontextmanager
async def calling(port: int) -> AsyncIterator[Served]:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield Served(ExperimentServiceStub(channel), AnalysisServiceStub(channel))


def message(run_id: str, first: int, count: int) -> pb.LogMetricsRequest:
    """`count` points of the loss from step `first`; the value is the step."""
    steps = range(first, first + count)
    return pb.LogMetricsRequest(
        run_id=run_id, points=[metric_pb2.MetricPoints(metric="loss", steps=steps, values=map(float, steps))]
    )


def messages(run_id: str, count: int, *, size: int = 100) -> Iterator[pb.LogMetricsRequest]:
    """`count` messages of `size` points each."""
    return (message(run_id, number * size, size) for number in range(count))


async def _serve_for_ever(folder: Path) -> None:
    async with serving(folder) as port:
        sys.stdout.write(f"{port}\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve_for_ever(Path(sys.argv[1])))
