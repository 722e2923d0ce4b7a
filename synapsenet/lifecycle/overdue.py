"""States in which work goes on do not last for ever: a version whose time there is over takes the failure exit."""

from __future__ import annotations

from datetime import datetime

from synapsenet.clock import Clock
from synapsenet.lifecycle.ledger import take
from synapsenet.lifecycle.machine import StateMachine
from synapsenet.lifecycle.model import Caller, Condition
from synapsenet.lifecycle.ports import LifecycleWork
from synapsenet.platform.work import WorkFactory

_AT_ONCE = 100


class Overdue:
    """Ends what nobody ends; a version that an operation is at work on is the operation's to end."""

    def __init__(self, *, machine: StateMachine, work: WorkFactory[LifecycleWork], clock: Clock) -> None:
        self._machine = machine
        self._work = work
        self._clock = clock

    async def end(self) -> None:
        """Take every version that is overdue now to its state's failure exit, with the condition STATE_TIMEOUT."""
        now = self._clock.now()
        for state in self._machine.states.values():
            if state.timeout is not None and await self._is_any(state.name, now - state.timeout):
                await self._end(state.name, now - state.timeout, now)

    async def _is_any(self, state: str, before: datetime) -> bool:
        return await self._work.read(lambda tx: bool(tx.versions.overdue(state, before=before, limit=1)))

    async def _end(self, state: str, before: datetime, now: datetime) -> None:
        late = Condition(reason="STATE_TIMEOUT", message=f"it was {state} for longer than it may be")
        way_out = self._machine.failure_exit(state)

        def commit(tx: LifecycleWork) -> None:
            for status in tx.versions.overdue(state, before=before, limit=_AT_ONCE):
                take(tx, status, way_out, caller=Caller(), at=now, condition=late)

        await self._work.run(commit)
