"""Enum values by the names that people use: `FINISHED` for `RUN_STATE_FINISHED`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

from synapsenet_client._errors import InvalidArgument

E = TypeVar("E", bound=int)


def enum_value(field: str, kind: Any, name: str) -> Any:
    """The value of the generated enum `kind` called `name`, with or without its prefix, in any case; "" is UNSPECIFIED.

    Raises:
        InvalidArgument: there is none; the sentence names those that there are.
    """
    prefix = prefix_of(kind)
    known = {key.removeprefix(prefix): value for key, value in kind.items()}
    wanted = name.upper().replace("-", "_").removeprefix(prefix) or "UNSPECIFIED"
    if wanted not in known:
        choices = ", ".join(key for key, value in known.items() if value)
        raise InvalidArgument(f"{field}: {name!r} is unknown: choose one of {choices}", reason="ENUM_VALUE_UNKNOWN")
    return known[wanted]


def enum_values(field: str, kind: Any, names: Iterable[str]) -> list[Any]:
    return [enum_value(field, kind, name) for name in names]


def enum_name(kind: Any, value: int) -> str:
    """The short name of a value; the number of one that is newer than this SDK."""
    known = {number: key for key, number in kind.items()}
    return known[value].removeprefix(prefix_of(kind)) if value in known else str(value)


def prefix_of(kind: Any) -> str:
    """What all names of a generated enum begin with, `RUN_STATE_`; its zero is always `…UNSPECIFIED`."""
    zero: str = kind.Name(0)
    return zero.removesuffix("UNSPECIFIED")
