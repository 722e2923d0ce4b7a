"""An event as the headers of a Kafka message: CloudEvents 1.0 in binary mode.

Attributes are headers with the prefix `ce_`, the value is the payload as it is ("Kafka Protocol Binding for CloudEvents",
version 1.0.2, section 3.2). The extensions are `partitionkey` and `sequence`.
"""

from __future__ import annotations

from synapsenet.platform.events import Event

Headers = dict[str, str | bytes | None]  # of text alone, so that the garbage collector never looks at them

CONTENT_TYPE = "application/protobuf"


def headers(area: str, event: Event) -> Headers:
    """The headers of `event` of `area`; `ce_id` is what duplicates are known by."""
    return {
        "ce_specversion": "1.0",
        "ce_id": event.id,
        "ce_source": f"/synapsenet/{area}",
        "ce_type": f"synapsenet.{area}.{event.type}",
        "ce_time": event.occurred_at.isoformat(),
        "ce_subject": event.aggregate,
        "ce_partitionkey": event.aggregate,
        "ce_sequence": str(event.sequence),
        "content-type": CONTENT_TYPE,
    }
