"""A real parameter server on a socket, and streams to it that carry bytes as they are."""

from __future__ import annotations

import queue
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import grpc

from synapsenet.ids import SeededIds
from synapsenet.testing.clock import FakeClock
from synapsenet.training.optimizer import updater
from synapsenet.training.parameter_server import ParameterServer, Plan
from synapsenet.training.schema import ParameterSchema, Vector
from synapsenet.training.spec import Optimizer
from synapsenet_api.training.v1.parameter_server_service_pb2_grpc import add_ParameterServerServiceServicer_to_server
from synapsenet_servers.servicers.parameter_server import ParameterServerServicer, Served

TRAIN = "/synapsenet.training.v1.ParameterServerService/Train"
PATIENCE_S = 20.0
_MARGIN_THREADS = 4
_SEED = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """A job as its parameter server sees it.

    Attributes:
        tensors: names and shapes of the parameters.
        step_timeout_s, lease_ttl_s: told to the workers; nothing expires here, the clock stands still.
    """

    job_id: str = "job-1"
    token: str = "recorded"
    epoch: int = 1
    max_chunk: int = 32
    workers: int = 1
    steps: int = 2
    learning_rate: float = 0.5
    momentum: float = 0.0
    tensors: Sequence[tuple[str, Sequence[int]]] = (("weight", (5, 4)),)
    step_timeout_s: float = 30.0
    lease_ttl_s: float = 10.0

    @property
    def schema(self) -> ParameterSchema:
        return ParameterSchema.of([(name, tuple(shape)) for name, shape in self.tensors])


class Stream:
    """One worker's stream."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._says: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        open_stream: Any = channel.stream_stream(TRAIN, None, None)
        self._answers: Any = open_stream(iter(self._says.get, None), timeout=PATIENCE_S)

    def say(self, message: bytes) -> None:
        self._says.put(message)

    def hear(self) -> bytes | None:
        """The next message; None at the end of the stream.

        Raises:
            grpc.RpcError: the stream ended in another way, or nothing came.
        """
        heard: bytes | None = next(self._answers, None)
        return heard

    def close(self) -> None:
        self._says.put(None)
        self._answers.cancel()


@contextmanager
def serving(setting: Setting, parameters: Vector) -> Iterator[grpc.Channel]:
    """A parameter server with these initial parameters, as a job has it; the channel reaches it."""
    plan = Plan(
        workers=setting.workers,
        steps=setting.steps,
        learning_rate=setting.learning_rate,
        step_timeout=setting.step_timeout_s,
        lease_ttl=setting.lease_ttl_s,
    )
    optimizer = Optimizer(learning_rate=setting.learning_rate, momentum=setting.momentum)
    schema = setting.schema
    server = ParameterServer(
        plan=plan,
        schema=schema,
        parameters=parameters,
        updater=updater(optimizer, count=schema.count),
        clock=FakeClock(),
    )
    served = Served(job_id=setting.job_id, token=setting.token, epoch=setting.epoch, max_chunk=setting.max_chunk)
    with ThreadPoolExecutor(setting.workers + _MARGIN_THREADS) as threads, tempfile.TemporaryDirectory(prefix="ps-") as run:
        listening = grpc.server(threads)
        servicer = ParameterServerServicer(server, served, SeededIds("lease", _SEED))
        add_ParameterServerServiceServicer_to_server(servicer, listening)
        listening.add_insecure_port(f"unix:{run}/ps.sock")
        listening.start()
        try:
            with grpc.insecure_channel(f"unix:{run}/ps.sock") as channel:
                yield channel
        finally:
            listening.stop(0).wait()
