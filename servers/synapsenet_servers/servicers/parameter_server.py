"""The parameter server's stream: one thread a worker, reading what it says and answering in turn.

In sync mode a worker has nothing to say while its gradient waits at the barrier, so one thread serves both directions. That
a worker is gone is told by the end of its call, also while its thread waits.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass

import grpc

from synapsenet.ids import IdSource
from synapsenet.training.aggregation import Gradient
from synapsenet.training.model import Failure, worker_id
from synapsenet.training.parameter_server import Over, ParameterServer
from synapsenet.training.refusal import Action, Code, Refused
from synapsenet.training.transfer import Assembly
from synapsenet_api.training.v1 import job_pb2
from synapsenet_api.training.v1 import parameter_stream_pb2 as pb
from synapsenet_api.training.v1.parameter_server_service_pb2_grpc import ParameterServerServiceServicer
from synapsenet_servers.translate import parameter_stream as translate

_log = logging.getLogger(__name__)

Answers = Iterator[pb.TrainResponse]


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """Which job this server serves.

    Attributes:
        token: what every worker of the job shows.
        epoch: this life of the server, from 1.
        max_chunk: bytes of `data` in one message, both ways.
    """

    job_id: str
    token: str
    epoch: int
    max_chunk: int


class ParameterServerServicer(ParameterServerServiceServicer):
    """Answers `Train` of one job on a threaded server."""

    def __init__(self, server: ParameterServer, served: Served, leases: IdSource) -> None:
        self._server = server
        self._served = served
        self._leases = leases

    def Train(self, request_iterator: Iterator[pb.TrainRequest], context: grpc.ServicerContext) -> Answers:
        conversation = Conversation(self._server, self._served, self._leases)
        if not context.add_callback(conversation.end):
            return
        try:
            for request in request_iterator:
                yield from conversation.answer(request)
                if conversation.over:
                    return
        except Over as over:
            yield translate.closing(over.failure)
        except grpc.RpcError:
            # The worker hung up in the middle of a message; `end` has told the server.
            _log.debug("a stream broke while it was read")


class Conversation:
    """What one worker has said so far, and the answers."""

    def __init__(self, server: ParameterServer, served: Served, leases: IdSource) -> None:
        self.over = False
        self._server = server
        self._served = served
        self._leases = leases
        self._worker: int | None = None
        self._sequence = 0
        self._version = 0
        self._max_chunk = served.max_chunk
        self._assembly: Assembly | None = None

    def answer(self, request: pb.TrainRequest) -> Answers:
        """The answers to one message.

        Raises:
            Over: the job is over.
        """
        sequence = _sequence(request)
        try:
            yield from self._answers(request)
        except Refused as refused:
            self._assembly = None
            self.over = refused.action is Action.STOP
            if self.over and self._worker is not None:
                self._server.lose(self._worker, _refusal(self._worker, refused))
            yield translate.reject(refused, sequence=sequence, version=self._version)

    def end(self) -> None:
        """The call has ended, for whatever reason."""
        if self._worker is not None:
            self._server.lose(self._worker)

    def _answers(self, request: pb.TrainRequest) -> Answers:
        kind = request.WhichOneof("message")
        if kind == "hello":
            return self._hello(request.hello)
        if self._worker is None:
            raise Refused(Code.PROTOCOL, Action.STOP, "the first message must be a hello")
        self._server.heard(self._worker)
        if kind == "push_chunk":
            return self._push_chunk(request.push_chunk)
        if kind == "push_end":
            return self._push_end(self._worker, request.push_end)
        if kind == "pull":
            return self._pull(request.pull)
        if kind == "heartbeat":
            return iter((pb.TrainResponse(heartbeat=request.heartbeat),))
        if kind == "goodbye":
            return self._goodbye(self._worker, request.goodbye)
        raise Refused(Code.PROTOCOL, Action.STOP, f"{kind or 'an empty message'} was not negotiated")

    def _hello(self, hello: pb.Hello) -> Answers:
        if self._worker is not None:
            raise Refused(Code.PROTOCOL, Action.STOP, "a stream carries one hello")
        served = self._served
        if (hello.job_id, hello.token, hello.worker_id) != (served.job_id, served.token, worker_id(hello.worker_index)):
            raise Refused(Code.IDENTITY, Action.STOP, f"{hello.worker_id!r} does not belong to this job")
        if hello.schema_digest and hello.schema_digest != self._server.schema.digest:
            raise Refused(Code.SCHEMA, Action.STOP, "the worker's model has other parameters than the job's")
        snapshot = self._server.join(hello.worker_index)
        self._worker, self._version = hello.worker_index, snapshot.version
        self._max_chunk = min(served.max_chunk, hello.max_chunk_bytes or served.max_chunk)
        yield translate.welcome(
            self._server,
            lease_id=self._leases.next(),
            epoch=served.epoch,
            version=snapshot.version,
            max_chunk=served.max_chunk,
        )

    def _pull(self, pull: pb.Pull) -> Answers:
        snapshot = self._server.pull(at_least=pull.at_least_version)
        self._version = snapshot.version
        if pull.HasField("have_version") and pull.have_version == snapshot.version:
            yield translate.not_modified(snapshot.version)
        else:
            yield from translate.parameters(snapshot, max_chunk=self._max_chunk)

    def _push_chunk(self, chunk: pb.PushChunk) -> Answers:
        if chunk.sequence != self._sequence + 1:
            raise Refused(Code.DUPLICATE, Action.STOP, f"push {chunk.sequence} is out of turn, next is {self._sequence + 1}")
        if self._assembly is None:
            self._assembly = Assembly(self._server.schema.count)
        self._assembly.add(chunk.offset_bytes, chunk.data)
        return iter(())

    def _push_end(self, worker: int, end: pb.PushEnd) -> Answers:
        if end.sequence != self._sequence + 1:
            raise Refused(Code.DUPLICATE, Action.STOP, f"push {end.sequence} is out of turn, next is {self._sequence + 1}")
        if end.codec not in (job_pb2.CODEC_UNSPECIFIED, job_pb2.CODEC_FLOAT32):
            raise Refused(Code.CODEC, Action.STOP, "only float32 was negotiated")
        if end.server_epoch != self._served.epoch:
            raise Refused(Code.EPOCH, Action.STOP, f"the gradient is of life {end.server_epoch}, this is {self._served.epoch}")
        if end.examples < 1:
            raise Refused(Code.PROTOCOL, Action.STOP, "a gradient is the mean over 1 example or more")
        values = (self._assembly or Assembly(self._server.schema.count)).finish()
        self._assembly = None
        gradient = Gradient(values=values, examples=end.examples, loss=end.loss)
        # The number is used up even if the push is refused: the worker pushes again with the next one.
        self._sequence = end.sequence
        snapshot = self._server.push(worker, gradient, base_version=end.base_version)
        self._version = snapshot.version
        self._server.heard(worker)
        yield translate.ack(self._server, sequence=end.sequence, version=end.base_version + 1)
        if end.pull:
            yield from translate.parameters(snapshot, max_chunk=self._max_chunk)

    def _goodbye(self, worker: int, goodbye: pb.Goodbye) -> Answers:
        self.over = True
        if goodbye.done and self._version >= self._server.plan.steps:
            self._server.finish(worker)
        else:
            reason = goodbye.reason or "WORKER_LOST"
            message = f"{worker_id(worker)} left: {goodbye.message or 'it gave no reason'}"
            self._server.lose(worker, Failure(reason=reason, message=message, worker_id=worker_id(worker)))
        yield translate.closing(None)


def _sequence(request: pb.TrainRequest) -> int:
    kind = request.WhichOneof("message")
    return request.push_chunk.sequence if kind == "push_chunk" else request.push_end.sequence if kind == "push_end" else 0


def _refusal(worker: int, refused: Refused) -> Failure:
    message = f"{worker_id(worker)} was refused: {refused.message}"
    return Failure(reason=f"PUSH_{refused.code.value}", message=message, worker_id=worker_id(worker))
