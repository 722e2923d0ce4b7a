"""An area's event as the message that a broker carries."""

from __future__ import annotations

from google.protobuf.timestamp_pb2 import Timestamp

from synapsenet.clock import micros
from synapsenet.platform.events import Event
from synapsenet_api.platform.v1.event_pb2 import Event as Message


def event_value(area: str, event: Event) -> bytes:
    """`event` of `area` on the wire."""
    seconds, rest = divmod(micros(event.occurred_at), 1_000_000)
    return Message(
        id=event.id,
        area=area,
        aggregate=event.aggregate,
        sequence=event.sequence,
        position=event.position,
        type=event.type,
        occur_time=Timestamp(seconds=seconds, nanos=rest * 1_000),
        record_json=event.payload.decode(),
    ).SerializeToString()
