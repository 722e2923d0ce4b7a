"""An area's event as the message that a broker carries."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache

from synapsenet.platform.events import Event
from synapsenet_api.platform.v1.event_pb2 import Event as Message

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_RECORD = bytes((Message.RECORD_JSON_FIELD_NUMBER << 3 | 2,))  # tag of the last field, which is length-delimited


def event_encoder(area: str) -> Callable[[Event], bytes]:
    """Gives an event of `area` on the wire, byte for byte as protobuf writes it; for one thread, since it keeps a message.

    The record, which is most of it, is the last field: written behind the others it is copied once, and not looked through.
    """
    message = Message(area=area)
    time = message.occur_time

    def encoded(event: Event) -> bytes:
        message.id, message.aggregate, message.sequence, message.position, message.type, record, occurred_at, _ = event
        since = occurred_at - _EPOCH
        time.seconds = since.days * 86_400 + since.seconds
        time.nanos = since.microseconds * 1_000
        return b"%b%b%b" % (message.SerializeToString(), _record_head(len(record)), record)

    return encoded


@lru_cache(maxsize=1 << 14)
def _record_head(length: int) -> bytes:
    """Tag and length, as a varint: seven bits a byte, the lowest first, all but the last with the eighth bit set.

    What is empty is not written at all ("Encoding" in protobuf's documentation).
    """
    head = bytearray(_RECORD if length else b"")
    while length > 0x7F:
        head.append(length & 0x7F | 0x80)
        length >>= 7
    if length:
        head.append(length)
    return bytes(head)
