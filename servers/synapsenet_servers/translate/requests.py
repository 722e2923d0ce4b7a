"""The identity of a creating call."""

from __future__ import annotations

import hashlib
from typing import Any

from google.protobuf.message import Message

from synapsenet.platform.work import Request


def request(message: Message) -> Request:
    """The request id of `message` with the digest of all else in it; its type stands for the method."""
    body: Any = type(message)()
    body.CopyFrom(message)
    request_id = body.request_id
    body.ClearField("request_id")
    kind = message.DESCRIPTOR.full_name.encode("utf-8")
    return Request(request_id, hashlib.sha256(kind + b"\0" + body.SerializeToString(deterministic=True)).digest())
