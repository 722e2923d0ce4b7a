"""Training jobs: asked for, followed, cancelled, failed and finished, with processes that the script plays.

Steps of the processes are acts of their own between the calls.
"""

from __future__ import annotations

from typing import Any

from google.protobuf.duration_pb2 import Duration

from synapsenet_api.training.v1 import job_pb2
from synapsenet_api.training.v1 import training_service_pb2 as pb
from tests.golden.calls import Manner
from tests.golden.script import Script

_SERVICE = "synapsenet.training.v1.TrainingService"
CREATE, GET, LIST, CANCEL, WATCH, WORKERS, DOWNLOAD, MODELS, SCALE, CHECKPOINTS, AUDIT = (
    f"{_SERVICE}/{name}"
    for name in (
        "CreateJob",
        "GetJob",
        "ListJobs",
        "CancelJob",
        "WatchJob",
        "ListWorkers",
        "DownloadParameters",
        "ListTrainableModels",
        "ScaleJob",
        "ListCheckpoints",
        "ReadAudit",
    )
)


async def record_training(script: Script, experiment_id: str) -> None:
    await _finished(script, experiment_id)
    await _queued_and_cancelled(script)
    await _failed(script)
    await _refused_specs(script)
    await _options_to_come(script)
    await _not_yet(script)
    await _find(script, experiment_id)


def spec(**changes: Any) -> job_pb2.JobSpec:
    """A small job of two workers, unless `changes` say otherwise."""
    model = job_pb2.ModelSource(entry_point="mlp")
    model.arguments.update({"inputs": 2, "hidden": [3], "classes": 2})
    fields: dict[str, Any] = {
        "model": model,
        "training_data": _data("ts-1"),
        "optimizer": job_pb2.Optimizer(learning_rate=0.25),
        "batch_size": 8,
        "steps": 4,
        "workers": job_pb2.Workers(count=2),
    }
    return job_pb2.JobSpec(**(fields | changes))


def _data(training_set_id: str) -> job_pb2.DataSource:
    source = job_pb2.TrainingSetSource(training_set_id=training_set_id)
    return job_pb2.DataSource(training_set=source, inputs=["points:x"], target="points:y")


async def _create(script: Script, says: str, **changes: Any) -> str:
    [answer] = await script.call(CREATE, pb.CreateJobRequest(spec=spec(**changes)), says=says)
    return str(answer.job.id)


async def _finished(script: Script, experiment_id: str) -> None:
    full = spec(
        mode=job_pb2.MODE_SYNC,
        evaluation_data=_data("ts-2"),
        optimizer=job_pb2.Optimizer(kind=job_pb2.OPTIMIZER_KIND_SGD, learning_rate=0.25, momentum=0.5),
        seed=7,
        evaluate_every=2,
        workers=job_pb2.Workers(count=2, step_timeout=Duration(seconds=5)),
        experiment_id=experiment_id,
        run_name="first",
        run_params={"note": "ü"},
        timeout=Duration(seconds=600),
    )
    request = pb.CreateJobRequest(spec=full, request_id="job-1")
    [created] = await script.call(CREATE, request, says="a job with every option of this release")
    job_id = str(created.job.id)
    await script.play("start", job_id)
    await script.call(CREATE, request, says="the same request again gives the stored answer")
    request.spec.seed = 8
    await script.call(CREATE, request, says="the request id with another body is refused")
    await script.call(GET, pb.GetJobRequest(job_id=job_id), says="a job that starts")
    await script.call(WORKERS, pb.ListWorkersRequest(job_id=job_id), says="workers that have loaded their data")
    await script.play("join", job_id)
    await script.call(GET, pb.GetJobRequest(job_id=job_id), says="a job that runs")
    await script.call(WORKERS, pb.ListWorkersRequest(job_id=job_id), says="workers that have joined")
    await script.call(DOWNLOAD, pb.DownloadParametersRequest(job_id=job_id), says="a job that runs has no parameters yet")
    async with script.spanning(WATCH, pb.WatchJobRequest(job_id=job_id), says="a job as it runs, and its end"):
        await script.play("step", job_id)
        await script.call(GET, pb.GetJobRequest(job_id=job_id), says="progress")
        await script.play("measure", job_id)
        await script.call(GET, pb.GetJobRequest(job_id=job_id), says="a measurement")
        await script.play("finish", job_id)
    await script.call(GET, pb.GetJobRequest(job_id=job_id), says="a job that has succeeded")
    await script.call(WATCH, pb.WatchJobRequest(job_id=job_id), says="a job that is over")
    [page] = await script.call(WORKERS, pb.ListWorkersRequest(job_id=job_id, page_size=1), says="the first worker")
    rest = pb.ListWorkersRequest(job_id=job_id, page_size=1, page_token=page.next_page_token)
    await script.call(WORKERS, rest, says="the page after it")
    await script.call(DOWNLOAD, pb.DownloadParametersRequest(job_id=job_id), says="the parameter file")
    await script.call(CANCEL, pb.CancelJobRequest(job_id=job_id), says="a job that is over stays as it is")


async def _queued_and_cancelled(script: Script) -> None:
    running = await _create(script, "a job that runs")
    await script.play("start", running)
    waiting = await _create(script, "a job that waits for it")
    await script.call(GET, pb.GetJobRequest(job_id=waiting), says="a job that waits")
    await script.call(WORKERS, pb.ListWorkersRequest(job_id=waiting), says="a job that waits has no workers")
    watch = pb.WatchJobRequest(job_id=waiting)
    await script.call(WATCH, watch, says="a job that waits, left by who watches", manner=Manner.TAKEN, take=1)
    await script.call(CANCEL, pb.CancelJobRequest(job_id=waiting), says="a job that waits is cancelled")
    await script.play("join", running)
    await script.call(CANCEL, pb.CancelJobRequest(job_id=running), says="a job that runs is cancelled")
    await script.play("end", running)
    await script.call(WORKERS, pb.ListWorkersRequest(job_id=running), says="workers of a cancelled job")


async def _failed(script: Script) -> None:
    for act, says in (("fail", "a worker reports why it cannot go on"), ("die", "a worker is killed")):
        job_id = await _create(script, f"a job of which {says}")
        await script.play("start", job_id)
        await script.play("join", job_id)
        await script.play(act, job_id)
        await script.call(GET, pb.GetJobRequest(job_id=job_id), says=says)
        await script.call(WORKERS, pb.ListWorkersRequest(job_id=job_id), says=says)
        await script.call(DOWNLOAD, pb.DownloadParametersRequest(job_id=job_id), says="a failed job has no parameters")
    lost = await _create(script, "a job of an experiment that nobody knows", experiment_id="exp-nobody")
    await script.play("end", lost)
    await script.call(GET, pb.GetJobRequest(job_id=lost), says="it failed by name")


async def _refused_specs(script: Script) -> None:
    async def refused(says: str, **changes: Any) -> None:
        await script.call(CREATE, pb.CreateJobRequest(spec=spec(**changes)), says=says)

    await script.call(CREATE, pb.CreateJobRequest(), says="no spec")
    await refused("no model", model=None)
    await refused("no training data", training_data=None)
    await refused("no steps", steps=0)
    await refused("batches of no examples", batch_size=0)
    await refused("a rate that is not positive", optimizer=job_pb2.Optimizer(learning_rate=-1))
    await refused("a momentum of 1", optimizer=job_pb2.Optimizer(learning_rate=0.1, momentum=1))
    await refused("a negative number of workers", workers=job_pb2.Workers(count=-1))
    await refused("more workers than this platform gives", workers=job_pb2.Workers(count=65))
    await refused("a model that is not on the list", model=job_pb2.ModelSource(entry_point="os.system"))
    await refused("a model without its arguments", model=job_pb2.ModelSource(entry_point="mlp"))


async def _options_to_come(script: Script) -> None:
    file = job_pb2.FileSource(uri="file.parquet")
    rate: dict[str, Any] = {"learning_rate": 0.1}
    options: list[tuple[str, dict[str, Any]]] = [
        ("spec.mode=MODE_ASYNC", {"mode": job_pb2.MODE_ASYNC}),
        ("spec.async_options", {"async_options": job_pb2.AsyncOptions(max_staleness=4)}),
        ("spec.training_data.parquet", {"training_data": job_pb2.DataSource(parquet=file, inputs=["x"], target="y")}),
        ("spec.training_data.numpy", {"training_data": job_pb2.DataSource(numpy=file, inputs=["x"], target="y")}),
        ("spec.optimizer.kind", {"optimizer": job_pb2.Optimizer(kind=job_pb2.OPTIMIZER_KIND_ADAGRAD, **rate)}),
        ("spec.optimizer.kind", {"optimizer": job_pb2.Optimizer(kind=job_pb2.OPTIMIZER_KIND_ADAM, **rate)}),
        ("spec.optimizer.kind", {"optimizer": job_pb2.Optimizer(kind=job_pb2.OPTIMIZER_KIND_ADAMW, **rate)}),
        ("spec.optimizer.nesterov", {"optimizer": job_pb2.Optimizer(momentum=0.5, nesterov=True, **rate)}),
        ("spec.optimizer.weight_decay", {"optimizer": job_pb2.Optimizer(weight_decay=0.1, **rate)}),
        ("spec.optimizer.clip_norm", {"optimizer": job_pb2.Optimizer(clip_norm=1, **rate)}),
        ("spec.schedule", {"schedule": job_pb2.Schedule(kind=job_pb2.SCHEDULE_KIND_COSINE)}),
        ("spec.workers.min", {"workers": job_pb2.Workers(count=2, min=1)}),
        ("spec.workers.max", {"workers": job_pb2.Workers(count=2, max=4)}),
        ("spec.workers.backup", {"workers": job_pb2.Workers(count=2, backup=1)}),
        ("spec.compression", {"compression": job_pb2.Compression(gradient_codec=job_pb2.CODEC_FLOAT16)}),
        ("spec.checkpointing", {"checkpointing": job_pb2.Checkpointing(durability=job_pb2.DURABILITY_WAL)}),
        ("spec.topology=TOPOLOGY_RING", {"topology": job_pb2.TOPOLOGY_RING}),
        ("spec.parameter_server_shards", {"parameter_server_shards": 2}),
        ("spec.shared_memory", {"shared_memory": True}),
        ("spec.model_version", {"model_version": job_pb2.ModelVersionTarget(model_id="exact", version=3)}),
    ]
    for option, fields in options:
        await script.call(CREATE, pb.CreateJobRequest(spec=spec(**fields)), says=option, to_come=option)


async def _not_yet(script: Script) -> None:
    says = "not available yet"
    await script.call(SCALE, pb.ScaleJobRequest(job_id="job-1", workers=3), says=says, to_come="")
    await script.call(CHECKPOINTS, pb.ListCheckpointsRequest(job_id="job-1"), says=says, to_come="")
    await script.call(AUDIT, pb.ReadAuditRequest(job_id="job-1"), says=says, to_come="")


async def _find(script: Script, experiment_id: str) -> None:
    for method, request in (
        (GET, pb.GetJobRequest(job_id="job-nobody")),
        (CANCEL, pb.CancelJobRequest(job_id="job-nobody")),
        (WATCH, pb.WatchJobRequest(job_id="job-nobody")),
        (WORKERS, pb.ListWorkersRequest(job_id="job-nobody")),
        (DOWNLOAD, pb.DownloadParametersRequest(job_id="job-nobody")),
    ):
        await script.call(method, request, says="an unknown job")
        await script.call(method, type(request)(), says="no job")
    [page] = await script.call(LIST, pb.ListJobsRequest(page_size=3), says="the newest three")
    await script.call(LIST, pb.ListJobsRequest(page_size=3, page_token=page.next_page_token), says="the page after them")
    await script.call(LIST, pb.ListJobsRequest(states=[job_pb2.JOB_STATE_FAILED]), says="by state")
    await script.call(LIST, pb.ListJobsRequest(experiment_id=experiment_id), says="by experiment")
    await script.call(LIST, pb.ListJobsRequest(page_token="forged"), says="a forged page token")
    await script.call(MODELS, pb.ListTrainableModelsRequest(), says="the allow-list")
