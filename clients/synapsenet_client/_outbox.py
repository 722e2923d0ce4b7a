"""Metric points on their way to the platform: what waits, what is being delivered, and when delivery is given up.

No I/O here: the blocking and the asyncio run drive the same outbox.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping

from synapsenet_api.experiments.v1.metric_pb2 import MetricPoints
from synapsenet_client._errors import DeadlineExceeded, InvalidArgument, ResourceExhausted, SynapseNetError, Unavailable

BATCH_POINTS = 20_000
"""Points delivered in one message; the contract takes up to 100,000."""

_LONGEST_NAME = 250
_LONGEST_PAUSE = 30.0
_TRANSIENT = (Unavailable, DeadlineExceeded, ResourceExhausted)


class Outbox:
    """A bounded buffer of points; safe to add to from any thread while one other delivers.

    Args:
        limit: points that may wait; further ones are dropped and counted.
        patience: seconds after the first failure for which a delivery is tried again.
        now: seconds on a clock that only goes forward.
    """

    def __init__(self, *, limit: int, patience: float, now: Callable[[], float] = time.monotonic) -> None:
        self.dropped = 0
        self._limit = limit
        self._patience = patience
        self._now = now
        self._lock = threading.Lock()
        self._waiting: dict[str, MetricPoints] = {}
        self._count = 0
        self._delivering: list[MetricPoints] = []
        self._failing_since: float | None = None
        self._failures = 0

    def add(self, metrics: Mapping[str, float], step: int, time_us: int) -> None:
        """Put one step's values aside.

        Raises:
            InvalidArgument: the platform would refuse them; they are refused here, before they hold up what comes after.
        """
        if step < 0:
            raise InvalidArgument(f"step: {step} is negative: steps count from 0", reason="STEP_NEGATIVE")
        for name in metrics:
            if not 0 < len(name) <= _LONGEST_NAME or not name.isprintable() or name != name.strip():
                raise InvalidArgument(
                    f"metrics: {name[:40]!r} is no name: use 1 to {_LONGEST_NAME} printable characters, no blanks around them",
                    reason="METRIC_NAME",
                )
        with self._lock:
            for name, value in metrics.items():
                if self._count >= self._limit:
                    self.dropped += 1
                    continue
                points = self._waiting.get(name)
                if points is None:
                    points = self._waiting[name] = MetricPoints(metric=name)
                points.steps.append(step)
                points.values.append(value)
                points.times_us.append(time_us)
                self._count += 1

    def batch(self) -> list[MetricPoints]:
        """The points to deliver now: the same ones until they are `delivered`; none if nothing waits."""
        with self._lock:
            if not self._delivering:
                self._delivering = self._taken()
            return self._delivering

    def _taken(self) -> list[MetricPoints]:
        """Up to BATCH_POINTS of the points that wait; a series longer than the room left is cut."""
        taken: list[MetricPoints] = []
        room = BATCH_POINTS
        for name in list(self._waiting):
            points = self._waiting[name]
            if len(points.steps) > room:
                taken.append(_slice(points, 0, room))
                self._waiting[name] = _slice(points, room, None)
                break
            taken.append(self._waiting.pop(name))
            room -= len(points.steps)
            if not room:
                break
        return taken

    def delivered(self) -> None:
        with self._lock:
            self._count -= sum(len(points.steps) for points in self._delivering)
            self._delivering = []
        self.answered()

    def answered(self) -> None:
        """The platform is there: the next failure is the first."""
        self._failing_since = None
        self._failures = 0

    def failed(self, error: SynapseNetError) -> float:
        """What a failed delivery means: seconds to wait before the next try.

        Raises:
            SynapseNetError: `error` itself, if it is none that passes, or patience is at its end.
        """
        now = self._now()
        self._failing_since = now if self._failing_since is None else self._failing_since
        self._failures += 1
        if not isinstance(error, _TRANSIENT) or now - self._failing_since >= self._patience:
            raise error
        return min(error.retry_after or min(0.2 * 2 ** (self._failures - 1), 5.0), _LONGEST_PAUSE)


def _slice(points: MetricPoints, start: int, stop: int | None) -> MetricPoints:
    return MetricPoints(
        metric=points.metric,
        steps=points.steps[start:stop],
        values=points.values[start:stop],
        times_us=points.times_us[start:stop],
    )
