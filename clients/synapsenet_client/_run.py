"""A run that is logged from a training loop: `log` returns at once, points travel in the background."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING

from synapsenet_api.experiments.v1.run_pb2 import Run
from synapsenet_client._errors import FailedPrecondition, ResourceExhausted, SynapseNetError
from synapsenet_client._outbox import Outbox

if TYPE_CHECKING:
    from synapsenet_client._experiments import AsyncExperiments, Experiments

_HEARTBEAT = 30.0
"""Seconds without points after which the run says that it is alive."""


class _Logging:
    """What both kinds of run share: the buffer, and what its end means."""

    def __init__(self, run: Run, *, max_buffered_points: int, patience: float) -> None:
        self.id = run.id
        self.experiment_id = run.experiment_id
        self.configuration_id = run.configuration_id
        self._outbox = Outbox(limit=max_buffered_points, patience=patience)
        self._steps = itertools.count()
        self._failure: Exception | None = None
        self._ended = False

    @property
    def dropped_points(self) -> int:
        """Points that found the buffer full."""
        return self._outbox.dropped

    def _add(self, metrics: Mapping[str, float], step: int | None) -> None:
        if self._ended:
            raise FailedPrecondition(f"run {self.id} is finished: log before finish, or start another run", reason="RUN_ENDED")
        number = next(self._steps) if step is None else step
        self._outbox.add({name: float(value) for name, value in metrics.items()}, number, time.time_ns() // 1000)

    def _loss(self) -> Exception | None:
        """What kept points from being stored."""
        if self._failure is None and self._outbox.dropped:
            return ResourceExhausted(
                f"{self._outbox.dropped} points of run {self.id} were dropped, since more came than could be delivered: "
                "raise max_buffered_points, or log less often",
                reason="METRIC_BUFFER_FULL",
            )
        return self._failure


class LoggedRun(_Logging):
    """A run of `client.experiments.run`; `id` names it. A thread delivers what `log` puts aside."""

    def __init__(self, experiments: Experiments, run: Run, *, max_buffered_points: int, patience: float) -> None:
        super().__init__(run, max_buffered_points=max_buffered_points, patience=patience)
        self._experiments = experiments
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._deliver, name=f"synapsenet-{self.id}", daemon=True)
        self._thread.start()

    def log(self, metrics: Mapping[str, float], *, step: int | None = None) -> None:
        """Put points aside for delivery; never waits.

        Args:
            metrics: value by name; NaN and infinities are kept as such.
            step: from 0; None counts the calls that gave none.

        Raises:
            InvalidArgument: a name is empty or too long, or the step is negative.
            FailedPrecondition: the run is finished.
        """
        self._add(metrics, step)
        self._wake.set()

    def finish(self, state: str = "FINISHED", *, reason: str = "") -> None:
        """Deliver what is left and end the run.

        Raises:
            SynapseNetError: points could not be delivered, or were dropped; the run is ended all the same, if it can be.
        """
        self._ended = True
        self._wake.set()
        self._thread.join()
        self._end(state, reason)
        if (loss := self._loss()) is not None:
            raise loss

    def __enter__(self) -> LoggedRun:
        return self

    def __exit__(self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None) -> None:
        if problem is None:
            self.finish()
            return
        state, reason = _ending(problem)
        try:
            self.finish(state, reason=reason)
        except SynapseNetError as loss:
            problem.add_note(f"the run was not logged whole: {loss}")

    def _end(self, state: str, reason: str) -> None:
        while True:
            try:
                self._experiments.finish_run(self.id, state=state, reason=reason)
                return
            except SynapseNetError as failure:
                if self._failure is not None:
                    raise self._failure from failure
                time.sleep(self._outbox.failed(failure))

    def _deliver(self) -> None:
        try:
            while not (self._ended and not self._outbox.batch()):
                self._wake.clear()
                try:
                    self._deliver_batch()
                except SynapseNetError as failure:
                    time.sleep(self._outbox.failed(failure))
        except Exception as failure:  # noqa: BLE001  # this thread has nobody to raise to: `finish` raises it
            self._failure = failure

    def _deliver_batch(self) -> None:
        if points := self._outbox.batch():
            self._experiments.log_points(self.id, [points])
            self._outbox.delivered()
        elif not self._ended and not self._wake.wait(_HEARTBEAT):
            self._experiments.heartbeat(self.id)
            self._outbox.answered()


class AsyncLoggedRun(_Logging):
    """A run of an asyncio client's `experiments.run`; a task delivers what `log` puts aside."""

    def __init__(self, experiments: AsyncExperiments, run: Run, *, max_buffered_points: int, patience: float) -> None:
        super().__init__(run, max_buffered_points=max_buffered_points, patience=patience)
        self._experiments = experiments
        self._wake = asyncio.Event()
        self._task = asyncio.create_task(self._deliver(), name=f"synapsenet-{self.id}")

    def log(self, metrics: Mapping[str, float], *, step: int | None = None) -> None:
        """Put points aside for delivery; never waits. Arguments as of LoggedRun, called in the client's loop."""
        self._add(metrics, step)
        self._wake.set()

    async def finish(self, state: str = "FINISHED", *, reason: str = "") -> None:
        """Deliver what is left and end the run.

        Raises:
            SynapseNetError: points could not be delivered, or were dropped; the run is ended all the same, if it can be.
        """
        self._ended = True
        self._wake.set()
        await self._task
        await self._end(state, reason)
        if (loss := self._loss()) is not None:
            raise loss

    async def __aenter__(self) -> AsyncLoggedRun:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        if problem is None:
            await self.finish()
            return
        state, reason = _ending(problem)
        try:
            await self.finish(state, reason=reason)
        except SynapseNetError as loss:
            problem.add_note(f"the run was not logged whole: {loss}")

    async def _end(self, state: str, reason: str) -> None:
        while True:
            try:
                await self._experiments.finish_run(self.id, state=state, reason=reason)
                return
            except SynapseNetError as failure:
                if self._failure is not None:
                    raise self._failure from failure
                await asyncio.sleep(self._outbox.failed(failure))

    async def _deliver(self) -> None:
        try:
            while not (self._ended and not self._outbox.batch()):
                self._wake.clear()
                try:
                    await self._deliver_batch()
                except SynapseNetError as failure:
                    await asyncio.sleep(self._outbox.failed(failure))
        except Exception as failure:  # noqa: BLE001  # nobody awaits this task before `finish`, which raises it
            self._failure = failure

    async def _deliver_batch(self) -> None:
        if points := self._outbox.batch():
            await self._experiments.log_points(self.id, [points])
            self._outbox.delivered()
        elif not self._ended:
            try:
                await asyncio.wait_for(self._wake.wait(), _HEARTBEAT)
            except TimeoutError:
                await self._experiments.heartbeat(self.id)
                self._outbox.answered()


def _ending(problem: BaseException) -> tuple[str, str]:
    """State and reason of a run whose block was left by an exception."""
    if isinstance(problem, KeyboardInterrupt | asyncio.CancelledError):
        return "CANCELLED", "interrupted"
    return "FAILED", f"{type(problem).__name__}: {problem}"[:500]
