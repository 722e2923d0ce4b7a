"""What a group promises: how fresh its values are, and how well its two stores agree."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import Enum

from synapsenet.errors import InvalidArgument

_NONE = timedelta(0)


class AgeBasis(Enum):
    """The age that counts: that of the event, or of its arrival."""

    EVENT = "EVENT"
    INGEST = "INGEST"


class SlaScope(Enum):
    """Whether each entity has a deadline, or the group as a whole."""

    ENTITY = "ENTITY"
    GROUP = "GROUP"


@dataclass(frozen=True, slots=True, kw_only=True)
class FreshnessSla:
    """How fresh values must be, and when somebody is told that they are not. An age equal to a limit is within it.

    Attributes:
        max_stale_fraction: fraction of stale entities that is tolerated, in [0, 1).
        pending_for: how long the group must be stale before its alert fires.
        keep_firing_for: how long a firing alert goes on after the group is fresh again.
        grace_on_create: time without a first value that is no fault; None for ever.
        max_future_skew: how far ahead of our clock an event time may be; None means the configured tolerance.
        repeat_interval: time after which a firing alert notifies again; None means the configured one.
    """

    error_after: timedelta
    warn_after: timedelta | None = None
    basis: AgeBasis = AgeBasis.EVENT
    scope: SlaScope = SlaScope.ENTITY
    max_stale_fraction: float = 0.0
    pending_for: timedelta = _NONE
    keep_firing_for: timedelta = _NONE
    grace_on_create: timedelta | None = None
    max_future_skew: timedelta | None = None
    repeat_interval: timedelta | None = None

    def __post_init__(self) -> None:
        if self.error_after <= _NONE:
            raise _refusal("error_after", "give a positive age")
        if self.warn_after is not None and not _NONE < self.warn_after < self.error_after:
            raise _refusal("warn_after", "give a positive age below error_after, or leave it out")
        if not 0 <= self.max_stale_fraction < 1:
            raise _refusal("max_stale_fraction", "give a fraction from 0 to below 1")
        if self.max_stale_fraction and self.scope is SlaScope.GROUP:
            raise _refusal("max_stale_fraction", "it belongs to SLA_SCOPE_ENTITY: leave it out")
        for name in ("pending_for", "keep_firing_for", "grace_on_create", "max_future_skew"):
            span: timedelta | None = getattr(self, name)
            if span is not None and span < _NONE:
                raise _refusal(name, "give 0 or more")
        if self.repeat_interval is not None and self.repeat_interval <= _NONE:
            raise _refusal("repeat_interval", "give a positive interval, or leave it out")


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureTolerance:
    """The thresholds of one feature, which go before those of its group."""

    feature: str
    absolute_tolerance: float = 0.0
    relative_tolerance: float = 0.0
    max_mismatch_rate: float = 0.0
    max_psi: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsistencyPolicy:
    """When online values and history count as diverged; see the contract for ranges."""

    period: timedelta | None = None
    sample_size: int = 0
    in_flight_grace: timedelta = _NONE
    absolute_tolerance: float = 0.0
    relative_tolerance: float = 0.0
    max_mismatch_rate: float = 0.0
    max_missing_rate: float = 0.0
    max_psi: float = 0.0
    features: tuple[FeatureTolerance, ...] = ()


def _refusal(name: str, remedy: str) -> InvalidArgument:
    return InvalidArgument("SLA_INVALID", f"the SLA's {name} is out of range", field=f"group.sla.{name}", remedy=remedy)
