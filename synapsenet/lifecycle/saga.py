"""A saga: steps that all happen, or are undone in reverse order (Garcia-Molina and Salem 1987, "Sagas").

Its definition is data. A running saga keeps the version of the definition that it began with, so a definition that was ever
released stays in the catalogue, and a change of steps is a new version beside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step.

    Attributes:
        name: unique in the saga; participants know a step by it.
        participant: who carries it out: `inference`, `registry`, or `lifecycle` for the coordinator itself.
        action: what it does, one sentence.
        compensation: what undoes it, one sentence; empty: there is nothing to undo, and nobody is asked to.
        timeout: of one attempt, forward or back.
        attempts: how often the action is tried, at least 1; only failures that may pass are tried again.
    """

    name: str
    participant: str
    action: str
    compensation: str = ""
    timeout: timedelta = timedelta(seconds=30)
    attempts: int = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Saga:
    """One version of a definition.

    Attributes:
        ends_with: the event of the state machine that its success is, where the rule that began it led to a state in which work
            goes on; empty where the rule's own target is reached at the end.
        retires: versions that have no traffic any more at its end leave `serving` by the event `retire`.
    """

    name: str
    version: int
    steps: tuple[Step, ...]
    ends_with: str = ""
    retires: bool = False

    def __post_init__(self) -> None:
        names = [step.name for step in self.steps]
        if not names or len(set(names)) < len(names) or any(step.attempts < 1 for step in self.steps):
            raise ValueError(f"saga {self.name} needs steps with names of their own, each tried at least once")


class SagaCatalogue(Mapping[str, Saga]):
    """Every definition that is or was: by name the newest, by name and version each."""

    def __init__(self, sagas: Iterable[Saga]) -> None:
        self._each = {(saga.name, saga.version): saga for saga in sagas}
        self._newest: dict[str, Saga] = {}
        for saga in sorted(self._each.values(), key=lambda one: one.version):
            self._newest[saga.name] = saga

    def definition(self, name: str, version: int) -> Saga:
        """The definition that an operation began with; KeyError: this release has lost it, which is a bug."""
        return self._each[name, version]

    def all(self) -> tuple[Saga, ...]:
        """Every version of every definition, ordered by name and version."""
        return tuple(self._each[key] for key in sorted(self._each))

    def __getitem__(self, name: str) -> Saga:
        return self._newest[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._newest)

    def __len__(self) -> int:
        return len(self._newest)
