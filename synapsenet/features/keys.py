"""Entity keys as bytes for the stores, and as text for people.

Bytes keep the order of the values and mark their own ends, so that composite keys cannot run into each other: INT64 is 8
bytes big-endian with its sign bit turned; STRING is UTF-8 with 00 written as 00 FF, ended by 00 01.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synapsenet.errors import InvalidArgument
from synapsenet.features.columns import Column, Columns, column_of
from synapsenet.features.model import EntityKey, ValueType

LONGEST_KEY = 480  # bytes; LMDB takes keys of 511, of which the group has 8

_SIGN = np.uint64(1 << 63)
_WIDTH = 8


def encode_keys(entity_keys: Sequence[EntityKey], columns: Columns, *, field: str) -> list[bytes]:
    """The key of each row.

    Raises:
        InvalidArgument: COLUMN_MISSING, COLUMN_TYPE, ENTITY_KEY_NULL, or ENTITY_KEY_TOO_LONG.
    """
    parts = [_encode(key, columns.require(key.column, field=field)) for key in entity_keys]
    keys = parts[0] if len(parts) == 1 else [b"".join(row) for row in zip(*parts, strict=True)]
    if any(key.type is ValueType.STRING for key in entity_keys) and max(map(len, keys), default=0) > LONGEST_KEY:
        raise InvalidArgument(
            "ENTITY_KEY_TOO_LONG", field=field, remedy=f"keep an entity's keys together below {LONGEST_KEY} bytes"
        )
    return keys


def _encode(key: EntityKey, column: Column) -> list[bytes]:
    if key.type is ValueType.INT64:
        turned = (column.values.astype(np.int64).view(np.uint64) ^ _SIGN).astype(">u8").tobytes()
        return [turned[start : start + _WIDTH] for start in range(0, len(turned), _WIDTH)]
    return [value.encode("utf-8").replace(b"\0", b"\0\xff") + b"\0\1" for value in column.values]


def decode_keys(entity_keys: Sequence[EntityKey], keys: Sequence[bytes]) -> Columns:
    """The columns that `encode_keys` made `keys` from."""
    if len(entity_keys) == 1 and entity_keys[0].type is ValueType.INT64:
        return Columns(len(keys), (Column(entity_keys[0].column, _integers(keys)),))
    rows = [_split(entity_keys, key) for key in keys]
    return Columns(
        len(keys), tuple(column_of(key.column, [row[index] for row in rows]) for index, key in enumerate(entity_keys))
    )


def _integers(keys: Sequence[bytes]) -> NDArray[np.int64]:
    return (np.frombuffer(b"".join(keys), dtype=">u8").astype(np.uint64) ^ _SIGN).view(np.int64)


def _split(entity_keys: Sequence[EntityKey], key: bytes) -> list[Any]:
    values: list[Any] = []
    at = 0
    for part in entity_keys:
        if part.type is ValueType.INT64:
            values.append(int(_integers([key[at : at + _WIDTH]])[0]))
            at += _WIDTH
        else:
            end = key.index(b"\0\1", at)
            values.append(key[at:end].replace(b"\0\xff", b"\0").decode("utf-8"))
            at = end + 2
    return values


def entity_texts(entity_keys: Sequence[EntityKey], keys: Sequence[bytes]) -> list[str]:
    """Each entity for people: its values joined by `|`; a backslash before `|` and `\\` in text."""
    if len(entity_keys) == 1 and entity_keys[0].type is ValueType.INT64:
        return [str(value) for value in _integers(keys).tolist()]
    return ["|".join(_escape(str(value)) for value in _split(entity_keys, key)) for key in keys]


def parse_entity(entity_keys: Sequence[EntityKey], text: str, *, field: str) -> bytes:
    """The key of the entity that `entity_texts` spelt `text`.

    Raises:
        InvalidArgument: ENTITY_INVALID.
    """
    parts = _unescape(text)
    if len(parts) == len(entity_keys):
        try:
            values = [int(part) if key.type is ValueType.INT64 else part for key, part in zip(entity_keys, parts, strict=True)]
            columns = tuple(column_of(key.column, [value]) for key, value in zip(entity_keys, values, strict=True))
            [key] = encode_keys(entity_keys, Columns(1, columns), field=field)
            if entity_texts(entity_keys, [key]) == [text]:  # 07 is no other name of 7
                return key
        except (ValueError, InvalidArgument):  # no integer, one beyond 64 bits, or a key longer than any that is stored
            pass
    names = "|".join(key.name for key in entity_keys)
    raise InvalidArgument("ENTITY_INVALID", f"{text!r} names no entity", field=field, remedy=f"write it as {names}")


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|")


def _unescape(text: str) -> list[str]:
    parts, escaped = [""], False
    for character in text:
        if escaped or character not in "\\|":
            parts[-1] += character
            escaped = False
        elif character == "\\":
            escaped = True
        else:
            parts.append("")
    return parts
