"""How the records of jobs are kept: each state with its event, and patiently while the database cannot take them."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from synapsenet.clock import Clock
from synapsenet.errors import ResourceExhausted, Unavailable
from synapsenet.training.model import Job, JobChanged
from synapsenet.training.ports import TrainingWork

T = TypeVar("T")

_AGAIN_S = 1.0

_log = logging.getLogger(__name__)


def record(tx: TrainingWork, job: Job) -> Job:
    """Keep the job and tell that its state has changed."""
    tx.jobs.put(job)
    tx.events.append(f"job/{job.id}", JobChanged(job_id=job.id, state=job.state, failure=job.failure))
    return job


async def insist(commit: Callable[[], Awaitable[T]], clock: Clock) -> T:
    """What `commit` gives, tried once a second while the disk is full or the database busy, until cancelled.

    What became of a job must be recorded some time, and a full disk must not take down all that runs beside the job.
    """
    while True:
        try:
            return await commit()
        except (ResourceExhausted, Unavailable) as error:
            _log.warning("the record of a job waits: %s", error.public)
            await clock.sleep(_AGAIN_S)
