"""Callers from outside, as a token makes them known."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from synapsenet.platform.scopes import Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Somebody who was recognized.

    Attributes:
        name: for the log, and for the sentence about a scope that is missing; never a secret.
        scopes: what was granted.
    """

    name: str
    scopes: tuple[Scope, ...]

    def may(self, wanted: Scope) -> bool:
        return any(scope.allows(wanted) for scope in self.scopes)


class Bearers(Protocol):
    """Recognizes who bears a token."""

    async def identify(self, token: str) -> Caller:
        """Whose token it is.

        Raises:
            Unauthenticated: it is malformed, unknown, expired or revoked; the error says which, and never repeats it.
            Unavailable: TOKEN_STORE_AWAY, whoever could know does not answer.
        """
        ...


def spelled(scopes: Iterable[Scope]) -> str:
    """The scopes for a sentence."""
    return ", ".join(sorted(str(scope) for scope in scopes)) or "none"
