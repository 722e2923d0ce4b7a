"""What an operator can set about models."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelsOptions:
    """Bounds of the models area.

    Attributes:
        registry_s: how long deleting a model waits for the registry's word that it has no versions.
    """

    registry_s: float = 5.0
