"""The process of one worker of a job: `python -m synapsenet_servers.roles.training_worker --mesh … --job … --index …`.

It reads its share of the examples while the parameter server starts, then trains. The worker of index 0 also measures the
model on the evaluation data.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import grpc
from google.protobuf import json_format

from synapsenet.clock import Clock, SystemClock, micros
from synapsenet.errors import Aborted, SynapseError
from synapsenet.training.batching import batches, share
from synapsenet.training.model import worker_id
from synapsenet.training.parameter_server import Snapshot
from synapsenet.training.spec import DataSource, JobSpec
from synapsenet.training.trainable import Trainable, make
from synapsenet.training.worker import Examples, measure, train
from synapsenet_api.training.v1 import training_control_service_pb2 as pb
from synapsenet_api.training.v1.training_control_service_pb2_grpc import TrainingControlServiceStub
from synapsenet_servers.peers.parameter_stream import GrpcParameterStream, Membership
from synapsenet_servers.peers.training_sets import read_training_set
from synapsenet_servers.roles.control_stream import ControlStream, Invocation, read_invocation
from synapsenet_servers.telemetry.child_logs import configure_child_logs
from synapsenet_servers.translate.training import spec as to_spec

_MESSAGE_ROOM = 64 << 10
_READ_TIMEOUT_S = 60.0
_JOIN_TIMEOUT_S = 30.0


def main() -> int:
    """Work for one job; 0 once all steps are made."""
    configure_child_logs("training-worker")
    invocation = read_invocation(__doc__)
    with grpc.insecure_channel(invocation.mesh) as mesh:
        return WorkerRole(invocation, mesh, SystemClock()).run()


class WorkerRole:
    """One worker, from its assignment to its goodbye."""

    def __init__(self, invocation: Invocation, mesh: grpc.Channel, clock: Clock) -> None:
        self._invocation = invocation
        self._mesh = mesh
        self._clock = clock
        self._stream: GrpcParameterStream | None = None
        self._control = ControlStream(
            TrainingControlServiceStub(mesh).AttachWorker, pb.AttachWorkerRequest, invocation.identity, self._stopped
        )

    def run(self) -> int:
        """0 once all steps are made; else the job was told why, or already knows."""
        try:
            self._work(self._control.assignment())
        except Aborted:
            # The parameter server ended the job and reports the reason, which is not this worker's fault.
            self._control.await_stop()
            return 1
        except SynapseError as error:
            if self._stream:
                self._stream.give_up(error)
            blamed = "" if error.reason == "PARAMETER_SERVER_LOST" else worker_id(self._invocation.index)
            self._control.fail(error, blamed)
            self._control.await_stop()
            return 1
        self._control.await_stop()
        return 0

    def _work(self, assignment: pb.Assignment) -> None:
        spec = to_spec(assignment.spec)
        index = self._invocation.index
        model = make(assignment.model_factory, json_format.MessageToDict(assignment.spec.model.arguments))
        examples = self._read(spec.training_data, model, assignment.max_data_bytes)
        own = examples.take(share(len(examples), worker=index, workers=spec.workers.count))
        measured = spec.evaluation_data if index == 0 else None
        evaluation = self._read(measured, model, assignment.max_data_bytes) if measured else None
        self._control.report(loaded=pb.DataLoaded(examples=len(own), evaluation_examples=len(evaluation) if evaluation else 0))
        order = batches(len(own), size=spec.batch_size, seed=spec.seed, worker=index)
        with self._channel(assignment) as channel:
            stream = self._stream = self._join(channel, assignment, model)
            each = self._evaluator(spec, model, evaluation)
            last = train(model, own, order, stream, last_version=stream.last_version, each=each)
            stream.leave()
        if evaluation is not None:
            self._evaluate(model, last, evaluation)
        self._control.report(done=pb.WorkerDone(version=last.version))

    def _read(self, source: DataSource, model: Trainable, limit: int) -> Examples:
        examples = read_training_set(self._mesh, source, limit=limit, timeout=_READ_TIMEOUT_S)
        examples.check(model)
        return examples

    def _channel(self, assignment: pb.Assignment) -> grpc.Channel:
        limit = assignment.max_chunk_bytes + _MESSAGE_ROOM
        return grpc.insecure_channel(self._control.parameter_server(), options=[("grpc.max_receive_message_length", limit)])

    def _join(self, channel: grpc.Channel, assignment: pb.Assignment, model: Trainable) -> GrpcParameterStream:
        membership = Membership(job_id=assignment.job_id, index=self._invocation.index, token=assignment.token)
        return GrpcParameterStream(channel, membership, model.schema, join=_JOIN_TIMEOUT_S)

    def _evaluator(self, spec: JobSpec, model: Trainable, evaluation: Examples | None) -> Callable[[Snapshot], None]:
        def each(snapshot: Snapshot) -> None:
            # The last version is measured after the goodbye, while the server already delivers it.
            if (
                evaluation
                and spec.evaluate_every
                and snapshot.version % spec.evaluate_every == 0
                and snapshot.version < spec.steps
            ):
                self._evaluate(model, snapshot, evaluation)

        return each

    def _evaluate(self, model: Trainable, snapshot: Snapshot, evaluation: Examples) -> None:
        found = measure(model, snapshot.parameters, evaluation)
        self._control.report(
            evaluation=pb.Evaluation(
                version=snapshot.version,
                loss=found.loss,
                accuracy=found.accuracy,
                examples=found.examples,
                time_us=micros(self._clock.now()),
            )
        )

    def _stopped(self) -> None:
        if self._stream:
            self._stream.close()


if __name__ == "__main__":
    sys.exit(main())
