"""What a host's Envoy adds to a call between services: unary, one after the other, the same replica with and without it."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import grpc

from synapsenet_api.experiments.v1 import experiment_service_pb2 as pb
from synapsenet_api.experiments.v1.experiment_service_pb2_grpc import ExperimentServiceStub
from tests.integration.mesh.small_mesh import small_mesh
from tests.performance.benchmark import AtMost, Bench, Benchmark, Length
from tests.performance.measures import AsyncCall, quantile_ms_async

REQUEST = pb.GetExperimentRequest(experiment_id="exp-5f0c1a2b3c4d5e6f")
TIMEOUT_S = 5.0


@asynccontextmanager
async def hop(length: Length) -> AsyncIterator[Sequence[Benchmark]]:
    calls = length.of(400, 20)
    with tempfile.TemporaryDirectory(prefix="hop-") as folder:
        async with small_mesh(Path(folder)) as mesh:
            replica = await mesh.replica("one")
            await mesh.until_answering("one")
            through, direct = mesh.channel(), mesh.channel(replica.address)
            yield [
                Benchmark(
                    name="hop",
                    unit="ms",
                    value=quantile_ms_async(asking(through), calls, 0.5),
                    baseline=quantile_ms_async(asking(direct), calls, 0.5),
                    target=AtMost(2.2),
                    alike={
                        "request": (REQUEST.SerializeToString(), REQUEST.SerializeToString()),
                        "replica": (await mesh.ask(), await mesh.ask(replica.address)),
                        "tls": (False, False),
                    },
                )
            ]


def asking(channel: grpc.aio.Channel) -> AsyncCall:
    stub = ExperimentServiceStub(channel)

    async def ask() -> object:
        return await stub.GetExperiment(REQUEST, timeout=TIMEOUT_S)

    return ask


BENCHES: Sequence[Bench] = [hop]
