"""Bearer tokens: made once, shown once, kept as a digest.

A token is `snt_ID_SECRET`. The id is public: it stands in lists and logs. The secret has 256 random bits, so its plain SHA-256
cannot be guessed back, and nothing slower is needed to keep it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from synapsenet.errors import InvalidArgument
from synapsenet.platform.scopes import Scope

PREFIX = "snt_"
_ID_BYTES = 8
_SECRET_BYTES = 32
_LONGEST_NAME = 100
_SPELLING = re.compile(r"snt_([0-9a-f]{16})_([A-Za-z0-9_-]{43})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """One token as it is kept.

    Attributes:
        id: public.
        name: what it is for, up to 100 characters.
        digest: SHA-256 of the secret.
        expires_at: first instant at which it is no longer valid; None: it does not end by itself.
        revoked_at: when it was taken back; None: it was not.

    Raises:
        InvalidArgument: TOKEN_NAME_INVALID, TOKEN_WITHOUT_SCOPE, TOKEN_EXPIRY_PAST.
    """

    id: str
    name: str
    scopes: tuple[Scope, ...]
    digest: bytes = field(repr=False)
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None

    def __post_init__(self) -> None:
        if not 1 <= len(self.name) <= _LONGEST_NAME or not self.name.isprintable():
            remedy = f"give 1 to {_LONGEST_NAME} printable characters that say what it is for"
            raise InvalidArgument("TOKEN_NAME_INVALID", field="name", remedy=remedy)
        if not self.scopes:
            raise InvalidArgument("TOKEN_WITHOUT_SCOPE", field="scope", remedy="name at least one, such as features:read")
        if self.expires_at is not None and self.expires_at <= self.created_at:
            raise InvalidArgument("TOKEN_EXPIRY_PAST", field="expires", remedy="let it end in the future")

    def matches(self, secret: str) -> bool:
        """Whether `secret` is this token's, in a time that tells nothing of where it differs."""
        return hmac.compare_digest(self.digest, _digest(secret))

    def is_expired(self, at: datetime) -> bool:
        return self.expires_at is not None and self.expires_at <= at


class Tokens(ABC):
    """The tokens of one platform, shared by all its processes."""

    @abstractmethod
    async def add(self, token: Token) -> None:
        """Keep a new token. Durable on return."""

    @abstractmethod
    async def find(self, id: str) -> Token | None:
        """The token with this id, revoked and expired ones included."""

    @abstractmethod
    async def list(self) -> Sequence[Token]:
        """All of them, the newest first."""

    @abstractmethod
    async def revoke(self, id: str, at: datetime) -> Token:
        """Take a token back for good; the first revocation counts. Durable on return.

        Raises:
            NotFound: TOKEN_NOT_FOUND.
        """


def mint(
    name: str,
    scopes: Sequence[Scope],
    *,
    now: datetime,
    expires_at: datetime | None = None,
    entropy: Callable[[int], bytes] = secrets.token_bytes,
) -> tuple[Token, str]:
    """A new token, and its text, which nobody can make again.

    Raises:
        InvalidArgument: as `Token`.
    """
    secret = base64.urlsafe_b64encode(entropy(_SECRET_BYTES)).decode().rstrip("=")
    token = Token(
        id=entropy(_ID_BYTES).hex(),
        name=name,
        scopes=tuple(dict.fromkeys(scopes)),
        digest=_digest(secret),
        created_at=now,
        expires_at=expires_at,
    )
    return token, f"{PREFIX}{token.id}_{secret}"


def split(text: str) -> tuple[str, str] | None:
    """Id and secret of a token's text; None if it is none."""
    spelt = _SPELLING.fullmatch(text)
    return None if spelt is None else (spelt[1], spelt[2])


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
