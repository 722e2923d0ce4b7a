"""A job that is running: what its processes have reported so far, and the first verdict on how it ends."""

from __future__ import annotations

import asyncio
import hmac
import math
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace

from synapsenet.clock import Clock
from synapsenet.errors import InvalidArgument, PermissionDenied
from synapsenet.training.changes import Changes
from synapsenet.training.model import Evaluation, Failure, Job, Progress, Worker, WorkerState, worker_id
from synapsenet.training.ports import Points
from synapsenet.training.schema import ParameterSchema

_UPLOAD_QUEUE = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """How a job ends: cancelled, failed, or (neither) with all its steps made."""

    cancelled: bool = False
    failure: Failure | None = None

    @property
    def succeeded(self) -> bool:
        return not self.cancelled and self.failure is None

    @property
    def reason(self) -> str:
        """UPPER_SNAKE_CASE."""
        return self.failure.reason if self.failure else "CANCELLED" if self.cancelled else "FINISHED"


class LiveJob:
    """In memory and in one event loop; what must survive is committed by the runner.

    Attributes:
        job: as it was last committed.
        verdict: set once, by whatever comes first.
        all_joined: set when every worker has joined.
        all_done: set when every worker has made all its steps.
        uploading: set when the first of the final parameters have arrived.
        endpoint: where the parameter server listens, once it does.
        schema: the layout of the parameters, once the parameter server has told it.
    """

    def __init__(self, job: Job, *, token: str, clock: Clock, changes: Changes, log_queue: int) -> None:
        loop = asyncio.get_running_loop()
        self.job = job
        self.token = token
        self.workers = [Worker(job_id=job.id, index=index) for index in range(job.spec.workers.count)]
        self.all_joined = asyncio.Event()
        self.all_done = asyncio.Event()
        self.verdict: asyncio.Future[Verdict] = loop.create_future()
        self.endpoint: asyncio.Future[str] = loop.create_future()
        self.schema: asyncio.Future[ParameterSchema] = loop.create_future()
        self.points: asyncio.Queue[Sequence[Points] | None] = asyncio.Queue(log_queue)
        self.logging_failure = ""
        self._clock = clock
        self._changes = changes
        self.uploading = asyncio.Event()
        self._upload: asyncio.Queue[bytes | None] = asyncio.Queue(_UPLOAD_QUEUE)
        self._uploaded = 0
        self._progress = Progress()
        self._joined_at: float | None = None

    @property
    def view(self) -> Job:
        """The job with its progress as it is now."""
        running = sum(worker.state is WorkerState.RUNNING for worker in self.workers)
        progress = replace(self._progress, workers_running=running)
        return replace(self.job, progress=progress, logging_failure=self.logging_failure)

    def check(self, token: str) -> None:
        """Pass if `token` is what the job's processes were given.

        Raises:
            PermissionDenied: JOB_TOKEN_WRONG.
        """
        if not hmac.compare_digest(token.encode(), self.token.encode()):
            raise PermissionDenied("JOB_TOKEN_WRONG", "the caller is no process of this job")

    def end(self, *, cancelled: bool = False, failure: Failure | None = None) -> None:
        """Decide how the job ends; later decisions change nothing."""
        if not self.verdict.done():
            self.verdict.set_result(Verdict(cancelled=cancelled, failure=failure))

    def server_ready(self, endpoint: str, schema: ParameterSchema) -> None:
        """The parameter server listens."""
        if not self.endpoint.done():
            self.schema.set_result(schema)
            self.endpoint.set_result(endpoint)

    def server_silent(self, lease: float) -> None:
        """The parameter server, which reports all the time, has not for `lease` seconds."""
        message = f"the parameter server was lost: nothing was heard of it for {lease:g} s"
        self.end(failure=Failure(reason="PARAMETER_SERVER_LOST", message=message))

    def worker_joined(self, index: int) -> None:
        """The parameter server has let the worker in; it may tell later than the worker that all is done."""
        if self._worker(index).state is WorkerState.STARTING:
            self._set(index, state=WorkerState.RUNNING)
        if all(worker.state is not WorkerState.STARTING for worker in self.workers):
            self._joined_at = self._clock.monotonic()
            self.all_joined.set()

    def worker_loaded(self, index: int, examples: int) -> None:
        self._set(index, examples=examples)

    def worker_started(self, index: int, pid: int) -> None:
        self._set(index, pid=pid)

    def worker_done(self, index: int) -> None:
        self._set(index, state=WorkerState.DONE)
        if all(worker.state is WorkerState.DONE for worker in self.workers):
            self.all_done.set()

    def worker_ended(self, index: int, sentence: str) -> None:
        """The worker's process has ended."""
        state = self._worker(index).state
        self._set(index, exit=sentence, state=state if state is WorkerState.DONE else WorkerState.LOST)

    def made(self, losses: Points, rejected: int, accepted: Sequence[int]) -> None:
        """Updates were made; `losses` has one point an update."""
        if losses.steps:
            step = losses.steps[-1]
            elapsed = self._clock.monotonic() - self._joined_at if self._joined_at is not None else 0.0
            rate = step / elapsed if elapsed > 0 else 0.0
            self._progress = replace(self._progress, step=step, steps_per_second=rate, loss=losses.values[-1])
        self._progress = replace(self._progress, rejected=rejected, accepted=sum(accepted))
        for index, count in enumerate(accepted):
            self._set(index, accepted=count)

    def evaluated(self, evaluation: Evaluation) -> None:
        """The model was measured; a loss that is no number ends the job."""
        if not math.isfinite(evaluation.loss):
            message = f"the loss of version {evaluation.version} is not finite: take a lower learning rate"
            self.end(failure=Failure(reason="LOSS_NOT_FINITE", message=message))
            return
        self._progress = replace(self._progress, evaluation=evaluation)
        self._changes.announce(self.job.id)

    async def record(self, points: Sequence[Points]) -> None:
        """Hand points to the log; waits while it is behind."""
        if self.job.run_id and points:
            await self.points.put(points)

    async def upload(self, offset: int, data: bytes, *, last: bool) -> None:
        """Take the next bytes of the final parameters; waits while their storage is behind.

        Raises:
            InvalidArgument: UPLOAD_BROKEN, out of order, or another length than the schema says.
        """
        end = offset + len(data)
        size = self.schema.result().size if self.schema.done() else 0
        if offset != self._uploaded or end > size or last != (end == size):
            raise InvalidArgument("UPLOAD_BROKEN", f"bytes {offset} to {end} of {size} came after {self._uploaded}")
        self._uploaded = end
        self.uploading.set()
        await self._upload.put(data)
        if last:
            await self._upload.put(None)

    async def uploaded(self) -> AsyncIterator[bytes]:
        """The final parameters as they arrive."""
        while (data := await self._upload.get()) is not None:
            yield data

    def _worker(self, index: int) -> Worker:
        if not 0 <= index < len(self.workers):
            raise InvalidArgument("WORKER_UNKNOWN", f"the job has no {worker_id(index)}", metadata={"job_id": self.job.id})
        return self.workers[index]

    def _set(self, index: int, **changes: object) -> None:
        self.workers[index] = replace(self._worker(index), **changes)  # type: ignore[arg-type]  # fields by name
        self._changes.announce(self.job.id)
