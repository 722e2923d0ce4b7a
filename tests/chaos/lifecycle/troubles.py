"""What goes wrong with steps of a participant whose process lives: it fails, takes its time, or answers too late."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from synapsenet.errors import Unavailable

FOR_EVER = 1_000_000


class Kind(Enum):
    """How it goes wrong."""

    FAILS = "fails"
    SLOW = "slow"
    LATE = "late"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """Of one model.

    Attributes:
        what: the call with its step: `execute load`, `compensate load`.
        kind: FAILS raises what may pass, SLOW pauses before it does anything, LATE has committed and does not answer.
        times: how often, until all goes well.
        seconds: of the pause.
    """

    what: str
    kind: Kind
    times: int = 1
    seconds: float = 0.0


Told = tuple[str, str]
"""A model, and a call with its step."""


class Troubles:
    """What is to go wrong in this process, by model; and how often each was asked for what.

    Attributes:
        calls: how often a model's participants were asked.
    """

    def __init__(self) -> None:
        self.calls: Counter[Told] = Counter()
        self._left: dict[tuple[str, str, Kind], Trouble] = {}
        self._met: Counter[tuple[str, str, Kind]] = Counter()

    def set(self, troubles: Mapping[str, Sequence[Trouble]]) -> None:
        """From now on these, and no others."""
        self._left = {(of, one.what, one.kind): one for of, several in troubles.items() for one in several}
        self._met.clear()

    def count(self, model_id: str, what: str) -> None:
        self.calls[model_id, what] += 1

    async def within(self, model_id: str, what: str) -> None:
        """Before a step does anything.

        Raises:
            Unavailable: it is to fail.
        """
        if self._meets(model_id, what, Kind.FAILS):
            raise Unavailable("REPLICA_AWAY", f"nobody is there for {what}")
        await self._pause(model_id, what, Kind.SLOW)

    async def before_answer(self, model_id: str, what: str) -> None:
        """After it has committed."""
        await self._pause(model_id, what, Kind.LATE)

    async def _pause(self, model_id: str, what: str, kind: Kind) -> None:
        if self._meets(model_id, what, kind):
            await asyncio.sleep(self._left[model_id, what, kind].seconds)

    def _meets(self, model_id: str, what: str, kind: Kind) -> bool:
        key = (model_id, what, kind)
        if key not in self._left or self._met[key] >= self._left[key].times:
            return False
        self._met[key] += 1
        return True
