"""When a child that died is started again, and when it is given up: exponential backoff with jitter, within a budget."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from random import Random

from synapsenet.errors import InvalidArgument


@dataclass(frozen=True, slots=True, kw_only=True)
class Restart:
    """How often and how fast.

    Attributes:
        budget: restarts within any `window`; one death more and the child is given up.
        window: seconds. A child that stayed up this long starts afresh.
        first: seconds before the first restart.
        factor: growth of the delay from one restart in the window to the next, at least 1.
        longest: seconds that no delay exceeds.
        jitter: the fraction of a delay, 0..1, that chance may take off it, so that children that died together do not
            come back together.
    """

    budget: int = 5
    window: float = 60.0
    first: float = 0.1
    factor: float = 2.0
    longest: float = 10.0
    jitter: float = 0.3

    def __post_init__(self) -> None:
        if self.budget < 1 or self.window <= 0 or self.first <= 0 or self.longest < self.first:
            raise InvalidArgument("RESTART_INVALID", field="restart", remedy="give a budget, a window and delays above zero")
        if self.factor < 1 or not 0 <= self.jitter <= 1:
            raise InvalidArgument("RESTART_INVALID", field="restart", remedy="give a factor >= 1 and a jitter within 0..1")


class RestartBudget:
    """What is left of one child's restarts."""

    def __init__(self, policy: Restart, random: Random) -> None:
        self._policy = policy
        self._random = random
        self._spent: deque[float] = deque(maxlen=policy.budget)

    def next_delay(self, now: float) -> float | None:
        """Seconds to wait before starting the child again after a death at `now` (monotonic); None: give it up."""
        policy = self._policy
        while self._spent and self._spent[0] <= now - policy.window:
            self._spent.popleft()
        if len(self._spent) == policy.budget:
            return None
        delay = min(policy.longest, policy.first * policy.factor ** len(self._spent))
        self._spent.append(now)
        return delay * (1 - policy.jitter * self._random.random())
