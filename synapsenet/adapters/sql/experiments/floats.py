"""Floats that may be non-finite, as a nullable column and its kind."""

from __future__ import annotations

import math

FINITE = 0
_KINDS = {"nan": 1, "inf": 2, "-inf": 3}
_FLOATS = {kind: float(name) for name, kind in _KINDS.items()}


def to_columns(value: float) -> tuple[float | None, int]:
    """Value and kind; the value is None unless it is finite."""
    return (value, FINITE) if math.isfinite(value) else (None, _KINDS[str(value)])


def from_columns(value: float | None, kind: int) -> float:
    """What `to_columns` was given."""
    return _FLOATS[kind] if value is None else value
