"""What a caller may do: read, write or administer one area, or all of them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum

from synapsenet.errors import InvalidArgument

ANY_AREA = "*"
_SPELLING = re.compile(r"(\*|[a-z][a-z_]{0,62}):(read|write|admin)")


class Level(IntEnum):
    """Each allows what stands before it, too."""

    READ = 1
    WRITE = 2
    ADMIN = 3


@dataclass(frozen=True, slots=True)
class Scope:
    """A level in an area: `features:read`; `*` for every area."""

    area: str
    level: Level

    def __str__(self) -> str:
        return f"{self.area}:{self.level.name.lower()}"

    def allows(self, wanted: Scope) -> bool:
        return self.area in (ANY_AREA, wanted.area) and self.level >= wanted.level


def parse_scope(text: str) -> Scope:
    """The scope that `text` spells.

    Raises:
        InvalidArgument: SCOPE_INVALID.
    """
    if (spelt := _SPELLING.fullmatch(text)) is None:
        raise InvalidArgument(
            "SCOPE_INVALID", f"{text!r} is no scope", field="scope", remedy="spell it AREA:LEVEL, as features:read or *:admin"
        )
    return Scope(spelt[1], Level[spelt[2].upper()])
