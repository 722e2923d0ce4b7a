"""Names as the 64-bit keys of PostgreSQL's advisory locks."""

from __future__ import annotations

import hashlib


def lock_key(kind: str, name: str) -> int:
    """The key of the lock `name` among those of one kind; another name has another one, but for a chance of 2^-64."""
    return int.from_bytes(hashlib.sha256(f"synapsenet/{kind}/{name}".encode()).digest()[:8], "big", signed=True)
