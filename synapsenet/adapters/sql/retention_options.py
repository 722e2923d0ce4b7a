"""What an operator can set about how much of the past is kept."""

from __future__ import annotations

from dataclasses import dataclass

from synapsenet.errors import InvalidArgument


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionOptions:
    """How much of the past each area keeps.

    Attributes:
        events: positioned events that watchers can resume from; older ones are trimmed.
        events_s: seconds after which an event is trimmed, however few there are; 0: none is too old.
        requests_s: seconds for which a request id is recognised and its retry gets the stored answer.
    """

    events: int = 1_000_000
    events_s: float = 0.0
    requests_s: float = 86_400.0

    def __post_init__(self) -> None:
        for name in ("events", "events_s", "requests_s"):
            if getattr(self, name) < 0:
                raise InvalidArgument("RETENTION_OPTION_INVALID", field=f"retention.{name}", remedy="choose 0 or more")
