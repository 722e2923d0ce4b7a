"""Versions that a former release left in the middle: looked for once, when the coordinator starts, and ended."""

from __future__ import annotations

import logging

from synapsenet.clock import Clock
from synapsenet.errors import SynapseError, Unimplemented
from synapsenet.lifecycle.beginning import Beginning
from synapsenet.lifecycle.machine import StateMachine
from synapsenet.lifecycle.model import Caller
from synapsenet.lifecycle.ports import Catalogue

_log = logging.getLogger(__name__)

AT_ONCE = 100
"""One look adopts no more; the next look goes on."""

_PAUSE_S = 5.0

FORMER_RELEASE = Caller(reason="left in the middle by a former release")


class Adopting:
    """Adopts the versions in states that sagas alone lead to and of which the registry was never told."""

    def __init__(self, *, machine: StateMachine, catalogue: Catalogue, beginning: Beginning, clock: Clock) -> None:
        self._machine = machine
        self._catalogue = catalogue
        self._beginning = beginning
        self._clock = clock
        self._next_look: float | None = clock.monotonic()

    async def look(self) -> None:
        """Adopt some, until none is left; a registry that is away, as while all start together, is asked again in a while."""
        if self._next_look is None or self._clock.monotonic() < self._next_look:
            return
        try:
            found = await self._catalogue.untold(self._machine.carried, limit=AT_ONCE)
            for facts in found:
                status = await self._beginning.known(facts, FORMER_RELEASE)
                _log.warning("version %s was left %s by a former release and is %s now", facts.title, facts.state, status.state)
        except Unimplemented:
            self._next_look = None  # a registry of a former release, which cannot say
        except SynapseError as error:
            self._next_look = self._clock.monotonic() + _PAUSE_S
            _log.info("versions that a former release left are looked for later: %s", error.public)
        else:
            self._next_look = self._clock.monotonic() + _PAUSE_S if found else None
