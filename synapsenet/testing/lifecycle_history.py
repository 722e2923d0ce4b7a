"""What those around a coordinator wrote down, and whether it can have been: who held a model, whose writes were taken."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from synapsenet.lifecycle.audit import INTO_SERVICE


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """One time that somebody held a model, in seconds of the machine's monotonic clock.

    Attributes:
        until: when the lock was free again for others, by release or by the end of its lease.
    """

    model_id: str
    token: int
    since: float
    until: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """What somebody took from a holder and committed; a sequence of them is in the order of the commits.

    Attributes:
        taker: the participant, or the coordinator's own database.
        step: with its direction, `execute load`; empty for a write that may be repeated.
        routes: traffic by version afterwards; None for a taker that routes nothing.
        loaded: versions in memory afterwards.
    """

    taker: str
    model_id: str
    fence: int
    operation_id: str = ""
    saga: str = ""
    step: str = ""
    routes: Mapping[str, float] | None = None
    loaded: frozenset[int] = field(default_factory=frozenset)


def overlaps(holdings: Iterable[Holding]) -> Iterator[str]:
    """A sentence for each two that held one model at once, or for whom the later did not get the higher token."""
    by_model: dict[str, list[Holding]] = {}
    for holding in holdings:
        by_model.setdefault(holding.model_id, []).append(holding)
    for model_id, held in by_model.items():
        for former, later in pairwise(sorted(held, key=lambda one: one.since)):
            if later.since < former.until:
                yield f"{model_id} was held with {later.token} while {former.token} held it"
            if later.token <= former.token:
                yield f"{model_id} was held with {later.token} after {former.token}"


def refusable(writes: Iterable[Write]) -> Iterator[str]:
    """A sentence for each write that should have been refused: a lower fence, a step twice, a step after it was undone."""
    highest: dict[tuple[str, str], int] = {}
    seen: set[tuple[str, str, str]] = set()
    for write in writes:
        place = (write.taker, write.model_id)
        if write.fence < highest.get(place, 0):
            yield f"{write.taker} took a write for {write.model_id} with {write.fence} after {highest[place]}"
        highest[place] = max(write.fence, highest.get(place, 0))
        if not write.step:
            continue
        if (write.taker, write.operation_id, write.step) in seen:
            yield f"{write.taker} took {write.step} of {write.operation_id} twice"
        seen.add((write.taker, write.operation_id, write.step))
        undone = write.step.replace("execute", "compensate")
        if undone != write.step and (write.taker, write.operation_id, undone) in seen:
            yield f"{write.taker} took {write.step} of {write.operation_id} after it was undone"


def unserved(writes: Sequence[Write], beginnings: Mapping[str, Mapping[str, float]]) -> Iterator[str]:
    """A sentence for each moment at which requests of a model were routed nowhere, or to what is not in memory.

    Args:
        beginnings: by model, the routes with which it began.
    """
    routes = dict(beginnings)
    for write in (write for write in writes if write.routes is not None):
        before, now = routes.get(write.model_id, {}), write.routes or {}
        if before and not now and write.saga in INTO_SERVICE:
            yield f"{write.model_id}: nobody was routed to after {write.step} of {write.saga} {write.operation_id}"
        for version in now:
            if int(version) not in write.loaded:
                yield f"{write.model_id}: {write.step} of {write.operation_id} left traffic on {version}, which is not loaded"
        routes[write.model_id] = now
