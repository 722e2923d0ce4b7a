"""Who is at the other end of a connection, by the certificate that it showed in the TLS handshake.

Only the certificate counts. What a caller writes into its headers (`x-forwarded-client-cert`, `x-spiffe-id` …) is never read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

SPIFFE = "spiffe://"


def spiffe_identity(auth_context: Mapping[str, Iterable[bytes]]) -> str:
    """The caller's SPIFFE identity from gRPC's auth context; empty without TLS, without one, or with more than one.

    The runtime fills `peer_spiffe_id` only from a verified certificate whose one URI name is a well-formed SPIFFE id.
    """
    found = [value.decode("utf-8", "replace") for value in auth_context.get("peer_spiffe_id", ())]
    return found[0] if len(found) == 1 and found[0].startswith(SPIFFE) else ""


def described(identity: str) -> str:
    """The identity for a sentence or a log line."""
    return identity or "no identity"
