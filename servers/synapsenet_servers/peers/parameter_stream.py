"""The worker's side of its stream with the parameter server.

Requests leave through a bounded queue that gRPC's own thread empties; while there is nothing to say it says that the worker
lives. Answers are read by the thread that trains.
"""

from __future__ import annotations

import itertools
import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import grpc

from synapsenet.errors import Aborted, FailedPrecondition, SynapseError, Unavailable
from synapsenet.training.aggregation import Gradient
from synapsenet.training.model import worker_id
from synapsenet.training.parameter_server import Snapshot
from synapsenet.training.schema import ParameterSchema
from synapsenet.training.transfer import Assembly
from synapsenet.training.worker import ParameterStream
from synapsenet_api.training.v1 import parameter_stream_pb2 as pb
from synapsenet_api.training.v1.parameter_server_service_pb2_grpc import ParameterServerServiceStub
from synapsenet_servers.translate import parameter_stream as translate

_OUTGOING = 8
_BEATS_A_LEASE = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """Who the worker is.

    Attributes:
        token: what it was given to show that it belongs to the job.
        incarnation: from 1, grows when it joins again.
    """

    job_id: str
    index: int
    token: str
    incarnation: int = 1


class GrpcParameterStream(ParameterStream):
    """A joined stream; use it in one thread, and `leave` or `close` it."""

    def __init__(self, channel: grpc.Channel, membership: Membership, schema: ParameterSchema, *, join: float) -> None:
        """Say hello and wait up to `join` seconds for the welcome, also for a server that does not listen yet.

        The stream itself has no deadline: it lasts as long as the job, whose own limit ends it.

        Raises:
            FailedPrecondition: STREAM_REFUSED.
            Aborted: the job is over.
            Unavailable: PARAMETER_SERVER_LOST.
        """
        self._schema = schema
        self._sequence = itertools.count(1)
        self._outgoing: queue.Queue[pb.TrainRequest | None] = queue.Queue(_OUTGOING)
        self._beat = join
        self._outgoing.put(pb.TrainRequest(hello=_hello(membership, schema)))
        self._answers = ParameterServerServiceStub(channel).Train(self._requests(), wait_for_ready=True)
        impatience = threading.Timer(join, self.close)
        impatience.daemon = True
        impatience.start()
        try:
            welcome = self._next("welcome").welcome
        finally:
            impatience.cancel()
        self._beat = welcome.lease_ttl.ToMilliseconds() / 1000 / _BEATS_A_LEASE
        self._max_chunk = welcome.max_chunk_bytes
        self._epoch = welcome.server_epoch
        self.last_version = welcome.last_version

    def pull(self) -> Snapshot:
        self._outgoing.put(pb.TrainRequest(pull=pb.Pull()))
        return self._parameters()

    def push(self, gradient: Gradient, *, base_version: int) -> Snapshot:
        sequence = next(self._sequence)
        for request in translate.push(
            gradient, sequence=sequence, base_version=base_version, epoch=self._epoch, max_chunk=self._max_chunk
        ):
            self._outgoing.put(request)
        self._next("ack")
        return self._parameters()

    def leave(self) -> None:
        """Say goodbye after the last version, and wait until the server has heard it."""
        self._outgoing.put(pb.TrainRequest(goodbye=pb.Goodbye(done=True)))
        self._next("closing")
        self.close()

    def give_up(self, error: SynapseError) -> None:
        """Say why the worker cannot go on, as far as there is anybody to hear it."""
        try:
            self._outgoing.put_nowait(pb.TrainRequest(goodbye=pb.Goodbye(reason=error.reason, message=error.public)))
            self._next("closing")
        except (SynapseError, queue.Full):
            return
        finally:
            self.close()

    def close(self) -> None:
        """End the stream."""
        self._answers.cancel()  # type: ignore[no-untyped-call]  # the stubs leave it out

    def _requests(self) -> Iterator[pb.TrainRequest]:
        beats = itertools.count(1)
        while True:
            try:
                request = self._outgoing.get(timeout=self._beat)
            except queue.Empty:
                request = pb.TrainRequest(heartbeat=pb.Heartbeat(number=next(beats)))
            if request is None:
                return
            yield request

    def _parameters(self) -> Snapshot:
        assembly = Assembly(self._schema.count)
        while True:
            chunk = self._next("parameters_chunk").parameters_chunk
            assembly.add(chunk.offset_bytes, chunk.data)
            if assembly.received == chunk.size_bytes:
                return Snapshot(chunk.version, assembly.finish())

    def _next(self, kind: str) -> pb.TrainResponse:
        """The next answer that is no heartbeat; it must be of `kind`."""
        for answer in self._read():
            found = answer.WhichOneof("message")
            if found == kind and not (found == "closing" and answer.closing.reason):
                return answer
            if found == "reject":
                # Who stops a member has failed the job by its name already; at the door nobody else knows.
                if kind != "welcome" and answer.reject.action == pb.REJECT_ACTION_STOP:
                    raise Aborted("WORKER_STOPPED", answer.reject.message)
                raise FailedPrecondition("STREAM_REFUSED", answer.reject.message)
            if found == "closing":
                raise Aborted(answer.closing.reason or "JOB_OVER", answer.closing.message or "the job is over")
            if found != "heartbeat":
                break
        raise Unavailable("PARAMETER_SERVER_LOST", "the parameter server broke off the stream")

    def _read(self) -> Iterator[pb.TrainResponse]:
        try:
            yield from self._answers
        except grpc.RpcError as error:
            raise Unavailable("PARAMETER_SERVER_LOST", "the parameter server is gone", secret=str(error)) from error


def _hello(membership: Membership, schema: ParameterSchema) -> pb.Hello:
    return pb.Hello(
        job_id=membership.job_id,
        worker_id=worker_id(membership.index),
        worker_index=membership.index,
        incarnation=membership.incarnation,
        token=membership.token,
        schema_digest=schema.digest,
    )
