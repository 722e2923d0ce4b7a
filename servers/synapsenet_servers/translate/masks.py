"""Update masks: which fields of a request are meant."""

from __future__ import annotations

from collections.abc import Sequence

from google.protobuf.field_mask_pb2 import FieldMask

from synapsenet.errors import InvalidArgument


def named(mask: FieldMask, fields: Sequence[str]) -> frozenset[str]:
    """What `mask` names of `fields`.

    Raises:
        InvalidArgument: MASK_UNKNOWN, it names something else.
    """
    for path in mask.paths:
        if path not in fields:
            raise InvalidArgument(
                "MASK_UNKNOWN",
                f"update_mask: {path!r} cannot be changed",
                field="update_mask",
                remedy=f"name some of {', '.join(fields)}",
            )
    return frozenset(mask.paths)
