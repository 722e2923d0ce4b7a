"""Domain records as bytes: how requests remember their answers and events carry their payload.

JSON of the frozen dataclass, written and checked by msgspec: readable in the database, and a record that gained a field with
a default still decodes.
"""

from __future__ import annotations

import threading
from typing import Any, TypeVar

import msgspec

from synapsenet.errors import DataLoss

T = TypeVar("T")

_decoders: dict[type[Any], msgspec.json.Decoder[Any]] = {}
_one_at_a_time = threading.Lock()


def encode(record: Any) -> bytes:
    """The JSON of a dataclass, with times in RFC 3339 and bytes in base64."""
    return msgspec.json.encode(record)


def decode(kind: type[T], data: bytes) -> T:
    """The `kind` that `encode` made `data` from.

    Raises:
        DataLoss: the bytes are no such record.
    """
    try:
        return _decoder(kind).decode(data)
    except msgspec.DecodeError as error:
        raise DataLoss("RECORD_UNREADABLE", f"a stored {kind.__name__} cannot be read", secret=str(error)) from error


def _decoder(kind: type[T]) -> msgspec.json.Decoder[T]:
    if kind not in _decoders:
        # msgspec describes a class to itself at its first use, and other threads crash on the half-made description.
        with _one_at_a_time:
            _decoders.setdefault(kind, msgspec.json.Decoder(kind))
    return _decoders[kind]
