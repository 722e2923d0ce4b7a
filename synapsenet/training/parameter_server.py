"""The parameters of one sync job, and the one lock under which its workers' gradients become updates.

One thread a worker calls in; each waits at the barrier for the others, and the one that completes it makes the update. A
version's parameters are never written to again, so whoever still sends them needs no lock.

    version  updates made so far
    life     joining → training → over (finished, or failed for a reason)
"""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass

from synapsenet.clock import Clock, micros
from synapsenet.training.aggregation import Gradient, finite, mean_gradient
from synapsenet.training.barrier import Barrier
from synapsenet.training.model import Failure, worker_id
from synapsenet.training.optimizer import Updater
from synapsenet.training.refusal import Action, Code, Refused
from synapsenet.training.schema import ParameterSchema, Vector


class Over(Exception):
    """The job is over for this worker: finished, or failed for the reason inside."""

    def __init__(self, failure: Failure | None) -> None:
        super().__init__(failure.message if failure else "the job made all its steps")
        self.failure = failure


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What the server shall do.

    Attributes:
        workers: gradients that make an update.
        steps: updates to make.
        learning_rate: of every update.
        step_timeout: seconds that a step waits after its first gradient and the last worker's joining.
        lease_ttl: seconds of silence after which a worker that is waited for counts as lost.
    """

    workers: int
    steps: int
    learning_rate: float
    step_timeout: float
    lease_ttl: float


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The parameters of one version; not to be written to."""

    version: int
    parameters: Vector


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """An update that was made: its version, mean loss, rate, and wall time in microseconds since 1970."""

    version: int
    loss: float
    learning_rate: float
    time_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What happened since the report before: updates, and the indexes of workers that joined or finished.

    Attributes:
        accepted: gradients applied since the start, by worker index.
        rejected: gradients refused since the start.
    """

    updates: Sequence[Update]
    joined: Sequence[int]
    done: Sequence[int]
    accepted: Sequence[int]
    rejected: int


class ParameterServer:
    """Thread-safe; every wait ends at the latest when `attend`, which one thread must run, declares the job over."""

    def __init__(self, *, plan: Plan, schema: ParameterSchema, parameters: Vector, updater: Updater, clock: Clock) -> None:
        schema.check(parameters)
        self.plan = plan
        self.schema = schema
        self._updater = updater
        self._clock = clock
        self._changed = threading.Condition()
        self._current = Snapshot(0, parameters)
        self._barrier = Barrier(workers=plan.workers, timeout=plan.step_timeout)
        self._heard: dict[int, float] = {}
        self._done: set[int] = set()
        self._all_joined: float | None = None
        self._failure: Failure | None = None
        self._accepted = [0] * plan.workers
        self._rejected = 0
        self._updates: list[Update] = []
        self._news_joined: list[int] = []
        self._news_done: list[int] = []

    def join(self, worker: int) -> Snapshot:
        """Let a worker in; the parameters as they are now.

        Raises:
            Refused: IDENTITY, no worker of the job has this index; FULL, it has joined already.
            Over: the job is over.
        """
        with self._changed:
            self._check()
            if not 0 <= worker < self.plan.workers:
                raise Refused(Code.IDENTITY, Action.STOP, f"the job has workers 0 to {self.plan.workers - 1}, not {worker}")
            if worker in self._heard:
                raise Refused(Code.FULL, Action.STOP, f"{worker_id(worker)} has joined already")
            self._heard[worker] = self._clock.monotonic()
            self._news_joined.append(worker)
            if len(self._heard) == self.plan.workers:
                self._all_joined = self._clock.monotonic()
            self._changed.notify_all()
            return self._current

    def heard(self, worker: int) -> None:
        """The worker gave a sign of life."""
        self._heard[worker] = self._clock.monotonic()

    def pull(self, *, at_least: int = 0) -> Snapshot:
        """The current parameters, once their version has reached `at_least`.

        Raises:
            Refused: VERSION, the job ends before that version.
            Over: the job failed first.
        """
        with self._changed:
            if at_least > self.plan.steps:
                raise Refused(Code.VERSION, Action.STOP, f"version {at_least} will never be: the last one is {self.plan.steps}")
            while self._current.version < at_least:
                self._check()
                self._changed.wait()
            return self._current

    def push(self, worker: int, gradient: Gradient, *, base_version: int) -> Snapshot:
        """Give a gradient to the step that makes version `base_version` + 1; returns that version once it is made.

        Raises:
            Refused: VERSION, the parameters have moved on; NON_FINITE, also fails the job; DUPLICATE.
            Over: the job failed while the step waited for others.
        """
        self.schema.check(gradient.values)
        sound = finite(gradient.values) and math.isfinite(gradient.loss)
        with self._changed:
            self._check()
            if base_version != self._current.version:
                self._rejected += 1
                raise Refused(
                    Code.VERSION,
                    Action.PULL,
                    f"the gradient is of version {base_version}, the step needs {self._current.version}",
                )
            if not sound:
                self._rejected += 1
                who = worker_id(worker)
                message = f"gradient or loss of {who} in step {base_version + 1} is not finite: take a lower learning rate"
                self._fail(Failure(reason="GRADIENT_NOT_FINITE", message=message, worker_id=who))
                raise Refused(Code.NON_FINITE, Action.STOP, message)
            self._barrier.add(worker, gradient, at=self._clock.monotonic())
            if self._barrier.complete:
                self._update()
            self._changed.notify_all()
            while self._current.version <= base_version:
                self._check()
                self._changed.wait()
            return self._current

    def finish(self, worker: int) -> None:
        """The worker has seen the last version and leaves."""
        with self._changed:
            self._done.add(worker)
            self._news_done.append(worker)
            self._changed.notify_all()

    def lose(self, worker: int, failure: Failure | None = None) -> None:
        """The worker is gone, or cannot go on for the reason in `failure`; the job fails unless the worker had finished."""
        with self._changed:
            if worker not in self._done:
                self._fail(failure or self._lost(worker, "its stream broke"))

    def fail(self, failure: Failure) -> None:
        """End the job for `failure`, unless it is over."""
        with self._changed:
            self._fail(failure)

    def attend(self) -> Failure | None:
        """Watch over deadlines and leases until the job is over; why it failed, or None once all workers have finished."""
        with self._changed:
            while not self._over:
                now = self._clock.monotonic()
                deadlines = self._deadlines()
                if deadlines and deadlines[0][0] <= now:
                    self._fail(deadlines[0][1])
                else:
                    self._changed.wait(deadlines[0][0] - now if deadlines else None)
            self._changed.notify_all()
            return self._failure

    def report(self, interval: float = 0.0, *, silence: float | None = None) -> Report | None:
        """Wait for news, then `interval` seconds for more of them; None once the job is over and all has been reported.

        A report that tells nothing new comes after `silence` seconds, so that its reader knows that we live.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._news or self._over, timeout=silence)
            if self._over and not self._news:
                return None
            self._changed.wait_for(lambda: self._over, timeout=interval)
            report = Report(
                updates=self._updates,
                joined=self._news_joined,
                done=self._news_done,
                accepted=tuple(self._accepted),
                rejected=self._rejected,
            )
            self._updates, self._news_joined, self._news_done = [], [], []
            return report

    @property
    def _news(self) -> bool:
        return bool(self._updates or self._news_joined or self._news_done)

    @property
    def _over(self) -> bool:
        return self._failure is not None or len(self._done) == self.plan.workers

    def _update(self) -> None:
        gradients = self._barrier.clear()
        mean = mean_gradient(gradients)
        rate = self.plan.learning_rate
        parameters = self._updater.updated(self._current.parameters, mean.values, rate)
        self._current = Snapshot(self._current.version + 1, parameters)
        for worker in gradients:
            self._accepted[worker] += 1
        time_us = micros(self._clock.now())
        self._updates.append(Update(version=self._current.version, loss=mean.loss, learning_rate=rate, time_us=time_us))

    def _check(self) -> None:
        """Pass while the job goes on."""
        if self._failure is not None:
            raise Over(self._failure)

    def _fail(self, failure: Failure) -> None:
        if not self._over:
            self._failure = failure
            self._changed.notify_all()

    def _deadlines(self) -> list[tuple[float, Failure]]:
        """The instants at which the job would fail and why, the nearest first."""
        found = [
            (
                self._heard[worker] + self.plan.lease_ttl,
                self._lost(worker, f"nothing was heard of it for {self.plan.lease_ttl:g} s"),
            )
            for worker in self._barrier.missing & self._heard.keys() - self._done
        ]
        if self._barrier.deadline is not None and self._all_joined is not None:
            late = ", ".join(map(worker_id, sorted(self._barrier.missing)))
            message = f"step {self._current.version + 1} waited longer than {self.plan.step_timeout:g} s for {late}"
            blamed = worker_id(min(self._barrier.missing))
            at = max(self._barrier.deadline, self._all_joined + self.plan.step_timeout)
            found.append((at, Failure(reason="STEP_TIMEOUT", message=message, worker_id=blamed)))
        return sorted(found, key=lambda deadline: deadline[0])

    def _lost(self, worker: int, how: str) -> Failure:
        message = f"{worker_id(worker)} was lost at step {self._current.version + 1}: {how}"
        return Failure(reason="WORKER_LOST", message=message, worker_id=worker_id(worker))
