"""Coordinators that are killed in the middle of sagas, and how long it takes until all of these move again."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

from synapsenet.lifecycle.options import LifecycleOptions
from tests.chaos.lifecycle.killed import run_coordinator, run_participants
from tests.chaos.lifecycle.lives import Life, Reborn, reborn
from tests.chaos.lifecycle.points import Point
from tests.chaos.lifecycle.scripts import Script
from tests.chaos.lifecycle.stores import SESSION_S, Places

LEASE_S = SESSION_S
TOGETHER = 6
SETTLED_S = 30.0

_STEP = "execute load"
_LOOK_S = 0.01
_OPTIONS = LifecycleOptions(lease_s=LEASE_S)  # all else as it comes


class Recoveries:
    """One kill -9 a call.

    Args:
        mortal: who begins the operations and dies of them.
        heir: who carries them on; None: the next life of `mortal`.

    Attributes:
        longest: seconds of the slowest so far.
    """

    def __init__(self, participants: Life, mortal: Reborn, heir: Life | None) -> None:
        self._participants = participants
        self._mortal = mortal
        self._heir = heir
        self._numbers = itertools.count()
        self.longest = 0.0

    def seconds(self) -> float:
        """From the death of the coordinator of a few sagas until each of them has gone on."""
        doomed = {script.model_id: Point(saga="deploy", fails_at="", what=_STEP, when="before") for script in self._scripts()}
        self._mortal.life.say("begin", doomed)
        self._mortal.life.died()
        died = time.monotonic()
        reborn_life = self._mortal.again()
        while not self._have_moved(doomed):
            time.sleep(_LOOK_S)
        taken = time.monotonic() - died
        assert (self._heir or reborn_life).ask("settle", SETTLED_S) == []
        self.longest = max(self.longest, taken)
        return taken

    def _scripts(self) -> Iterator[Script]:
        for _ in range(TOGETHER):
            yield Script(saga="deploy", fails_at="", number=next(self._numbers))

    def _have_moved(self, models: dict[str, Point]) -> bool:
        calls = self._participants.ask("calls")
        return all((model_id, _STEP) in calls for model_id in models)


@contextmanager
def recoveries(places: Places, *, standing_by: bool) -> Iterator[Recoveries]:
    """Coordinators of scripted models in `places`; with another that stands by, or one that is begun again."""
    coordinator = partial(run_coordinator, options=_OPTIONS)
    with ExitStack() as stack:
        participants = stack.enter_context(reborn(run_participants, places)).life
        mortal = stack.enter_context(reborn(coordinator, places))
        heir = stack.enter_context(reborn(coordinator, places)).life if standing_by else None
        yield Recoveries(participants, mortal, heir)
