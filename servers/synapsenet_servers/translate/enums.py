"""Enums on the wire."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any, TypeVar

from synapsenet.errors import InvalidArgument

E = TypeVar("E", bound=Enum)


class Wire(Mapping[E, Any]):
    """The wire value of every member of a domain enum, and the way back.

    Args:
        kind: the domain's enum; its members are named as on the wire, without the prefix.
        wire: the generated enum.
        prefix: what the wire's names begin with, `VERSION_STATE_`.
        unspecified: the member that the wire's UNSPECIFIED stands for, if there is one.
    """

    def __init__(self, kind: type[E], wire: Any, prefix: str, *, unspecified: E | None = None) -> None:
        self._values = {
            member: wire.Value(prefix + ("UNSPECIFIED" if member is unspecified else member.name)) for member in kind
        }
        self._members = {value: member for member, value in self._values.items()}

    def __getitem__(self, member: E) -> Any:
        return self._values[member]

    def __iter__(self) -> Any:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def member(self, value: int, *, field: str) -> E:
        """The domain's member for a wire value.

        Raises:
            InvalidArgument: VALUE_UNKNOWN, a number that has no name here; `field` is named.
        """
        if value not in self._members:
            names = ", ".join(sorted(member.name for member in self._values))
            raise InvalidArgument(
                "VALUE_UNKNOWN", f"{field}: {value} is no known value", field=field, remedy=f"use one of {names}"
            )
        return self._members[value]

    def known(self, value: int) -> E | None:
        """As `member`, and None for UNSPECIFIED or a number that has no name here."""
        return self._members.get(value)

    def asked(self, value: int, *, field: str) -> E | None:
        """As `member`, and None for UNSPECIFIED."""
        return self.member(value, field=field) if value else None
