"""Pages of lists (AIP-158): keyset tokens that only fit the query they came from."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from synapsenet.errors import InvalidArgument

DEFAULT_SIZE = 50
LARGEST_SIZE = 1000

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class PageRequest:
    """What page is wanted.

    Attributes:
        size: rows; 0 means 50, more than 1,000 is taken as 1,000.
        token: `next_token` of the page before; empty for the first.
        query: whatever else selects and orders the rows, as text; a token fits only the query it came from.
    """

    size: int = 0
    token: str = ""
    query: str = ""

    def __post_init__(self) -> None:
        if self.size < 0:
            remedy = "give 0 for the default, or up to 1000"
            raise InvalidArgument("PAGE_SIZE_NEGATIVE", "page_size is negative", field="page_size", remedy=remedy)

    @property
    def limit(self) -> int:
        return min(self.size or DEFAULT_SIZE, LARGEST_SIZE)

    @property
    def after(self) -> list[Any] | None:
        """The sort key of the last row already seen; None for the first page.

        Raises:
            InvalidArgument: PAGE_TOKEN_INVALID, the token is damaged or belongs to another query.
        """
        if not self.token:
            return None
        try:
            stamp, key = json.loads(base64.urlsafe_b64decode(self.token.encode("ascii")))
            fits = stamp == self._stamp(key) and isinstance(key, list)
        except (ValueError, TypeError, RecursionError, binascii.Error) as error:
            raise self._refusal() from error
        if not fits:
            raise self._refusal()
        return list(key)

    def page(self, rows: Sequence[T], key: Callable[[T], Sequence[Any]]) -> Page[T]:
        """The page from `limit + 1` rows read after `after`; `key` gives the sort key (JSON values) of a row."""
        shown = rows[: self.limit]
        return Page(tuple(shown), self._token(list(key(shown[-1]))) if len(rows) > self.limit else "")

    def _token(self, key: list[Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps([self._stamp(key), key]).encode()).decode("ascii")

    def _stamp(self, key: Any) -> str:
        return hashlib.sha256(json.dumps([self.query, key]).encode()).hexdigest()[:16]

    def _refusal(self) -> InvalidArgument:
        return InvalidArgument(
            "PAGE_TOKEN_INVALID",
            field="page_token",
            remedy="pass next_page_token unchanged, with the same filter and order as before",
        )


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some rows of a list, and how to get the next ones (empty token: there are none)."""

    items: tuple[T, ...]
    next_token: str
