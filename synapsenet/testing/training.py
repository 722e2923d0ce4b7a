"""What training's records promise, whatever they are kept in."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from synapsenet.errors import NotFound
from synapsenet.platform.paging import PageRequest
from synapsenet.platform.work import WorkFactory
from synapsenet.testing.clock import NOON
from synapsenet.training.model import Evaluation, Failure, Job, JobState, Progress, Result, Worker, WorkerState
from synapsenet.training.ports import TrainingWork
from synapsenet.training.spec import (
    AsyncOptions,
    Checkpointing,
    Codec,
    Compression,
    DataSource,
    Durability,
    JobSpec,
    Mode,
    ModelSource,
    Optimizer,
    OptimizerKind,
    Schedule,
    ScheduleKind,
    StalenessPolicy,
    Workers,
)


def spec(experiment_id: str = "") -> JobSpec:
    """A small job."""
    return JobSpec(
        model=ModelSource(entry_point="mlp", arguments={"inputs": 2.0, "hidden": [3.0], "classes": 2.0}),
        training_data=DataSource(location="ts-1", inputs=("g:x",), target="g:y"),
        optimizer=Optimizer(learning_rate=0.1),
        batch_size=4,
        steps=10,
        experiment_id=experiment_id,
    )


def full_spec() -> JobSpec:
    """A job with every field set."""
    return replace(
        spec("exp-1"),
        mode=Mode.ASYNC,
        evaluation_data=DataSource(location="ts-2", inputs=("g:x", "g:z"), target="g:y", input_scale=0.5),
        optimizer=Optimizer(kind=OptimizerKind.ADAM, learning_rate=1e-3, beta1=0.8, epsilon=1e-6, clip_norm=1.0),
        schedule=Schedule(kind=ScheduleKind.COSINE, warmup_steps=3, factor=0.1),
        seed=2**62,
        evaluate_every=5,
        workers=Workers(count=4, min=2, max=8, backup=1, step_timeout=1.5),
        async_options=AsyncOptions(max_staleness=0, policy=StalenessPolicy.POWER, exponent=0.5),
        compression=Compression(gradient_codec=Codec.TOP_K, top_k_share=0.1),
        checkpointing=Checkpointing(durability=Durability.WAL, every_steps=7, keep=2, resume_from="ckpt-1"),
        run_params={"note": "ü"},
        timeout=60.5,
        shared_memory=True,
    )


def job(number: int, *, experiment_id: str = "", created_at: datetime | None = None) -> Job:
    """A queued job, created `number` seconds after noon."""
    at = created_at or NOON + timedelta(seconds=number)
    return Job(id=f"job-{number:02}", spec=spec(experiment_id), created_at=at)


class TrainingRecordsContract:
    """Give a fixture `work`: a fresh `WorkFactory` of training."""

    async def add(self, work: WorkFactory[TrainingWork], *jobs: Job) -> None:
        def commit(tx: TrainingWork) -> None:
            for each in jobs:
                tx.jobs.add(each)

        await work.run(commit)

    async def test_a_job_with_every_field_is_read_as_it_was_kept(self, work: WorkFactory[TrainingWork]) -> None:
        measured = Evaluation(version=10, loss=0.25, accuracy=0.9, examples=100, at=NOON)
        kept = replace(
            job(1),
            spec=full_spec(),
            progress=Progress(step=10, steps_per_second=1.5, loss=0.5, evaluation=measured, accepted=40, rejected=1),
            failure=Failure(reason="WORKER_LOST", message="worker-1 was lost", worker_id="worker-1"),
            result=Result(parameters_sha256="ab" * 32, parameters_size=99, evaluation=measured),
            run_id="run-1",
            logging_failure="none",
            started_at=NOON,
            finished_at=NOON + timedelta(microseconds=1),
        )
        await self.add(work, kept)
        assert await work.read(lambda tx: tx.jobs.get("job-01")) == kept

    async def test_an_unknown_job_is_not_found_by_name(self, work: WorkFactory[TrainingWork]) -> None:
        with pytest.raises(NotFound, match="job-99") as raised:
            await work.read(lambda tx: tx.jobs.get("job-99"))
        assert raised.value.reason == "JOB_UNKNOWN"

    async def test_a_changed_job_takes_the_place_of_the_former(self, work: WorkFactory[TrainingWork]) -> None:
        await self.add(work, job(1))
        await work.run(lambda tx: tx.jobs.put(job(1).starting(NOON)))
        assert (await work.read(lambda tx: tx.jobs.get("job-01"))).state is JobState.STARTING
        assert await work.read(lambda tx: tx.jobs.count(JobState.QUEUED)) == 0
        assert await work.read(lambda tx: tx.jobs.count(JobState.STARTING)) == 1

    async def test_the_oldest_of_a_state_come_first(self, work: WorkFactory[TrainingWork]) -> None:
        await self.add(work, job(3), job(1), job(2), job(4).starting(NOON))
        found = await work.read(lambda tx: tx.jobs.in_state(JobState.QUEUED, limit=2))
        assert [each.id for each in found] == ["job-01", "job-02"]

    async def test_pages_show_every_job_once_the_newest_first_even_when_times_are_equal(
        self, work: WorkFactory[TrainingWork]
    ) -> None:
        same = [job(number, created_at=NOON) for number in range(1, 6)]
        await self.add(work, *same, job(6), job(7))
        assert await self.pages(work) == ["job-07", "job-06", "job-05", "job-04", "job-03", "job-02", "job-01"]

    async def test_a_page_can_be_of_some_states_or_an_experiment(self, work: WorkFactory[TrainingWork]) -> None:
        await self.add(work, job(1, experiment_id="exp-1"), job(2), job(3, experiment_id="exp-1").starting(NOON))
        assert await self.pages(work, experiment_id="exp-1") == ["job-03", "job-01"]
        assert await self.pages(work, states={JobState.QUEUED}) == ["job-02", "job-01"]
        assert await self.pages(work, states={JobState.QUEUED}, experiment_id="exp-1") == ["job-01"]
        assert await self.pages(work, states={JobState.QUEUED, JobState.STARTING}) == ["job-03", "job-02", "job-01"]
        assert await self.pages(work, states={JobState.FAILED}) == []

    async def test_workers_are_kept_by_job_and_index(self, work: WorkFactory[TrainingWork]) -> None:
        first = [Worker(job_id="job-01", index=index, pid=100 + index) for index in (1, 0, 10)]
        await work.run(lambda tx: tx.workers.put([*first, Worker(job_id="job-02", index=0)]))
        lost = Worker(job_id="job-01", index=1, state=WorkerState.LOST, exit="it was killed by SIGKILL")
        await work.run(lambda tx: tx.workers.put([lost]))
        found = await work.read(lambda tx: tx.workers.of("job-01"))
        assert [(worker.index, worker.state) for worker in found] == [
            (0, WorkerState.STARTING),
            (1, WorkerState.LOST),
            (10, WorkerState.STARTING),
        ]
        assert await work.read(lambda tx: tx.workers.of("job-03")) == []

    async def pages(
        self, work: WorkFactory[TrainingWork], *, states: Set[JobState] = frozenset(), experiment_id: str = ""
    ) -> Sequence[str]:
        """The ids of all pages of two jobs, one after the other."""
        ids: list[str] = []
        token = ""
        while True:
            request = PageRequest(size=2, token=token, query="q")
            page = await work.read(lambda tx, at=request: tx.jobs.page(at, states=states, experiment_id=experiment_id))  # type: ignore[misc]  # bound per page
            ids += [each.id for each in page.items]
            token = page.next_token
            if not token:
                return ids
