"""What an operator can set about how much of the past is kept."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionOptions:
    """How much of the past each area keeps.

    Attributes:
        events: positioned events that watchers can resume from; older ones are trimmed.
        requests_s: seconds for which a request id is recognised and its retry gets the stored answer.
    """

    events: int = 1_000_000
    requests_s: float = 86_400.0
