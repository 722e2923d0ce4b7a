"""Batches: requests that wait a little, run together, and get their own rows back.

A line of requests of one kind (equal trailing shapes) leaves when it holds a full batch, or when its oldest request has
lingered long enough and the model is free to run another batch. A request that expires or is given up leaves its line at
once. If a batch fails, its requests are run one by one, so that only the guilty one fails.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from synapsenet.clock import Clock
from synapsenet.errors import DeadlineExceeded, FailedPrecondition, Internal, ResourceExhausted, SynapseError, Unavailable
from synapsenet.inference.model import BatchingPolicy
from synapsenet.inference.ports import Executable, Executor
from synapsenet.inference.tensors import Array, Inputs

NEVER = float("inf")
_SOONEST_RETRY_S = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The outputs of one request, in the signature's order, and how it came by them.

    Attributes:
        queue_s: seconds that it waited for its batch.
        compute_s: seconds that its batch ran.
        batch_rows: rows of its batch.
    """

    outputs: tuple[Array, ...]
    queue_s: float
    compute_s: float
    batch_rows: int


@dataclass(slots=True, kw_only=True)
class Totals:
    """What a batcher has done; times in seconds, summed."""

    succeeded: int = 0
    failed: int = 0
    rejected: int = 0
    expired: int = 0
    cancelled: int = 0
    rows: int = 0
    batches: int = 0
    queue_s: float = 0.0
    compute_s: float = 0.0

    @property
    def ended(self) -> int:
        """Requests and items that were accepted and have ended, one way or another."""
        return self.succeeded + self.failed + self.expired + self.cancelled


@dataclass(slots=True, eq=False, kw_only=True)
class _Waiting:
    """A request in its line or in its batch."""

    inputs: Inputs
    arrived: float
    expires: float
    answer: asyncio.Future[Answer]


@dataclass(slots=True)
class _Line:
    """Requests of one kind, the oldest first."""

    requests: dict[_Waiting, None] = field(default_factory=dict)
    rows: int = 0

    def head(self) -> _Waiting:
        return next(iter(self.requests))

    def take(self, most: int) -> list[_Waiting]:
        """Requests from the front with up to `most` rows together; the first one whatever its rows."""
        taken: list[_Waiting] = []
        rows = 0
        for request in self.requests:
            rows += request.inputs.rows
            if taken and rows > most:
                break
            taken.append(request)
        return taken


class Batcher:
    """The queue of one loaded model.

    Attributes:
        queued_rows: rows that wait.
        queued_bytes: bytes of inputs that wait.
        running: batches that run.
        target: rows that a batch should have.
        linger: seconds that a request waits for others at most.
    """

    def __init__(self, *, executable: Executable, executor: Executor, policy: BatchingPolicy, clock: Clock) -> None:
        self._executable = executable
        self._executor = executor
        self._policy = policy
        self._clock = clock
        self.linger = policy.max_linger.total_seconds()
        self.target = policy.max_batch_size if executable.signature.batches else 1
        self._lines: dict[tuple[tuple[int, ...], ...], _Line] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.Task[None] | None = None
        self._armed = NEVER
        self._draining = False
        self.queued_rows = 0
        self.queued_bytes = 0
        self.running = 0
        self.totals = Totals()

    async def answer(self, inputs: Inputs, *, timeout: float | None = None) -> Answer:
        """The model's outputs for `inputs`, within `timeout` seconds; cancelling the caller withdraws the request.

        Raises:
            ResourceExhausted: QUEUE_FULL.
            DeadlineExceeded: EXPIRED_IN_QUEUE, the time was over before the request's turn came.
            FailedPrecondition: MODEL_NOT_DEPLOYED, the model is being undeployed.
            InvalidArgument: MODEL_FAILED, the model cannot be computed for these inputs.
        """
        request = self._enqueue(inputs, NEVER if timeout is None else self._clock.monotonic() + timeout)
        try:
            return await request.answer
        except asyncio.CancelledError:
            self.totals.cancelled += 1
            self._withdraw(request)
            raise

    async def drain(self) -> None:
        """Take nothing more, and return when everything accepted is answered."""
        self._draining = True
        self._dispatch()
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def close(self) -> None:
        """Fail what is not answered; a batch that runs ends by itself, unheard."""
        self._draining = True
        for request in self._queued():
            self._withdraw(request)
            _fail(request, _unloaded())
        for task in list(self._tasks):
            task.cancel()
        if self._timer is not None:
            self._timer.cancel()
        await asyncio.gather(*self._tasks, *([self._timer] if self._timer else []), return_exceptions=True)

    def _enqueue(self, inputs: Inputs, expires: float) -> _Waiting:
        self._admit(inputs)
        now = self._clock.monotonic()
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        request = _Waiting(inputs=inputs, arrived=now, expires=expires, answer=future)
        line = self._lines.setdefault(inputs.kind, _Line())
        line.requests[request] = None
        line.rows += inputs.rows
        self.queued_rows += inputs.rows
        self.queued_bytes += inputs.size
        if expires <= now:
            self._expire()
        self._dispatch()
        if not future.done() and request in line.requests:
            self._arm(min(expires, now + self.linger))
        return request

    def _admit(self, inputs: Inputs) -> None:
        if self._draining:
            raise FailedPrecondition("MODEL_NOT_DEPLOYED", "the model is being undeployed", remedy="ask for another version")
        rows, size = self.queued_rows + inputs.rows, self.queued_bytes + inputs.size
        if self.queued_rows and (rows > self._policy.max_queued_rows or size > self._policy.max_queued_bytes):
            self.totals.rejected += 1
            raise ResourceExhausted(
                "QUEUE_FULL",
                f"{self.queued_rows} rows and {self.queued_bytes} bytes wait for the model already",
                remedy="retry later, or raise max_queued_rows and max_queued_bytes",
                retry_after=self._until_room(),
            )

    def _until_room(self) -> float:
        """Seconds that the batches now waiting should take; a guess from the mean batch so far."""
        mean = self.totals.compute_s / self.totals.batches if self.totals.batches else 0.0
        ahead = self.queued_rows / self.target / self._policy.max_running_batches
        return max(_SOONEST_RETRY_S, ahead * mean)

    def _withdraw(self, request: _Waiting) -> None:
        """Take `request` out of its line, if it is still there."""
        line = self._lines.get(request.inputs.kind)
        if line is None or request not in line.requests:
            return
        del line.requests[request]
        line.rows -= request.inputs.rows
        self.queued_rows -= request.inputs.rows
        self.queued_bytes -= request.inputs.size
        if not line.requests:
            del self._lines[request.inputs.kind]

    def _dispatch(self) -> None:
        """Start every batch that is due and may run."""
        now = self._clock.monotonic()
        while self.running < self._policy.max_running_batches:
            due = [line for line in self._lines.values() if self._due(line) <= now]
            if not due:
                return
            batch = min(due, key=lambda line: line.head().arrived).take(self.target)
            for request in batch:
                self._withdraw(request)
            self.running += 1
            task = asyncio.create_task(self._run(batch))
            self._tasks.add(task)
            task.add_done_callback(partial(self._ended, batch))

    def _due(self, line: _Line) -> float:
        """When the line's next batch should leave."""
        full = line.rows >= self.target or self._draining
        return line.head().arrived + (0.0 if full else self.linger)

    async def _run(self, batch: list[_Waiting]) -> None:
        try:
            await self._compute(batch)
        finally:
            self.running -= 1
            self._dispatch()
            if self.running < self._policy.max_running_batches:
                self._arm(min((self._due(line) for line in self._lines.values()), default=NEVER))

    def _ended(self, batch: Sequence[_Waiting], task: asyncio.Task[None]) -> None:
        """A batch is over; one that was cancelled, perhaps before it began, has left requests unanswered."""
        self._tasks.discard(task)
        for request in batch:
            _fail(request, _unloaded())

    async def _compute(self, batch: Sequence[_Waiting]) -> None:
        """Run `batch` and answer it; if it fails as a whole, run its requests one by one."""
        begun = self._clock.monotonic()
        try:
            parts = await self._executor.run(_joint_run(self._executable, [request.inputs for request in batch]))
        except Exception as error:  # noqa: BLE001 - whatever a model throws is the answer of its requests
            if len(batch) == 1:
                self.totals.failed += 1
                _fail(batch[0], error if isinstance(error, SynapseError) else _crashed(error))
                return
            for request in batch:
                if not request.answer.done():
                    await self._compute([request])
            return
        if parts is None:  # its outputs have other rows than its inputs: this model only answers single requests
            self.target = 1
            for request in batch:
                await self._compute([request])
            return
        self._give(batch, parts, begun, self._clock.monotonic() - begun)

    def _give(self, batch: Sequence[_Waiting], parts: Sequence[tuple[Array, ...]], begun: float, compute_s: float) -> None:
        rows = sum(request.inputs.rows for request in batch)
        self.totals.batches += 1
        self.totals.rows += rows
        self.totals.compute_s += compute_s
        for request, outputs in zip(batch, parts, strict=True):
            if request.answer.done():
                continue
            waited = begun - request.arrived
            self.totals.succeeded += 1
            self.totals.queue_s += waited
            request.answer.set_result(Answer(outputs=outputs, queue_s=waited, compute_s=compute_s, batch_rows=rows))

    def _arm(self, due: float) -> None:
        """See to it that the batcher wakes at `due`, or before."""
        if due >= self._armed:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._armed = due
        self._timer = asyncio.create_task(self._wake(due))

    async def _wake(self, due: float) -> None:
        await self._clock.sleep(due - self._clock.monotonic())
        self._timer, self._armed = None, NEVER
        self._expire()
        self._dispatch()
        due = min((request.expires for request in self._queued()), default=NEVER)
        if self.running < self._policy.max_running_batches:
            due = min((self._due(line) for line in self._lines.values()), default=due)
        self._arm(due)

    def _expire(self) -> None:
        now = self._clock.monotonic()
        for request in [request for request in self._queued() if request.expires <= now]:
            self._withdraw(request)
            self.totals.expired += 1
            _fail(
                request,
                DeadlineExceeded(
                    "EXPIRED_IN_QUEUE", "the deadline passed before the request's turn came", remedy="allow more time"
                ),
            )

    def _queued(self) -> list[_Waiting]:
        return [request for line in self._lines.values() for request in line.requests]


def _joint_run(executable: Executable, requests: Sequence[Inputs]) -> Callable[[], list[tuple[Array, ...]] | None]:
    """A function that runs `requests` as one batch and gives each its rows; None if the outputs' rows are not theirs."""

    def run() -> list[tuple[Array, ...]] | None:
        if len(requests) == 1:
            return [tuple(executable.compute(requests[0].arrays))]
        joined = [np.concatenate(arrays) for arrays in zip(*(request.arrays for request in requests), strict=True)]
        outputs = executable.compute(joined)
        ends = list(itertools.accumulate(request.rows for request in requests))
        if any(output.shape[:1] != (ends[-1],) for output in outputs):
            return None
        return list(zip(*(np.split(output, ends[:-1]) for output in outputs), strict=True))

    return run


def _fail(request: _Waiting, error: SynapseError) -> None:
    if not request.answer.done():
        request.answer.set_exception(error)


def _unloaded() -> Unavailable:
    return Unavailable("MODEL_UNLOADED", "the model was unloaded before it answered", remedy="retry", retry_after=1.0)


def _crashed(error: Exception) -> Internal:
    return Internal("MODEL_CRASHED", "the model ended with an unexpected error", secret=f"{type(error).__name__}: {error}")
