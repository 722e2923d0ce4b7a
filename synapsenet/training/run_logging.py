"""What a job logs to the experiments: its hyperparameters, its points while it runs, and how it ended.

The training goes on when the log is away; what was missed is then told in the job's `logging_failure`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence

from synapsenet.errors import SynapseError
from synapsenet.training.live_job import LiveJob
from synapsenet.training.model import Job, JobState
from synapsenet.training.ports import NewRun, Points, RunLog

_ATTEMPTS = 3


def new_run(job: Job) -> NewRun:
    """The run that `job` logs to. What makes replicates or data differ (seed, ids) is no hyperparameter."""
    spec = job.spec
    params: dict[str, str | int | float | bool] = {
        "mode": str(spec.mode),
        "model": spec.model.entry_point,
        "optimizer": str(spec.optimizer.kind),
        "learning_rate": spec.optimizer.learning_rate,
        "momentum": spec.optimizer.momentum,
        "batch_size": spec.batch_size,
        "steps": spec.steps,
        "workers": spec.workers.count,
    }
    for name, value in sorted(spec.model.arguments.items()):
        params[f"model.{name}"] = value if isinstance(value, str | int | float | bool) else json.dumps(value)
    tags = {"job_id": job.id, "training_data": spec.training_data.location}
    if spec.evaluation_data:
        tags["evaluation_data"] = spec.evaluation_data.location
    return NewRun(
        experiment_id=spec.experiment_id,
        name=spec.run_name or job.id,
        seed=spec.seed,
        params=params | dict(spec.run_params),
        tags=tags,
        request_id=f"{job.id}/run",
    )


async def log_points(live: LiveJob, log: RunLog, *, timeout: float) -> None:
    """Send the job's points on as they come, until there are no more; each call has `timeout` seconds."""
    while (points := await live.points.get()) is not None:
        if not live.logging_failure:
            await _log(live, log, points, timeout=timeout)


async def finish_run(live: LiveJob, log: RunLog, state: JobState, reason: str, *, timeout: float) -> None:
    """End the job's run, all of whose points have been sent on."""
    if live.job.run_id:
        trouble = await end_run(live.job.run_id, log, state, reason, timeout=timeout)
        live.logging_failure = live.logging_failure or trouble


async def end_run(run_id: str, log: RunLog, state: JobState, reason: str, *, timeout: float) -> str:
    """End a run; why that was not possible, as a sentence, or nothing."""
    try:
        async with asyncio.timeout(timeout):
            await log.finish(run_id, state, reason)
    except (SynapseError, TimeoutError) as error:
        return f"the run could not be ended: {_sentence(error)}"
    return ""


async def _log(live: LiveJob, log: RunLog, points: Sequence[Points], *, timeout: float) -> None:
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            async with asyncio.timeout(timeout):
                await log.log(live.job.run_id, points)
                return
        except (SynapseError, TimeoutError) as error:
            # Who does not answer at all is not asked again: the job's own reports wait meanwhile.
            if attempt == _ATTEMPTS or isinstance(error, TimeoutError):
                live.logging_failure = f"points were not logged from step {points[0].steps[0]} on: {_sentence(error)}"
                return


def _sentence(error: SynapseError | TimeoutError) -> str:
    return error.public if isinstance(error, SynapseError) else "the experiments did not answer in time"
