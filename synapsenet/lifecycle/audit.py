"""What a recorded history says of the coordinator that wrote it: each rule that it breaks, in a sentence.

It knows the table and the log and nothing of how the coordinator works, so it can judge it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from synapsenet.lifecycle.conclusion import SERVING
from synapsenet.lifecycle.events import ConditionChanged, OperationChanged, StepChanged, VersionTransitioned, model_of
from synapsenet.lifecycle.machine import StateMachine
from synapsenet.lifecycle.model import OperationState
from synapsenet.platform.events import Event
from synapsenet.platform.records import decode

INTO_SERVICE = frozenset({"deploy", "roll_back", "promote"})
"""The sagas during which somebody serves throughout, if somebody did before."""

BY_HAND = "resolve"
"""What a person's word is recorded as: it may lead anywhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """A version changed its state; `source` is empty for the first that is known of it."""

    version: int
    source: str
    event: str
    target: str
    operation_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """An operation came to `state`."""

    operation_id: str
    version: int
    saga: str
    state: OperationState


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One event of a model; `what` is None if it is about something else than moves and operations."""

    model_id: str
    sequence: int
    what: Move | Progress | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What is wrong with a history, a sentence each.

    Attributes:
        lost: events that are missing, come twice or out of order.
        illegal: states and ways to them that the table does not have, and promises of sagas that were broken.
        stuck: operations that never ended.
    """

    lost: tuple[str, ...] = ()
    illegal: tuple[str, ...] = ()
    stuck: tuple[str, ...] = ()

    @property
    def all(self) -> tuple[str, ...]:
        return self.lost + self.illegal + self.stuck


def entry_of(event: Event) -> Entry:
    """The event of the coordinator's own log, as the audit reads it."""
    model_id = model_of(event.aggregate)
    what: Move | Progress | None = None
    if event.type == VersionTransitioned.__name__:
        moved = decode(VersionTransitioned, event.payload)
        what = Move(
            version=moved.status.version,
            source=moved.source,
            event=moved.event,
            target=moved.status.state,
            operation_id=moved.operation_id,
        )
    elif event.type == OperationChanged.__name__:
        now = decode(OperationChanged, event.payload).operation
        what = Progress(operation_id=now.id, version=now.version, saga=now.saga, state=now.state)
    elif event.type not in (ConditionChanged.__name__, StepChanged.__name__):
        raise ValueError(f"the coordinator writes no {event.type}")
    return Entry(model_id=model_id, sequence=event.sequence, what=what)


def audit(machine: StateMachine, entries: Iterable[Entry], *, complete: bool = True) -> Findings:
    """What is wrong with the history of any number of models, given in the order of the log.

    Args:
        complete: nothing more is to come, so that what has not ended is stuck.
    """
    by_model: dict[str, list[Entry]] = {}
    for entry in entries:
        by_model.setdefault(entry.model_id, []).append(entry)
    lost: list[str] = []
    illegal: list[str] = []
    stuck: list[str] = []
    for model_id, history in by_model.items():
        lost += _gaps(model_id, history)
        reading = _Reading(machine=machine, model_id=model_id)
        for entry in history:
            illegal += reading.read(entry)
        if complete:
            stuck += reading.left()
    return Findings(lost=tuple(lost), illegal=tuple(illegal), stuck=tuple(stuck))


def _gaps(model_id: str, history: Sequence[Entry]) -> Iterator[str]:
    expected = 1
    for entry in history:
        if entry.sequence > expected:
            yield f"{model_id}: event {expected} is missing before {entry.sequence}"
        elif entry.sequence < expected:
            yield f"{model_id}: event {entry.sequence} comes after {expected - 1}"
        expected = max(expected, entry.sequence + 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Work:
    """An operation since it began: where its model's versions were just before."""

    before: Mapping[int, str]
    was_served: bool


@dataclass(slots=True, kw_only=True)
class _Reading:
    """A model as its history, read so far, has it."""

    machine: StateMachine
    model_id: str
    states: dict[int, str] = field(default_factory=dict)
    begun: dict[str, _Work] = field(default_factory=dict)
    waiting: dict[str, str] = field(default_factory=dict)
    at_work: dict[str, Progress] = field(default_factory=dict)
    compensated: dict[str, Progress] = field(default_factory=dict)
    undone: dict[str, Progress] = field(default_factory=dict)

    def read(self, entry: Entry) -> Iterator[str]:
        where = f"{self.model_id} at {entry.sequence}"
        match entry.what:
            case Move() as move:
                yield from self._moved(where, move)
            case Progress() as progress:
                yield from self._progressed(where, progress)
            case None:
                return
        yield from self._unserved(where)

    def left(self) -> Iterator[str]:
        for progress in self.at_work.values():
            yield f"{self.model_id}: {progress.saga} {progress.operation_id} is {progress.state.value} for ever"
        for operation_id, saga in self.waiting.items():
            yield f"{self.model_id}: {saga} {operation_id} waits for ever"
        for operation_id, undone in self.undone.items():
            stays = self.states.get(undone.version)
            yield f"{self.model_id}:{undone.version} stays {stays} after {undone.saga} {operation_id} was undone"

    def _moved(self, where: str, move: Move) -> Iterator[str]:
        self._begin(move.operation_id)
        stood = self.states.get(move.version, "")
        if move.source != stood:
            yield f"{where}: two moved version {move.version} out of {move.source or 'nowhere'}, which was {stood} by then"
        if move.source and move.event != BY_HAND:
            yield from self._unruly(where, move)
        elif move.target not in self.machine.states:
            yield f"{where}: there is no state {move.target}"
        undone = self.compensated.get(move.operation_id)
        if undone is not None and undone.version == move.version:
            self.undone.pop(move.operation_id, None)
            yield from self._not_back(where, move, undone.saga, self.begun[move.operation_id].before.get(move.version, ""))
        self.states[move.version] = move.target

    def _unruly(self, where: str, move: Move) -> Iterator[str]:
        ways = {(rule.source, rule.event): rule.target for rule in self.machine.rules}
        if ways.get((move.source, move.event)) != move.target:
            yield f"{where}: version {move.version} went {move.source} --{move.event}--> {move.target}, which no rule says"

    def _not_back(self, where: str, move: Move, saga: str, before: str) -> Iterator[str]:
        worked_in = {rule.target for rule in self.machine.rules if rule.saga == saga and rule.source == before}
        exits = {rule.target for rule in self.machine.rules if rule.is_failure and rule.source in worked_in}
        if move.target not in {before, *exits}:
            yield f"{where}: version {move.version} was {before}, and is {move.target} after its {saga} was undone"

    def _progressed(self, where: str, progress: Progress) -> Iterator[str]:
        operation_id = progress.operation_id
        if progress.state is OperationState.WAITING:
            self.waiting[operation_id] = progress.saga
            return
        self.waiting.pop(operation_id, None)
        if not progress.state.has_ended:
            self._begin(operation_id)
            for other in self.at_work.values():
                if other.operation_id != operation_id:
                    yield f"{where}: {progress.saga} {operation_id} is at work while {other.saga} {other.operation_id} is"
            self.at_work[operation_id] = progress
            return
        self.at_work.pop(operation_id, None)
        if progress.state is OperationState.COMPENSATED:
            yield from self._compensated(where, progress)

    def _compensated(self, where: str, progress: Progress) -> Iterator[str]:
        before = self.begun[progress.operation_id].before if progress.operation_id in self.begun else {}
        for version, state in before.items():
            if state == SERVING and version != progress.version and self.states.get(version) != SERVING:
                yield f"{where}: version {version} served before {progress.operation_id}, which was undone, and does not after"
        self.compensated[progress.operation_id] = progress
        if self.states.get(progress.version) != before.get(progress.version):
            self.undone[progress.operation_id] = progress

    def _begin(self, operation_id: str) -> None:
        """Note how the model stood before anything of the operation happened."""
        if operation_id and operation_id not in self.begun:
            self.begun[operation_id] = _Work(before=dict(self.states), was_served=SERVING in self.states.values())

    def _unserved(self, where: str) -> Iterator[str]:
        if SERVING in self.states.values():
            return
        for progress in self.at_work.values():
            if progress.saga in INTO_SERVICE and self.begun[progress.operation_id].was_served:
                yield f"{where}: nobody serves while {progress.saga} {progress.operation_id} goes on"
