"""Domain records as bytes: how requests remember their answers and events carry their payload.

JSON of the frozen dataclass, written and checked by msgspec: readable in the database, and a record that gained a field with
a default still decodes.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from synapsenet.errors import DataLoss

T = TypeVar("T")


def encode(record: Any) -> bytes:
    """The JSON of a dataclass, with times in RFC 3339 and bytes in base64."""
    return msgspec.json.encode(record)


def decode(kind: type[T], data: bytes) -> T:
    """The `kind` that `encode` made `data` from.

    Raises:
        DataLoss: the bytes are no such record.
    """
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.DecodeError as error:
        raise DataLoss("RECORD_UNREADABLE", f"a stored {kind.__name__} cannot be read", secret=str(error)) from error
