"""An event as the headers of a Kafka message: CloudEvents 1.0 in binary mode.

Attributes are headers with the prefix `ce_`, the value is the payload as it is ("Kafka Protocol Binding for CloudEvents",
version 1.0.2, section 3.2). The extensions are `partitionkey` and `sequence`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from synapsenet.platform.events import Event

Headers = dict[str, str | bytes | None]  # of text alone, so that the garbage collector never looks at them

CONTENT_TYPE = "application/protobuf"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def header_writer(area: str) -> Callable[[Event], Headers]:
    """Gives the headers of an event of `area`; `ce_id` is what duplicates are known by."""
    source = f"/synapsenet/{area}"

    @lru_cache(maxsize=1 << 10)
    def kind(name: str) -> str:
        return f"synapsenet.{area}.{name}"

    def headers(event: Event) -> Headers:
        of = event.aggregate
        since = event.occurred_at - _EPOCH
        part = f".{since.microseconds:06d}" if since.microseconds else ""
        written: Headers = {
            "ce_specversion": "1.0",
            "ce_id": event.id,
            "ce_source": source,
            "ce_type": kind(event.type),
            "ce_time": f"{_second(since.days, since.seconds)}{part}+00:00",
            "ce_subject": of,
            "ce_partitionkey": of,
            "ce_sequence": str(event.sequence),
            "content-type": CONTENT_TYPE,
        }
        if event.trace is not None:
            written["traceparent"] = event.trace
        return written

    return headers


@lru_cache(maxsize=1 << 10)
def _second(days: int, seconds: int) -> str:
    """That second in UTC; events of one second are many."""
    return (_EPOCH + timedelta(days, seconds)).isoformat()[:19]
