"""Jobs, workers and reports of a job's processes, as messages and as the domain has them."""

from __future__ import annotations

from collections.abc import Iterable

from synapsenet.clock import instant
from synapsenet.training.model import Evaluation, Failure, Job, JobState, Progress, Result, TrainableModel, Worker, WorkerState
from synapsenet.training.options import TrainingOptions
from synapsenet.training.ports import Points
from synapsenet_api.training.v1 import job_pb2 as pb
from synapsenet_api.training.v1 import training_control_service_pb2 as control
from synapsenet_servers.translate.enums import Wire
from synapsenet_servers.translate.times import to_timestamp
from synapsenet_servers.translate.training import seconds, spec_message

_JOB_STATES = Wire(JobState, pb.JobState, "JOB_STATE_")
_WORKER_STATES = Wire(WorkerState, pb.WorkerState, "WORKER_STATE_")


def job_message(job: Job) -> pb.Job:
    """The job on the wire."""
    message = pb.Job(
        id=job.id,
        spec=spec_message(job.spec),
        state=_JOB_STATES[job.state],
        progress=_progress(job),
        run_id=job.run_id,
        logging_failure=job.logging_failure,
        create_time=to_timestamp(job.created_at),
    )
    if job.failure:
        message.failure.CopyFrom(_failure(job.failure))
    if job.result:
        message.result.CopyFrom(_result(job.result))
    if job.started_at:
        message.start_time.CopyFrom(to_timestamp(job.started_at))
    if job.finished_at:
        message.end_time.CopyFrom(to_timestamp(job.finished_at))
    return message


def job_states(numbers: Iterable[int]) -> frozenset[JobState]:
    """The states that a filter names; empty for every one.

    Raises:
        InvalidArgument: VALUE_UNKNOWN.
    """
    return frozenset(_JOB_STATES.member(number, field="states") for number in numbers)


def worker_message(worker: Worker) -> pb.Worker:
    """The worker on the wire."""
    return pb.Worker(
        id=worker.id,
        index=worker.index,
        state=_WORKER_STATES[worker.state],
        pid=worker.pid,
        incarnation=worker.incarnation,
        accepted=worker.accepted,
        rejected=worker.rejected,
        examples=worker.examples,
        exit=worker.exit,
    )


def model_message(model: TrainableModel) -> pb.TrainableModel:
    return pb.TrainableModel(entry_point=model.entry_point, description=model.description, arguments=model.arguments)


def assignment(job: Job, *, factory: str, token: str, listen: str, options: TrainingOptions) -> control.Assignment:
    """What a process of the job is told to do."""
    step_timeout = min(job.spec.workers.step_timeout or options.step_timeout_s, options.step_timeout_s)
    return control.Assignment(
        job_id=job.id,
        spec=spec_message(job.spec),
        token=token,
        listen=listen,
        lease_ttl=seconds(options.lease_ttl_s),
        step_timeout=seconds(step_timeout),
        max_chunk_bytes=options.max_chunk_bytes,
        server_epoch=1,
        model_factory=factory,
        max_parameter_bytes=options.max_parameter_bytes,
        max_data_bytes=options.max_data_bytes,
        report_interval=seconds(options.report_interval_s),
    )


def losses(report: control.StepReport) -> Points:
    """The mean loss of each update."""
    return _points("loss", report, report.losses)


def learning_rates(report: control.StepReport) -> Points:
    """The rate of each update."""
    return _points("learning_rate", report, report.learning_rates)


def evaluation(message: control.Evaluation) -> Evaluation:
    at = instant(message.time_us)
    return Evaluation(version=message.version, loss=message.loss, accuracy=message.accuracy, examples=message.examples, at=at)


def evaluation_points(message: control.Evaluation) -> tuple[Points, Points]:
    """The evaluation as points of `accuracy` and `evaluation_loss`."""
    steps, times = (message.version,), (message.time_us,)
    return (
        Points(metric="accuracy", steps=steps, values=(message.accuracy,), times_us=times),
        Points(metric="evaluation_loss", steps=steps, values=(message.loss,), times_us=times),
    )


def failure(message: control.ProcessFailure) -> Failure:
    return Failure(reason=message.reason, message=message.message, worker_id=message.worker_id)


def _points(metric: str, report: control.StepReport, values: Iterable[float]) -> Points:
    return Points(metric=metric, steps=tuple(report.versions), values=tuple(values), times_us=tuple(report.times_us))


def _progress(job: Job) -> pb.JobProgress:
    progress: Progress = job.progress
    message = pb.JobProgress(
        step=progress.step,
        steps=job.spec.steps,
        steps_per_second=progress.steps_per_second,
        loss=progress.loss,
        workers_running=progress.workers_running,
        rejected=progress.rejected,
    )
    if progress.accepted:
        message.staleness.counts.append(progress.accepted)
    if progress.evaluation:
        message.accuracy = progress.evaluation.accuracy
        message.evaluation_loss = progress.evaluation.loss
    return message


def _failure(given: Failure) -> pb.JobFailure:
    return pb.JobFailure(reason=given.reason, message=given.message, worker_id=given.worker_id)


def _result(given: Result) -> pb.JobResult:
    message = pb.JobResult(parameters_sha256=given.parameters_sha256, parameters_size_bytes=given.parameters_size)
    if given.evaluation:
        message.evaluation_loss = given.evaluation.loss
        message.accuracy = given.evaluation.accuracy
        message.evaluation_examples = given.evaluation.examples
    return message
