"""Locks with a lease and a fencing token.

A lock here only avoids wasted work. Safety comes from the token: it grows with every acquisition of a name, and whatever the
holder writes must be refused by its receiver once a higher token was seen (Kleppmann 2016, "How to do distributed locking").
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractAsyncContextManager


class Held(ABC):
    """A lock while its holder has it. The lease is kept alive in the background."""

    name: str
    token: int

    @abstractmethod
    def check(self) -> None:
        """Pass while the lease surely holds, by the local monotonic clock.

        Raises:
            Aborted: LOCK_LOST, the lease ran out or could not be renewed in time.
        """

    @abstractmethod
    async def lost(self) -> None:
        """Return when the lease is lost; never before."""


class Locks(ABC):
    """Mutual exclusion by name among all who share the store."""

    @abstractmethod
    def hold(self, name: str, *, holder: str, ttl: float, wait: float) -> AbstractAsyncContextManager[Held]:
        """Hold `name` inside an `async with`, released at its end.

        Args:
            name: what is locked, e.g. `model/mdl-1`.
            holder: who, for those who wait and for operators.
            ttl: seconds after which the lock of a holder that died is free, at the latest.
            wait: seconds to wait for the lock; 0 fails at once. Waiters are served in the order in which they came.

        Raises:
            Aborted: LOCK_BUSY, still held by another after `wait`; metadata `holder` names who.
            Unavailable: whoever keeps the locks does not answer; nothing is held then.
        """
