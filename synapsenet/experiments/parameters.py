"""Hyperparameters of compared entries: which they share, which differ, which some lack."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from synapsenet.experiments.comparison import ComparedParameter, ParameterReport, Subject
from synapsenet.experiments.configuration import canonical
from synapsenet.experiments.model import Parameter, Run

MOST_VALUES = 20


def report_parameters(subjects: Sequence[Subject]) -> ParameterReport:
    """How the entries have each hyperparameter.

    An entry has a parameter if all its runs have it; entries without runs have no say. Numbers are of one type, whole or
    not; numbers, texts and truth values are of different ones.
    """
    speaking = [subject for subject in subjects if subject.runs]
    names = sorted({name for subject in speaking for run in subject.runs for name in run.params})
    shared = [name for name in names if all(_has(subject.runs, name) for subject in speaking)]
    values = {name: {value for subject in speaking for value in _distinct(subject.runs, name)} for name in names}
    conflicting = [name for name in names if len({kind for kind, _ in values[name]}) > 1]
    constant = [name for name in shared if len(values[name]) == 1]
    missing = [name for name in names if name not in shared]
    told = [name for name in names if name not in constant]
    return ParameterReport(
        shared=tuple(shared),
        constant=tuple(constant),
        varying=tuple(name for name in shared if name not in constant),
        missing=tuple(missing),
        type_conflicting=tuple(conflicting),
        values=tuple(ComparedParameter(name=name, values=_by_entry(subjects, name)) for name in told),
    )


def _by_entry(subjects: Iterable[Subject], name: str) -> tuple[tuple[str, tuple[Parameter, ...]], ...]:
    distinct = {subject.entry: sorted(_distinct(subject.runs, name))[:MOST_VALUES] for subject in subjects}
    return tuple((entry, tuple(value for _, value in values)) for entry, values in distinct.items())


def _has(runs: Sequence[Run], name: str) -> bool:
    return all(name in run.params for run in runs)


def _distinct(runs: Iterable[Run], name: str) -> set[tuple[str, Parameter]]:
    """The values, each with the name of its type, so that 1 and True are two and 1 and 1.0 are one."""
    return {(canonical(run.params[name])[0], run.params[name]) for run in runs if name in run.params}
