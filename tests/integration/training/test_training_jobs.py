"""Jobs from their creation to their parameters, over a real feature store, real experiments and real processes."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable
from typing import Any, cast

import grpc
import numpy as np
import psutil
import pytest
import pytest_asyncio
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from grpc_status import rpc_status
from safetensors.numpy import load
from sklearn.datasets import load_digits

from synapsenet.training.options import TrainingOptions
from synapsenet_api.experiments.v1 import experiment_service_pb2 as experiments_pb
from synapsenet_api.experiments.v1 import run_pb2
from synapsenet_api.training.v1 import job_pb2
from synapsenet_api.training.v1 import training_service_pb2 as pb
from tests.training_platform import TrainingPlatform, digits, training_platform

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def platform(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[TrainingPlatform]:
    options = TrainingOptions(concurrent_jobs=2, queued_jobs=4, workers_per_job=8)
    async with training_platform(tmp_path_factory.mktemp("training"), options) as running:
        yield running


async def refusal(call: Awaitable[Any]) -> tuple[grpc.StatusCode, str, str, str]:
    """Code, reason, field and sentence of a call that must be refused."""
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    info, bad = ErrorInfo(), BadRequest()
    status = rpc_status.from_call(cast("grpc.Call", raised.value))
    assert status is not None
    for detail in status.details:
        detail.Unpack(info)
        detail.Unpack(bad)
    field = bad.field_violations[0].field if bad.field_violations else ""
    return raised.value.code(), info.reason, field, raised.value.details() or ""


async def test_four_workers_learn_the_digits_and_the_parameters_predict_unseen_images(platform: TrainingPlatform) -> None:
    spec = platform.spec(workers=job_pb2.Workers(count=4), steps=300, evaluate_every=100)
    job = await platform.end_of(await platform.create(spec))
    assert job.state == job_pb2.JOB_STATE_SUCCEEDED, job.failure
    assert (job.progress.step, job.progress.steps, list(job.progress.staleness.counts)) == (300, 300, [1200])
    assert job.result.accuracy >= 0.95
    file = await platform.parameters(job.id)
    assert (hashlib.sha256(file).hexdigest(), len(file)) == (
        job.result.parameters_sha256,
        job.result.parameters_size_bytes,
    )
    tensors = load(file)
    pixels, labels = load_digits(return_X_y=True)
    unseen = np.arange(len(labels)) % 4 == 0
    hidden = np.maximum(pixels[unseen] / 16 @ tensors["layer.0.weight"] + tensors["layer.0.bias"], 0)
    predicted = (hidden @ tensors["layer.1.weight"] + tensors["layer.1.bias"]).argmax(axis=1)
    assert (predicted == labels[unseen]).mean() == job.result.accuracy
    assert job.result.evaluation_examples == unseen.sum()


async def test_the_same_seed_gives_the_same_file_content_and_another_seed_another(platform: TrainingPlatform) -> None:
    jobs = [await platform.create(platform.spec(seed=seed)) for seed in (1, 1, 2)]
    for job_id in jobs:
        await platform.end_of(job_id)
    first, again, other = [load(await platform.parameters(job_id)) for job_id in jobs]
    assert all(first[name].tobytes() == again[name].tobytes() for name in first)
    assert first["layer.0.weight"].tobytes() != other["layer.0.weight"].tobytes()


async def test_a_job_is_logged_as_a_run_with_its_parameters_and_every_step(platform: TrainingPlatform) -> None:
    created = await platform.experiments.CreateExperiment(experiments_pb.CreateExperimentRequest(name="logged"), timeout=10)
    experiment_id = created.experiment.id
    spec = platform.spec(experiment_id=experiment_id, run_name="first", seed=3, evaluate_every=20, run_params={"why": "test"})
    job = await platform.end_of(await platform.create(spec))
    assert (job.state, job.logging_failure) == (job_pb2.JOB_STATE_SUCCEEDED, "")
    run = (await platform.experiments.GetRun(experiments_pb.GetRunRequest(run_id=job.run_id), timeout=10)).run
    assert (run.experiment_id, run.name, run.state, run.seed) == (experiment_id, "first", run_pb2.RUN_STATE_FINISHED, 3)
    assert run.params["learning_rate"].double_value == 0.5
    assert (run.params["workers"].int_value, run.params["why"].string_value) == (2, "test")
    assert run.tags["job_id"] == job.id
    counts = {name: (summary.count, summary.last_step) for name, summary in run.metrics.items()}
    assert counts == {"loss": (60, 60), "learning_rate": (60, 60), "accuracy": (3, 60), "evaluation_loss": (3, 60)}
    assert run.metrics["accuracy"].last == job.result.accuracy
    assert run.metrics["loss"].last == job.progress.loss


async def test_a_job_with_an_unknown_experiment_fails_and_says_so(platform: TrainingPlatform) -> None:
    job = await platform.end_of(await platform.create(platform.spec(experiment_id="exp-0000000000000000")))
    assert job.state == job_pb2.JOB_STATE_FAILED
    assert "exp-0000000000000000" in job.failure.message
    assert await platform.workers(job.id) == [] or all(not worker.pid for worker in await platform.workers(job.id))


async def test_a_watch_shows_the_job_moving_through_its_states(platform: TrainingPlatform) -> None:
    job_id = await platform.create(platform.spec(steps=400))
    watch = platform.training.WatchJob(pb.WatchJobRequest(job_id=job_id), timeout=60)
    seen = [(answer.job.state, answer.job.progress.step) async for answer in watch]
    states = [state for state, _ in seen]
    assert states == sorted(states)
    assert states[-1] == job_pb2.JOB_STATE_SUCCEEDED
    assert job_pb2.JOB_STATE_RUNNING in states
    assert [step for _, step in seen] == sorted(step for _, step in seen)
    assert any(0 < step < 400 for _, step in seen)


async def test_cancelling_stops_every_process_and_repeating_it_changes_nothing(platform: TrainingPlatform) -> None:
    job_id = await platform.create(platform.spec(steps=1_000_000))
    await platform.until(job_id, step=1)
    pids = [worker.pid for worker in await platform.workers(job_id)]
    assert all(map(psutil.pid_exists, pids))
    cancelled = await platform.training.CancelJob(pb.CancelJobRequest(job_id=job_id), timeout=20)
    assert cancelled.job.state == job_pb2.JOB_STATE_CANCELLED
    assert not any(map(psutil.pid_exists, pids))
    again = await platform.training.CancelJob(pb.CancelJobRequest(job_id=job_id), timeout=20)
    assert again.job == cancelled.job
    code, reason, _, _ = await refusal(platform.training.DownloadParameters(pb.DownloadParametersRequest(job_id=job_id)).read())
    assert (code, reason) == (grpc.StatusCode.FAILED_PRECONDITION, "JOB_NOT_SUCCEEDED")


async def test_jobs_beyond_the_bound_wait_and_beyond_the_queue_are_refused(platform: TrainingPlatform) -> None:
    endless = platform.spec(steps=1_000_000, workers=job_pb2.Workers(count=1))
    jobs = [await platform.create(endless) for _ in range(2)]
    for job_id in jobs:
        await platform.until(job_id, step=1)
    waiting = [await platform.create(endless) for _ in range(4)]
    queued = await platform.training.ListJobs(pb.ListJobsRequest(states=[job_pb2.JOB_STATE_QUEUED]), timeout=10)
    assert [job.id for job in queued.jobs] == waiting[::-1]
    code, reason, _, _ = await refusal(platform.training.CreateJob(pb.CreateJobRequest(spec=endless), timeout=10))
    assert (code, reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "JOBS_QUEUED")
    for job_id in (*waiting, *jobs):
        answer = await platform.training.CancelJob(pb.CancelJobRequest(job_id=job_id), timeout=20)
        assert answer.job.state == job_pb2.JOB_STATE_CANCELLED


async def test_a_retried_creation_makes_no_second_job(platform: TrainingPlatform) -> None:
    request = pb.CreateJobRequest(request_id="retry-1", spec=platform.spec(steps=1))
    first = await platform.training.CreateJob(request, timeout=10)
    await platform.end_of(first.job.id)
    again = await platform.training.CreateJob(request, timeout=10)
    assert again.job == first.job
    other = pb.CreateJobRequest(request_id="retry-1", spec=platform.spec(steps=2))
    code, reason, _, _ = await refusal(platform.training.CreateJob(other, timeout=10))
    assert (code, reason) == (grpc.StatusCode.ALREADY_EXISTS, "REQUEST_ID_REUSED")


@pytest.mark.parametrize(
    ("changes", "reason", "field"),
    [
        ({"optimizer": job_pb2.Optimizer(learning_rate=-1)}, "JOB_SPEC_INVALID", "spec.optimizer.learning_rate"),
        ({"optimizer": job_pb2.Optimizer(learning_rate=float("nan"))}, "JOB_SPEC_INVALID", "spec.optimizer.learning_rate"),
        ({"workers": job_pb2.Workers(count=9)}, "JOB_SPEC_INVALID", "spec.workers.count"),
        ({"batch_size": -3}, "JOB_SPEC_INVALID", "spec.batch_size"),
        ({"model": job_pb2.ModelSource(entry_point="os:system")}, "MODEL_NOT_ALLOWED", "spec.model.entry_point"),
        ({"model": TrainingPlatform.model(inputs=64)}, "MODEL_ARGUMENTS_INVALID", "spec.model.arguments.classes"),
    ],
)
async def test_a_wrong_spec_is_refused_by_the_name_of_its_field(
    platform: TrainingPlatform, changes: dict[str, Any], reason: str, field: str
) -> None:
    call = platform.training.CreateJob(pb.CreateJobRequest(spec=platform.spec(**changes)), timeout=10)
    code, found, named, sentence = await refusal(call)
    assert (code, found, named) == (grpc.StatusCode.INVALID_ARGUMENT, reason, field)
    assert "Traceback" not in sentence


@pytest.mark.parametrize(
    "changes",
    [
        {"mode": job_pb2.MODE_ASYNC},
        {"optimizer": job_pb2.Optimizer(learning_rate=1, kind=job_pb2.OPTIMIZER_KIND_ADAM)},
        {"workers": job_pb2.Workers(count=2, backup=1)},
        {"checkpointing": job_pb2.Checkpointing(durability=job_pb2.DURABILITY_WAL)},
        {"parameter_server_shards": 2},
        {"shared_memory": True},
    ],
    ids=lambda changes: next(iter(changes)),
)
async def test_what_a_later_release_brings_is_refused_by_name(platform: TrainingPlatform, changes: dict[str, Any]) -> None:
    call = platform.training.CreateJob(pb.CreateJobRequest(spec=platform.spec(**changes)), timeout=10)
    code, reason, field, _ = await refusal(call)
    assert (code, reason) == (grpc.StatusCode.UNIMPLEMENTED, "NOT_YET_AVAILABLE")
    assert field.startswith(f"spec.{next(iter(changes))}")


@pytest.mark.parametrize(
    ("source", "reason", "words"),
    [
        (digits("ts-0000000000000000"), "TRAINING_SET_REFUSED", "ts-0000000000000000"),
        (None, "DATA_UNUSABLE", "digits:absent"),
    ],
)
async def test_data_that_cannot_be_used_fails_the_job_with_the_worker_and_the_reason(
    platform: TrainingPlatform, source: job_pb2.DataSource | None, reason: str, words: str
) -> None:
    if source is None:
        source = digits(platform.train_set)
        source.target = "digits:absent"
    job = await platform.end_of(await platform.create(platform.spec(training_data=source)))
    assert (job.state, job.failure.reason) == (job_pb2.JOB_STATE_FAILED, reason)
    assert words in job.failure.message
    assert job.failure.worker_id.startswith("worker-")


async def test_a_rate_that_diverges_fails_the_job_with_the_remedy(platform: TrainingPlatform) -> None:
    spec = platform.spec(optimizer=job_pb2.Optimizer(learning_rate=1e30), steps=50)
    job = await platform.end_of(await platform.create(spec))
    assert job.failure.reason == "GRADIENT_NOT_FINITE"
    assert "take a lower learning rate" in job.failure.message


async def test_an_unknown_job_is_named(platform: TrainingPlatform) -> None:
    for call in (
        platform.training.GetJob(pb.GetJobRequest(job_id="job-0"), timeout=10),
        platform.training.CancelJob(pb.CancelJobRequest(job_id="job-0"), timeout=10),
        platform.training.ListWorkers(pb.ListWorkersRequest(job_id="job-0"), timeout=10),
    ):
        code, reason, _, sentence = await refusal(call)
        assert (code, reason) == (grpc.StatusCode.NOT_FOUND, "JOB_UNKNOWN")
        assert "job-0" in sentence


async def test_the_allow_list_describes_its_models(platform: TrainingPlatform) -> None:
    answer = await platform.training.ListTrainableModels(pb.ListTrainableModelsRequest(), timeout=10)
    (model,) = answer.models
    assert model.entry_point == "mlp"
    assert set(model.arguments) == {"inputs", "hidden", "classes"}


async def test_no_process_is_left_when_all_jobs_are_over(platform: TrainingPlatform) -> None:
    await asyncio.sleep(0)
    left = [child.cmdline() for child in psutil.Process().children(recursive=True)]
    assert not [command for command in left if "synapsenet_servers.roles" in " ".join(command)]
