"""Required fields: what `google.api.field_behavior = REQUIRED` promises is checked before a servicer sees the message."""

from __future__ import annotations

from functools import cache
from typing import Any

from google.api import field_behavior_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from synapsenet.errors import InvalidArgument

_NUMBERS_AND_BOOLS = frozenset(
    {
        FieldDescriptor.CPPTYPE_INT32,
        FieldDescriptor.CPPTYPE_INT64,
        FieldDescriptor.CPPTYPE_UINT32,
        FieldDescriptor.CPPTYPE_UINT64,
        FieldDescriptor.CPPTYPE_DOUBLE,
        FieldDescriptor.CPPTYPE_FLOAT,
        FieldDescriptor.CPPTYPE_BOOL,
    }
)


def check_required(message: Message, path: str = "") -> None:
    """Pass if every required field of `message`, and of the messages in it, is there.

    A number or bool without presence cannot be told from its zero and passes.

    Raises:
        InvalidArgument: FIELD_MISSING, naming the first missing field by its path.
    """
    descriptor: Any = message.DESCRIPTOR
    required, nested = _plan(descriptor)
    for field in required:
        if not _present(message, field):
            name = f"{path}{field.name}"
            raise InvalidArgument("FIELD_MISSING", f"{name} is missing", field=name, remedy="set it, it is required")
    for field in nested:
        _check_nested(message, field, path)


def _check_nested(message: Message, field: FieldDescriptor, path: str) -> None:
    value: Any = getattr(message, field.name)
    if _is_map(field):
        for key in value:
            check_required(value[key], f"{path}{field.name}[{key}].")
    elif field.is_repeated:
        for index, element in enumerate(value):
            check_required(element, f"{path}{field.name}[{index}].")
    elif message.HasField(field.name):
        check_required(value, f"{path}{field.name}.")


def _present(message: Message, field: FieldDescriptor) -> bool:
    if field.has_presence:
        return message.HasField(field.name)
    return bool(getattr(message, field.name)) or (field.cpp_type in _NUMBERS_AND_BOOLS and not field.is_repeated)


@cache
def _plan(descriptor: Descriptor) -> tuple[tuple[FieldDescriptor, ...], tuple[FieldDescriptor, ...]]:
    """The required fields of a message type, and the fields below which there are some."""
    required = tuple(field for field in descriptor.fields if _is_required(field))
    nested = tuple(field for field in descriptor.fields if _holds_required(field, frozenset({descriptor.full_name})))
    return required, nested


def _is_required(field: FieldDescriptor) -> bool:
    return field_behavior_pb2.REQUIRED in field.GetOptions().Extensions[field_behavior_pb2.field_behavior]


def _is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and bool(field.message_type.GetOptions().map_entry)


def _holds_required(field: FieldDescriptor, seen: frozenset[str]) -> bool:
    """Whether a message in `field` can have required fields, at any depth."""
    kind = field.message_type
    if kind is not None and _is_map(field):
        kind = kind.fields_by_name["value"].message_type
    if kind is None:
        return False
    if kind.full_name in seen:
        return False
    seen = seen | {kind.full_name}
    return any(_is_required(inner) or _holds_required(inner, seen) for inner in kind.fields)
