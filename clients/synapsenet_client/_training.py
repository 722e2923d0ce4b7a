"""Training jobs."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from synapsenet_api.training.v1 import training_service_pb2 as pb
from synapsenet_api.training.v1.job_pb2 import (
    Checkpoint,
    DataSource,
    Job,
    JobSpec,
    JobState,
    Mode,
    ModelSource,
    ModelVersionTarget,
    Optimizer,
    OptimizerKind,
    TrainableModel,
    TrainingSetSource,
    Worker,
    Workers,
)
from synapsenet_client._calls import Ask, Asyncio, Blocking, Download, Pages, Watch, answering, paging, streaming
from synapsenet_client._enums import enum_value, enum_values
from synapsenet_client._errors import Unavailable
from synapsenet_client._files import FileSink, MemorySink, Piece, Progress

FINAL_STATES = frozenset({JobState.JOB_STATE_SUCCEEDED, JobState.JOB_STATE_FAILED, JobState.JOB_STATE_CANCELLED})


def job_spec(
    *,
    entry_point: str,
    training_set_id: str,
    inputs: Iterable[str],
    target: str,
    steps: int,
    batch_size: int,
    learning_rate: float,
    arguments: Mapping[str, Any] | None = None,
    input_scale: float | None = None,
    evaluation_set_id: str = "",
    evaluate_every: int | None = None,
    optimizer: str = "",
    momentum: float = 0.0,
    seed: int = 0,
    workers: int = 1,
    mode: str = "",
    experiment_id: str = "",
    model_version: tuple[str, int] | None = None,
) -> JobSpec:
    """What a training job shall do, for the common case; further fields can be set on the message that it returns.

    Args:
        entry_point: a model on the operator's allow-list; `training.list_models` tells which there are.
        training_set_id: what to learn from.
        inputs: the columns `group:feature` that make the input vector, in this order.
        target: the column with the label.
        steps: updates to make.
        batch_size: examples in one gradient of one worker.
        learning_rate: above 0.
        arguments: of the entry point: `{"inputs": 64, "hidden": [32], "classes": 10}`.
        input_scale: what every input is multiplied with; None: 1.
        evaluation_set_id: examples that are never trained on; empty: no evaluation.
        evaluate_every: steps between evaluations; None: at the end only.
        optimizer: SGD (default), ADAGRAD, ADAM or ADAMW.
        momentum: of SGD, 0 to below 1.
        seed: the same seed gives the same bits.
        workers: processes that compute gradients.
        mode: SYNC (default) or ASYNC.
        experiment_id: where a run is logged; empty: nowhere.
        model_version: model (id or name) and number of the created version that the job trains; None: none.
    """
    columns = list(inputs)
    return JobSpec(
        mode=enum_value("mode", Mode, mode),
        model=_model(entry_point, arguments or {}),
        training_data=_data(training_set_id, columns, target, input_scale),
        evaluation_data=_data(evaluation_set_id, columns, target, input_scale) if evaluation_set_id else None,
        optimizer=Optimizer(
            kind=enum_value("optimizer", OptimizerKind, optimizer), learning_rate=learning_rate, momentum=momentum
        ),
        batch_size=batch_size,
        steps=steps,
        seed=seed,
        evaluate_every=evaluate_every,
        workers=Workers(count=workers),
        experiment_id=experiment_id,
        model_version=ModelVersionTarget(model_id=model_version[0], version=model_version[1]) if model_version else None,
    )


class TrainingMethods:
    """Jobs are named by their ids."""

    @answering
    def create(self, spec: JobSpec, *, request_id: str = "") -> Ask[pb.CreateJobResponse, Job]:
        """Submit a job; it starts as soon as there is room.

        Args:
            spec: what it shall do; `job_spec` makes the common ones.
            request_id: the same for every attempt at this creation; made up if empty.
        """
        return Ask(pb.CreateJobRequest(spec=spec, request_id=request_id), lambda answer: answer.job)

    @answering
    def get(self, job_id: str) -> Ask[pb.GetJobResponse, Job]:
        """One job as it is now."""
        return Ask(pb.GetJobRequest(job_id=job_id), lambda answer: answer.job)

    @paging
    def list(
        self, *, states: Iterable[str] = (), experiment_id: str = "", page_size: int = 0
    ) -> Pages[pb.ListJobsResponse, Job]:
        """Jobs, the newest first; `states` are QUEUED, STARTING, RUNNING, SUCCEEDED, FAILED and CANCELLED."""
        request = pb.ListJobsRequest(
            states=enum_values("states", JobState, states), experiment_id=experiment_id, page_size=page_size
        )
        return Pages(request, lambda page: page.jobs)

    @answering
    def cancel(self, job_id: str) -> Ask[pb.CancelJobResponse, Job]:
        """End a job; one that is over stays as it is."""
        return Ask(pb.CancelJobRequest(job_id=job_id), lambda answer: answer.job)

    @streaming
    def watch(self, job_id: str) -> Watch[pb.WatchJobResponse, Job]:
        """The job as it is now and after each change; the stream ends when the job does."""
        return Watch(pb.WatchJobRequest(job_id=job_id), lambda answer: answer.job)

    @answering
    def wait(self, job_id: str) -> Download[pb.WatchJobResponse, Job]:
        """The job when it is over, whatever its end; without a deadline unless `within` sets one.

        Raises:
            Unavailable: the platform went away before the job was over.
        """
        return Download(pb.WatchJobRequest(job_id=job_id), _LastJob, bounded=False)

    @paging
    def list_workers(self, job_id: str, *, page_size: int = 0) -> Pages[pb.ListWorkersResponse, Worker]:
        """The workers of a job in the order of their indexes."""
        return Pages(pb.ListWorkersRequest(job_id=job_id, page_size=page_size), lambda page: page.workers)

    @answering
    def download_parameters(
        self, job_id: str, path: str | os.PathLike[str], *, progress: Progress | None = None
    ) -> Download[pb.DownloadParametersResponse, Path]:
        """The parameters of a job that succeeded (safetensors) into a file, which appears only when whole; returns its path."""
        request = pb.DownloadParametersRequest(job_id=job_id)
        return Download(request, lambda: FileSink(Path(path), _piece, progress))

    @answering
    def read_parameters(self, job_id: str) -> Download[pb.DownloadParametersResponse, bytes]:
        """The same as bytes: `safetensors.numpy.load(data)`."""
        return Download(pb.DownloadParametersRequest(job_id=job_id), lambda: MemorySink(_piece))

    @paging
    def list_models(self, *, page_size: int = 0) -> Pages[pb.ListTrainableModelsResponse, TrainableModel]:
        """The models on the operator's allow-list."""
        return Pages(pb.ListTrainableModelsRequest(page_size=page_size), lambda page: page.models)

    @answering
    def scale(self, job_id: str, workers: int) -> Ask[pb.ScaleJobResponse, Job]:
        """Change the number of workers of a running job."""
        return Ask(pb.ScaleJobRequest(job_id=job_id, workers=workers), lambda answer: answer.job)

    @paging
    def list_checkpoints(self, job_id: str, *, page_size: int = 0) -> Pages[pb.ListCheckpointsResponse, Checkpoint]:
        """The checkpoints of a job, the newest first."""
        return Pages(pb.ListCheckpointsRequest(job_id=job_id, page_size=page_size), lambda page: page.checkpoints)

    @streaming
    def audit(self, job_id: str, *, after_position: int = 0) -> Watch[pb.ReadAuditResponse, pb.ReadAuditResponse]:
        """Every gradient that a job was offered after a position, in commit order."""
        return Watch(pb.ReadAuditRequest(job_id=job_id, after_position=after_position), lambda answer: answer)


class Training(Blocking, TrainingMethods):
    """`client.training`."""


class AsyncTraining(Asyncio, TrainingMethods):
    """`client.training` of an asyncio client."""


def _model(entry_point: str, arguments: Mapping[str, Any]) -> ModelSource:
    model = ModelSource(entry_point=entry_point)
    model.arguments.update(arguments)
    return model


def _data(training_set_id: str, inputs: Iterable[str], target: str, input_scale: float | None) -> DataSource:
    source = TrainingSetSource(training_set_id=training_set_id)
    return DataSource(training_set=source, inputs=inputs, target=target, input_scale=input_scale)


class _LastJob:
    def __init__(self) -> None:
        self._job: Job | None = None

    def take(self, answer: pb.WatchJobResponse) -> None:
        self._job = answer.job

    def finish(self) -> Job:
        if self._job is None or self._job.state not in FINAL_STATES:
            raise Unavailable("the watch ended before the job was over: wait for it again", reason="WATCH_ENDED")
        return self._job

    def abandon(self) -> None:
        """Nothing was written anywhere."""


def _piece(answer: pb.DownloadParametersResponse) -> Piece:
    return Piece(answer.sha256, answer.size_bytes, answer.data)
