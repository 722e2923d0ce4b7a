"""What telling of calls costs a call that does nothing: switched off, with a page for Prometheus, with every span exported."""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from unittest.mock import patch

import grpc

from synapsenet_api.models.v1 import model_service_pb2 as pb
from synapsenet_api.models.v1.model_service_pb2_grpc import (
    ModelServiceServicer,
    ModelServiceStub,
    add_ModelServiceServicer_to_server,
)
from synapsenet_servers import telemetry
from synapsenet_servers.bootstrap.role import Service
from synapsenet_servers.interceptors.guard import Guard
from synapsenet_servers.server import Server, channel_arguments
from synapsenet_servers.server_options import ServerOptions
from synapsenet_servers.telemetry import TelemetryOptions
from tests.otlp_collector import otlp_collector
from tests.performance.benchmark import AtMost, Bench, Benchmark, Length
from tests.performance.measures import mean_ms_async

LOOPBACK = "127.0.0.1:0"
OPTIONS = ServerOptions()
TIMEOUT_S = 5.0


class Nothing(ModelServiceServicer):
    """Answers at once."""

    async def GetModel(self, request: pb.GetModelRequest, context: object) -> pb.GetModelResponse:
        return pb.GetModelResponse()


def answering() -> Nothing:
    return Nothing()  # type: ignore[abstract]  # nobody calls the rest


@asynccontextmanager
async def called(port: int) -> AsyncIterator[Callable[[], Awaitable[object]]]:
    """One call to the server at `port`."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = ModelServiceStub(channel)
        yield lambda: stub.GetModel(pb.GetModelRequest(model_id="x"), timeout=TIMEOUT_S)


@asynccontextmanager
async def guarded() -> AsyncIterator[int]:
    """A server with the guard and nothing else: as it was before anything could be told."""
    server = grpc.aio.server(interceptors=[Guard(OPTIONS.limits)], options=channel_arguments(OPTIONS))
    add_ModelServiceServicer_to_server(answering(), server)
    port = server.add_insecure_port(LOOPBACK)
    await server.start()
    yield port
    await server.stop(0)


@asynccontextmanager
async def served() -> AsyncIterator[int]:
    """The platform's server, telling what is current while it is made."""
    service = Service(name="synapsenet.models.v1.ModelService", servicer=answering(), add=add_ModelServiceServicer_to_server)
    server = Server([service], [LOOPBACK], options=OPTIONS)
    async with server.serving():
        yield server.ports[0]


@contextmanager
def telling(options: TelemetryOptions, variables: dict[str, str]) -> Iterator[None]:
    """Telemetry opened as in a process of the platform; how this one logs stays as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers = []
    try:
        with patch.dict(os.environ, variables), telemetry.open(options, service="bench"):
            yield
    finally:
        root.handlers[:], root.level = handlers, level


@asynccontextmanager
async def calls(length: Length) -> AsyncIterator[Sequence[Benchmark]]:
    """One caller, one call after the other, in the server's own process."""
    page = TelemetryOptions(prometheus=LOOPBACK)
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        before = await enter(called(await enter(guarded())))
        off = await enter(called(await enter(served())))
        stack.enter_context(telling(page, {}))
        with_page = await enter(called(await enter(served())))
        collector = stack.enter_context(otlp_collector())
        stack.enter_context(telling(page, collector.variables()))
        with_spans = await enter(called(await enter(served())))

        answer = await before()

        async def line(name: str, call: Callable[[], Awaitable[object]], most: float) -> Benchmark:
            count = length.of(400, 5)
            return Benchmark(
                name=name,
                unit="ms",
                value=mean_ms_async(call, count),
                baseline=mean_ms_async(before, count),
                target=AtMost(most),
                alike={"answer": (await call(), answer)},
            )

        yield [
            await line("telemetry_off", off, 1.05),
            await line("telemetry_page", with_page, 1.3),
            await line("telemetry_spans", with_spans, 2.0),
        ]


BENCHES: tuple[Bench, ...] = (calls,)
