"""What is judged of scripted models once all is over: the coordinators' log, and what participants really did."""

from __future__ import annotations

from collections.abc import Iterable

from synapsenet.lifecycle.audit import Entry, audit
from synapsenet.lifecycle.table import MACHINE
from synapsenet.testing.lifecycle_history import refusable, unserved
from tests.chaos.lifecycle.conftest import Judge
from tests.chaos.lifecycle.lives import Life
from tests.chaos.lifecycle.scripts import Script


def check(judge: Judge, fault: str, faults: int, coordinator: Life, participants: Life, models: Iterable[str]) -> list[Entry]:
    """Judge all that was written down of `models`, all there are; the coordinators' log."""
    routes = {model_id: Script.of(model_id).routes for model_id in models}
    writes = participants.ask("writes")
    entries: list[Entry] = coordinator.ask("entries")
    assert {entry.model_id for entry in entries} == set(routes)
    judge(fault, faults=faults, findings=audit(MACHINE, entries), also=[*refusable(writes), *unserved(writes, routes)])
    return entries
