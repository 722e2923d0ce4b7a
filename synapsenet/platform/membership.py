"""Who is there: services with their endpoints, and members of groups, each alive as long as its lease."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """One running instance of a service or one member of a group.

    Attributes:
        group: the service or group, e.g. `features` or `job/job-1/workers`.
        id: the instance's own name, unique in its group.
        address: where it listens, `host:port` or `unix:path`; empty for a member without an endpoint.
        incarnation: grows each time the same id joins again, so that a former self can be told apart.
    """

    group: str
    id: str
    address: str = ""
    zone: str = ""
    incarnation: int = 0
    metadata: Mapping[str, str] = field(default_factory=dict)


class Joined(ABC):
    """An instance while it is registered."""

    instance: Instance

    @abstractmethod
    def check(self) -> None:
        """Pass while the registration surely holds.

        Raises:
            Aborted: LOCK_LOST, the lease ran out, or another joined under the same id.
        """

    @abstractmethod
    async def lost(self) -> None:
        """Return when the registration is lost; never before."""


class Membership(ABC):
    """The registry of instances. An instance whose lease ran out is gone."""

    @abstractmethod
    def join(self, instance: Instance, *, ttl: float) -> AbstractAsyncContextManager[Joined]:
        """Be registered inside an `async with`, kept alive in the background, deregistered at its end.

        Yields the registration, whose instance has its incarnation. A join under a taken id replaces the former holder,
        which finds out at its next renewal.
        """

    @abstractmethod
    async def instances(self, group: str) -> Sequence[Instance]:
        """The live instances of `group`, ordered by id."""

    @abstractmethod
    def watch(self, group: str) -> AsyncIterator[Sequence[Instance]]:
        """The live instances now, and again after each change, until the caller stops iterating."""
