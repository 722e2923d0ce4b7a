"""What monitoring needs from the feature store."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from synapsenet.monitoring.model import GroupAges


class AgeSource(ABC):
    """Groups and the ages of their entities, as the feature store has them now."""

    @abstractmethod
    async def groups(self, names: Sequence[str], *, timeout: float) -> list[str]:
        """The names of the groups that exist, all of them if `names` is empty, in order.

        Raises:
            NotFound: GROUP_UNKNOWN, for the first of `names` that does not exist.
            Unavailable, DeadlineExceeded: the feature store did not answer within `timeout` seconds.
        """

    @abstractmethod
    async def ages(self, group: str, entities: Sequence[str], *, timeout: float) -> GroupAges:
        """The ages of `entities`, or of all that `group` has if none is named; those never written are left out.

        Raises:
            NotFound: GROUP_UNKNOWN.
            InvalidArgument: ENTITY_INVALID.
            Unavailable, DeadlineExceeded: the feature store did not answer within `timeout` seconds.
        """
