"""The bounds of monitoring."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitoringOptions:
    """What an operator may set.

    Attributes:
        ages_timeout_s: seconds that the feature store has to tell the ages of one group.
        entities_per_request: entities that one request may ask for.
        stalest: entities that one request may have named in each group.
    """

    ages_timeout_s: float = 20.0
    entities_per_request: int = 1_000
    stalest: int = 1_000
