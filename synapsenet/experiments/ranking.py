"""The best configuration: the one with the best mean, and whether the data say so."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from synapsenet.experiments.comparison import Best, Entry, ExclusionReason, Pair, Replicate, statistics
from synapsenet.experiments.configuration import tuned
from synapsenet.experiments.model import Direction


@dataclass(frozen=True, slots=True, kw_only=True)
class _Candidate:
    """The counted runs of one configuration under one entry; `whole` if they are all that the entry counts."""

    entry: Entry
    configuration_id: str
    replicates: tuple[Replicate, ...]
    diverged: bool
    whole: bool

    @property
    def mean(self) -> float:
        return sum(replicate.value for replicate in self.replicates) / len(self.replicates)

    @property
    def name(self) -> str:
        return f"{self.entry.subject.experiment.id}@{self.configuration_id}"


def find_best(
    entries: Sequence[Entry], pairs: Iterable[Pair], direction: Direction | None, *, confidence: float
) -> Best | None:
    """The configuration with the best mean over all entries; None if the direction is unknown or nothing has a value.

    A configuration of which a run ended non-finite stands behind all that have none, whatever the rest of its runs reached.
    It counts as tied with the runner-up unless the two are entries and their adjusted p-value calls the difference
    significant.
    """
    if direction is None:
        return None
    sign = -1 if direction is Direction.MAXIMIZE else 1
    candidates = {candidate.name: candidate for entry in entries for candidate in _candidates(entry)}
    ordered = sorted(candidates.values(), key=lambda one: (one.diverged, sign * one.mean, one.name))
    if not ordered:
        return None
    best, runner_up = ordered[0], ordered[1] if len(ordered) > 1 else None
    pair = _pair_of(best, runner_up, pairs) if runner_up else None
    subject = best.entry.subject
    return Best(
        entry=subject.entry,
        experiment_id=subject.experiment.id,
        configuration_id=best.configuration_id,
        statistics=statistics(best.entry.statistics.metric, [replicate.value for replicate in best.replicates], confidence),
        params=tuned(best.replicates[0].run.params, subject.experiment.parameter_definitions),
        runner_up=runner_up.name if runner_up else "",
        runner_up_adjusted_p_value=pair.adjusted_p_value if pair else None,
        tied=runner_up is not None and not (pair is not None and pair.significant),
    )


def _candidates(entry: Entry) -> Iterable[_Candidate]:
    grouped: dict[str, list[Replicate]] = {}
    for replicate in entry.replicates:
        grouped.setdefault(replicate.run.configuration_id, []).append(replicate)
    diverged = {one.run.configuration_id for one in entry.excluded if one.reason is ExclusionReason.NOT_FINITE}
    for configuration_id, replicates in grouped.items():
        yield _Candidate(
            entry=entry,
            configuration_id=configuration_id,
            replicates=tuple(replicates),
            diverged=configuration_id in diverged,
            whole=len(grouped) == 1,
        )


def _pair_of(one: _Candidate, other: _Candidate, pairs: Iterable[Pair]) -> Pair | None:
    """The comparison of the two, if each is all of an entry."""
    if not (one.whole and other.whole):
        return None
    names = {one.entry.subject.entry, other.entry.subject.entry}
    return next((pair for pair in pairs if {pair.first, pair.second} == names), None)
