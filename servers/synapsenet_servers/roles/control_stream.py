"""A process's conversation with its job in the training service: how both kinds of process report and learn when to stop."""

from __future__ import annotations

import argparse
import os
import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import grpc

from synapsenet.errors import SynapseError, Unavailable
from synapsenet_api.training.v1 import training_control_service_pb2 as pb

TOKEN_VARIABLE = "SYNAPSENET_JOB_TOKEN"  # noqa: S105 - the name of a variable
_OUTGOING = 16
_PATIENCE_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocation:
    """What a process was started with."""

    mesh: str
    job_id: str
    index: int
    token: str

    @property
    def identity(self) -> pb.Identity:
        return pb.Identity(job_id=self.job_id, token=self.token, index=self.index, pid=os.getpid())


def read_invocation(description: str | None) -> Invocation:
    """The invocation from command line and environment; the token is not on the command line, where others could read it."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--mesh", required=True, help="address of the platform's services, unix:PATH or HOST:PORT")
    parser.add_argument("--job", required=True, help="id of the job")
    parser.add_argument("--index", type=int, default=0, help="worker index, or shard of the parameter server")
    given = parser.parse_args()
    return Invocation(mesh=given.mesh, job_id=given.job, index=given.index, token=os.environ.get(TOKEN_VARIABLE, ""))


class ControlStream:
    """Reports leave through a bounded queue; answers are read by a thread of its own.

    Args:
        method: the stub's bidirectional method.
        wrap: the request message from a field and its value.
        stopped: called once, in the reading thread, when the job is over or the platform is gone.
    """

    def __init__(
        self, method: Callable[..., Any], wrap: Callable[..., Any], identity: pb.Identity, stopped: Callable[[], None]
    ) -> None:
        self._wrap = wrap
        self._stopped = stopped
        self._outgoing: queue.Queue[Any] = queue.Queue(_OUTGOING)
        self._assignment: queue.Queue[pb.Assignment | None] = queue.Queue(1)
        self._servers: queue.Queue[pb.ParameterServers | None] = queue.Queue(1)
        self._over = threading.Event()
        self.report(identity=identity)
        self._answers = method(iter(self._outgoing.get, None), wait_for_ready=True)
        self._reader = threading.Thread(target=self._read, name="control", daemon=True)
        self._reader.start()

    @property
    def over(self) -> bool:
        """The job is over, or the platform is gone."""
        return self._over.is_set()

    def report(self, **field: Any) -> None:
        """Send a message with this one field; waits while earlier ones have not left.

        Raises:
            Unavailable: TRAINING_SERVICE_STUCK, nothing left for a minute.
        """
        if self._over.is_set():
            return
        try:
            self._outgoing.put(self._wrap(**field), timeout=_PATIENCE_S)
        except queue.Full:
            raise Unavailable("TRAINING_SERVICE_STUCK", f"the training service took no report for {_PATIENCE_S:g} s") from None

    def fail(self, error: SynapseError, worker_id: str = "") -> None:
        """Report why the process cannot go on."""
        self.report(failure=pb.ProcessFailure(reason=error.reason, message=error.public, worker_id=worker_id))

    def assignment(self) -> pb.Assignment:
        """What to do.

        Raises:
            Unavailable: TRAINING_SERVICE_LOST.
        """
        assignment: pb.Assignment = _received(self._assignment)
        return assignment

    def parameter_server(self) -> str:
        """Where the parameter server listens, once it does.

        Raises:
            Unavailable: TRAINING_SERVICE_LOST, or the job is over.
        """
        servers: pb.ParameterServers = _received(self._servers)
        return servers.shards[0].endpoint

    def await_stop(self) -> None:
        """Wait until the job is over: whoever leaves earlier counts as lost."""
        self._over.wait()

    def _read(self) -> None:
        try:
            for answer in self._until_stop():
                if answer.WhichOneof("message") == "assignment":
                    self._assignment.put(answer.assignment)
                else:
                    self._servers.put(answer.parameter_servers)
        except grpc.RpcError:
            pass  # The platform is gone, which ends the job for this process as a stop does.
        finally:
            self._over.set()
            for waiting in (self._assignment, self._servers):
                _release(waiting)
            self._stopped()

    def _until_stop(self) -> Iterator[Any]:
        for answer in self._answers:
            if answer.WhichOneof("message") == "stop":
                return
            yield answer


def _received(waiting: queue.Queue[Any]) -> Any:
    found = waiting.get()
    if found is None:
        raise Unavailable("TRAINING_SERVICE_LOST", "the job ended, or the training service is gone")
    return found


def _release(waiting: queue.Queue[Any]) -> None:
    """Let whoever waits go on with nothing."""
    try:
        waiting.put_nowait(None)
    except queue.Full:
        return
