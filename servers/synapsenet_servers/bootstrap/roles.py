"""Every role that a process can host, by name; a process imports those alone that it hosts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module

from synapsenet_servers.bootstrap.host import Assemble


class Rooms(Mapping[str, Assemble]):
    """How roles are put together: each by the module of its name in this package, which is imported when it is asked for."""

    def __init__(self, *names: str) -> None:
        self._names = names

    def __getitem__(self, name: str) -> Assemble:
        if name not in self._names:
            raise KeyError(name)
        assemble: Assemble = import_module(f"synapsenet_servers.bootstrap.{name}").assemble
        return assemble

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


ROLES = Rooms("features", "monitoring", "models", "registry", "lifecycle", "inference", "experiments", "training")
"""The areas."""
