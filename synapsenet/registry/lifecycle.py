"""What the registry needs of the lifecycle's coordinator."""

from __future__ import annotations

from abc import ABC, abstractmethod

from synapsenet.registry.moves import Asked, Move
from synapsenet.registry.standing import Standing


class Lifecycle(ABC):
    """The one who knows where versions are in their lives, and moves them.

    Every call takes at most `timeout` seconds and raises Unavailable if the coordinator is away. A standing is None if it has
    no words in the registry's contract: then it comes by another way, in those of before.
    """

    @abstractmethod
    async def adopt(self, model_id: str, number: int, *, timeout: float) -> Standing | None:
        """Let the coordinator hear of a version; where that is."""

    @abstractmethod
    async def accepts_artifact(self, model_id: str, number: int, *, timeout: float) -> bool:
        """Whether an artifact may come for the version now."""

    @abstractmethod
    async def take_artifact(self, model_id: str, number: int, sha256: str, *, timeout: float) -> Standing | None:
        """Let the coordinator know that the version's artifact has come; where the version is then. The same one again changes
        nothing.

        Raises:
            FailedPrecondition: TRANSITION_NOT_ALLOWED, none may come for it any more.
            Aborted: VERSION_BUSY or VERSION_CHANGED.
        """

    @abstractmethod
    async def move(self, asked: Asked, move: Move, *, timeout: float) -> Standing | None:
        """Have the version moved, and wait until it is there.

        Raises:
            FailedPrecondition: MOVE_NOT_ALLOWED, ARTIFACT_MISSING or VERSION_HAS_ALIASES.
            Aborted: VERSION_BUSY, an operation is at work on it; VERSION_CHANGED.
        """
