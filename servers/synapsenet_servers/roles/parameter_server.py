"""The process of one job's parameter server: `python -m synapsenet_servers.roles.parameter_server --mesh … --job …`.

Bulk streams are served by threads: more bytes pass through them than through an event loop. One thread a worker, and a few
more so that a surplus worker is refused in words.
"""

from __future__ import annotations

import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import grpc
from google.protobuf import json_format

from synapsenet.clock import SystemClock
from synapsenet.errors import InvalidArgument, SynapseError
from synapsenet.ids import RandomIds
from synapsenet.training.model import Failure, worker_id
from synapsenet.training.optimizer import updater
from synapsenet.training.parameter_server import ParameterServer, Plan, Report
from synapsenet.training.trainable import make
from synapsenet.training.transfer import cut
from synapsenet_api.training.v1 import job_pb2
from synapsenet_api.training.v1 import training_control_service_pb2 as pb
from synapsenet_api.training.v1.parameter_server_service_pb2_grpc import add_ParameterServerServiceServicer_to_server
from synapsenet_api.training.v1.training_control_service_pb2_grpc import TrainingControlServiceStub
from synapsenet_servers.roles.control_stream import ControlStream, Invocation, read_invocation
from synapsenet_servers.servicers.parameter_server import ParameterServerServicer, Served
from synapsenet_servers.telemetry.child_logs import configure_child_logs
from synapsenet_servers.translate.parameter_stream import schema_message
from synapsenet_servers.translate.training import spec as to_spec

# A lease's length over the longest silence between two reports.
_REPORTS_PER_LEASE = 5
_MARGIN_THREADS = 4
_MESSAGE_ROOM = 64 << 10
_GRACE_S = 1.0


def main() -> int:
    """Serve one job; 0 once it is over as planned."""
    configure_child_logs("parameter-server")
    invocation = read_invocation(__doc__)
    with grpc.insecure_channel(invocation.mesh) as channel:
        role = ParameterServerRole(invocation, channel)
        return role.run()


class ParameterServerRole:
    """One parameter server, from its assignment to the last byte of its parameters."""

    def __init__(self, invocation: Invocation, channel: grpc.Channel) -> None:
        self._server: ParameterServer | None = None
        self._control = ControlStream(
            TrainingControlServiceStub(channel).AttachParameterServer,
            pb.AttachParameterServerRequest,
            invocation.identity,
            self._stopped,
        )

    def run(self) -> int:
        try:
            return self._serve(self._control.assignment())
        except SynapseError as error:
            self._control.fail(error)
            self._control.await_stop()
            return 1

    def _serve(self, assignment: pb.Assignment) -> int:
        server = self._server = make_server(assignment)
        grpc_server, endpoint = _listen(server, assignment)
        self._control.report(ready=pb.ServerReady(endpoint=endpoint, schema=schema_message(server.schema)))
        interval = assignment.report_interval.ToMilliseconds() / 1000
        reporter = threading.Thread(target=self._report, args=(server, interval), name="reports", daemon=True)
        reporter.start()
        failure = server.attend()
        reporter.join()
        if failure is None:
            self._upload(server, assignment.max_chunk_bytes)
        elif not self._control.over:
            self._control.report(
                failure=pb.ProcessFailure(reason=failure.reason, message=failure.message, worker_id=failure.worker_id)
            )
        self._control.await_stop()
        grpc_server.stop(_GRACE_S).wait()
        return 0 if failure is None else 1

    def _report(self, server: ParameterServer, interval: float) -> None:
        try:
            self._report_until_over(server, interval)
        except SynapseError as error:
            server.fail(Failure(reason=error.reason, message=error.public))

    def _report_until_over(self, server: ParameterServer, interval: float) -> None:
        silence = server.plan.lease_ttl / _REPORTS_PER_LEASE
        while (report := server.report(interval, silence=silence)) is not None:
            for index in report.joined:
                member = pb.MemberChange(worker_id=worker_id(index), state=job_pb2.WORKER_STATE_RUNNING, incarnation=1)
                self._control.report(member=member)
            if report.updates or report.rejected or not report.joined:
                self._control.report(steps=step_report(report))

    def _upload(self, server: ParameterServer, chunk: int) -> None:
        raw = server.pull().parameters.data.cast("B")
        for start, end in cut(len(raw), limit=chunk):
            upload = pb.ParametersUpload(offset_bytes=start, last=end == len(raw), data=bytes(raw[start:end]))
            self._control.report(parameters=upload)

    def _stopped(self) -> None:
        if self._server:
            self._server.fail(Failure(reason="JOB_OVER", message="the job is over"))


def make_server(assignment: pb.Assignment) -> ParameterServer:
    """The parameter server that the assignment describes.

    Raises:
        SynapseError: the model cannot be made, or is too large.
    """
    spec = to_spec(assignment.spec)
    model = make(assignment.model_factory, json_format.MessageToDict(assignment.spec.model.arguments))
    if model.schema.size > assignment.max_parameter_bytes:
        raise InvalidArgument("PARAMETERS_TOO_LARGE", f"the model has {model.schema.size} bytes of parameters")
    return ParameterServer(
        plan=Plan(
            workers=spec.workers.count,
            steps=spec.steps,
            learning_rate=spec.optimizer.learning_rate,
            step_timeout=assignment.step_timeout.ToMilliseconds() / 1000,
            lease_ttl=assignment.lease_ttl.ToMilliseconds() / 1000,
        ),
        schema=model.schema,
        parameters=model.initial_parameters(spec.seed),
        updater=updater(spec.optimizer, count=model.schema.count),
        clock=SystemClock(),
    )


def step_report(report: Report) -> pb.StepReport:
    """Updates as columns."""
    return pb.StepReport(
        versions=[update.version for update in report.updates],
        losses=[update.loss for update in report.updates],
        learning_rates=[update.learning_rate for update in report.updates],
        times_us=[update.time_us for update in report.updates],
        rejected=report.rejected,
        accepted=report.accepted,
    )


def _listen(server: ParameterServer, assignment: pb.Assignment) -> tuple[grpc.Server, str]:
    threads = server.plan.workers + _MARGIN_THREADS
    served = Served(
        job_id=assignment.job_id,
        token=assignment.token,
        epoch=assignment.server_epoch,
        max_chunk=assignment.max_chunk_bytes,
    )
    grpc_server = grpc.server(
        ThreadPoolExecutor(threads, thread_name_prefix="train"),
        maximum_concurrent_rpcs=threads,
        options=[
            ("grpc.so_reuseport", 0),
            ("grpc.max_receive_message_length", assignment.max_chunk_bytes + _MESSAGE_ROOM),
        ],
    )
    add_ParameterServerServiceServicer_to_server(ParameterServerServicer(server, served, RandomIds("lease")), grpc_server)
    port = grpc_server.add_insecure_port(assignment.listen)
    grpc_server.start()
    unix = assignment.listen.startswith("unix:")
    return grpc_server, assignment.listen if unix else f"{assignment.listen.rpartition(':')[0]}:{port}"


if __name__ == "__main__":
    sys.exit(main())
