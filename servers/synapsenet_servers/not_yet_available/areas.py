"""The tables of some areas: a process reads those alone that it hosts."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module

from synapsenet_servers.not_yet_available.row import Row

AREAS = ("features", "monitoring", "models", "registry", "lifecycle", "inference", "experiments", "training")


def rows_of(areas: Iterable[str]) -> tuple[Row, ...]:
    """What `areas` promise and do not do yet; a name that is no area's promises nothing."""
    chosen = set(areas)
    tables = [import_module(f"synapsenet_servers.not_yet_available.{area}").ROWS for area in AREAS if area in chosen]
    return tuple(row for rows in tables for row in rows)
