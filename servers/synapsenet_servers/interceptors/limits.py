"""The bounds of one server."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The bounds of one server.

    Attributes:
        concurrent_calls: calls under way at once, streams included; one more is refused.
        message_bytes: largest request message.
        longest_unary_s: seconds that a unary call without a deadline may take.
    """

    concurrent_calls: int = 1_000
    message_bytes: int = 16 << 20
    longest_unary_s: float = 60.0
