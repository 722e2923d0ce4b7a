"""Bounds of the coordinator."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class LifecycleOptions:
    """Bounds of the coordinator.

    Attributes:
        lease_s: seconds after which another coordinator may take over a model whose holder died.
        sweep_s: seconds between looks for operations that nobody carries on.
        release_s: seconds for which even a caller without patience waits for a lock that no operation needs any more.
        longest_wait_s: seconds that an operation may wait for a model, whatever its caller asks for.
        compensation_attempts: failures of one compensation after which a person is asked to look; it is tried on.
        first_pause_s: seconds before the second attempt at a step; it doubles, and is spread by chance.
        longest_pause_s: seconds between attempts, at most.
        records_pause_s: seconds before the coordinator asks its own database again.
        peer_s: seconds that a question to the registry may take.
        operations_days: days for which operations that ended are kept, and no shorter than `retention.requests_s`; transitions
            are kept for ever.
    """

    lease_s: float = 15.0
    sweep_s: float = 1.0
    release_s: float = 2.0
    longest_wait_s: float = 3_600.0
    compensation_attempts: int = 5
    first_pause_s: float = 0.2
    longest_pause_s: float = 30.0
    records_pause_s: float = 0.5
    peer_s: float = 10.0
    operations_days: int = 90

    @property
    def operations_age(self) -> timedelta:
        return timedelta(days=self.operations_days)
