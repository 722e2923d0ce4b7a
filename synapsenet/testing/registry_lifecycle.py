"""A coordinator as the registry's tests need one: it grants every wish, or what it is told to raise."""

from __future__ import annotations

from dataclasses import replace

from synapsenet.clock import Clock
from synapsenet.errors import Aborted, FailedPrecondition, SynapseError, Unavailable
from synapsenet.registry.lifecycle import Lifecycle
from synapsenet.registry.model import Condition, State
from synapsenet.registry.moves import Asked, Move
from synapsenet.registry.standing import Standing

AWAY = Unavailable("PEER_UNAVAILABLE", "lifecycle does not answer")
CHANGED = Aborted("VERSION_CHANGED", "somebody was first")
NOT_ALLOWED = FailedPrecondition("TRANSITION_NOT_ALLOWED", "version digits:1 is archived, where upload cannot happen")


class GrantingLifecycle(Lifecycle):
    """Keeps what it granted, and the answer of each request id.

    Attributes:
        asked: how often anything was asked.
        failures: raised one after the other before anything is granted again.
        lost_answers: how many more wishes are granted without the answer getting through.
        accepting: whether artifacts may come.
        speechless: nothing that it says has words in the registry's contract.
    """

    def __init__(self, clock: Clock) -> None:
        self.asked = 0
        self.failures: list[SynapseError] = []
        self.lost_answers = 0
        self.accepting = True
        self.speechless = False
        self.moves: list[Asked] = []
        self._clock = clock
        self._standings: dict[tuple[str, int], Standing] = {}
        self._answers: dict[str, Standing] = {}

    async def adopt(self, model_id: str, number: int, *, timeout: float) -> Standing | None:
        self._hear()
        return self._said(self._standing(model_id, number))

    async def accepts_artifact(self, model_id: str, number: int, *, timeout: float) -> bool:
        self._hear()
        return self.accepting

    async def take_artifact(self, model_id: str, number: int, sha256: str, *, timeout: float) -> Standing | None:
        self._hear()
        return self._said(self._grant(sha256 + str(number), model_id, number, State.VALIDATING, None, "artifact uploaded"))

    async def move(self, asked: Asked, move: Move, *, timeout: float) -> Standing | None:
        self._hear()
        self.moves.append(asked)
        condition = move.condition
        present = self._standing(asked.model_id, asked.number)
        if asked.sequence is not None and asked.sequence != present.sequence and asked.request_id not in self._answers:
            raise CHANGED
        return self._said(self._grant(asked.request_id, asked.model_id, asked.number, move.to, condition, move.reason))

    def _hear(self) -> None:
        self.asked += 1
        if self.failures:
            raise self.failures.pop(0)

    def _said(self, standing: Standing) -> Standing | None:
        if self.lost_answers:
            self.lost_answers -= 1
            raise AWAY
        return None if self.speechless else standing

    def _standing(self, model_id: str, number: int) -> Standing:
        first = Standing(state=State.CREATED, sequence=1, changed_at=self._clock.now())
        return self._standings.setdefault((model_id, number), first)

    def _grant(
        self, request_id: str, model_id: str, number: int, state: State, condition: Condition | None, reason: str
    ) -> Standing:
        if request_id and request_id in self._answers:
            return self._answers[request_id]
        now, old = self._clock.now(), self._standing(model_id, number)
        new = Standing(state=state, condition=condition, sequence=old.sequence + 1, changed_at=now, reason=reason)
        if condition is not None:
            new = replace(new, condition=replace(condition, since=now))
        if state is old.state and _bare(new.condition) == _bare(old.condition):
            new = old
        self._standings[model_id, number] = new
        self._answers[request_id] = new
        return new


def _bare(condition: Condition | None) -> Condition | None:
    return None if condition is None else replace(condition, since=None)
