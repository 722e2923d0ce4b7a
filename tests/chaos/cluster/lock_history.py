"""What the holders of one lock saw, and whether it can have been one lock."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True, slots=True, kw_only=True)
class Episode:
    """One time that somebody held the lock, in seconds of the machine's monotonic clock, which all processes share.

    Attributes:
        since: when it had the lock in hand.
        until: when it last knew, by `check`, that it still held it.
    """

    holder: str
    token: int
    since: float
    until: float


def violations(history: Sequence[Episode]) -> Iterator[str]:
    """A sentence for each thing that no lock does: two holders at one time, a token that is not above all before."""
    ordered = sorted(history, key=lambda episode: episode.since)
    for episode in ordered:
        if episode.until < episode.since:
            yield f"{episode.holder} held it until before it had it"
    for former, later in pairwise(ordered):
        if later.since < former.until:
            yield f"{later.holder} held it while {former.holder} did, for {former.until - later.since:.4f} s"
        if later.token <= former.token:
            yield f"{later.holder} has token {later.token} after {former.token} of {former.holder}"


def longest_gap(history: Sequence[Episode], *, begin: float, end: float) -> float:
    """The longest time within [begin, end] in which nobody got the lock, seconds."""
    instants = [begin, *sorted(episode.since for episode in history if begin < episode.since < end), end]
    return max(after - before for before, after in pairwise(instants))
