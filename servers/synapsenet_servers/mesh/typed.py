"""Envoy's configuration as plain data: the two forms in which it names an extension."""

from __future__ import annotations

from typing import Any

Tree = dict[str, Any]


def named(name: str, kind: str, **settings: Any) -> Tree:
    """An extension under its name, configured by a message of type `kind`."""
    return {"name": name, "typed_config": typed(kind, **settings)}


def typed(kind: str, **settings: Any) -> Tree:
    """A message of type `kind` where any may stand."""
    return {"@type": f"type.googleapis.com/{kind}", **settings}
