"""The state machine: states and rules as data, checked when it is made, and what they allow."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property

from synapsenet.errors import FailedPrecondition, InvalidArgument


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """One state of a version.

    Attributes:
        name: lower case.
        description: one sentence for people.
        timeout: for a state in which work is going on: how long a version may stay before its failure exit is taken; None for
            all others.
        is_final: nothing leaves it.
        legacy_name: the one of the eight original states that stands for it in contracts that know no other; empty: it is one.
    """

    name: str
    description: str
    timeout: timedelta | None = None
    is_final: bool = False
    legacy_name: str = ""

    @property
    def original(self) -> str:
        """The original state that it is, or that stands for it."""
        return self.legacy_name or self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One move that there is.

    Attributes:
        event: what makes it happen.
        guards: what must be true, by name; see `guards.py`.
        saga: what carries it out; empty: one commit does.
        timeout: how long it may take; None: the target's own timeout holds.
        is_failure: it is the way out for what went wrong, and the version keeps the reason as its condition.
        by_saga: only a saga takes it, as its own end; nobody can ask for it.
        is_original: contracts that know states alone, not events, can ask for it.
    """

    source: str
    event: str
    target: str
    description: str
    guards: tuple[str, ...] = ()
    saga: str = ""
    timeout: timedelta | None = None
    is_failure: bool = False
    by_saga: bool = False
    is_original: bool = True


class StateMachine:
    """States and rules that make sense together.

    Raises:
        ValueError: a state that cannot be reached, a dead end that is not final, a state in which work goes on without a
            failure exit and a timeout, two rules for one event of one state, a state or a guard or a saga that is not there.
    """

    def __init__(
        self, states: Iterable[State], rules: Iterable[Rule], *, initial: str, guards: Iterable[str], sagas: Iterable[str]
    ) -> None:
        self.states: Mapping[str, State] = {state.name: state for state in states}
        self.rules = tuple(rules)
        self.initial = initial
        self._by_event = {(rule.source, rule.event): rule for rule in self.rules}
        faults = [*self._faults(frozenset(guards), frozenset(sagas))]
        if faults:
            raise ValueError("the table of states does not hold: " + "; ".join(faults))

    def rule(self, state: str, event: str, *, title: str) -> Rule:
        """The move that `event` makes in `state`, which somebody wants for the version `title`.

        Raises:
            InvalidArgument: EVENT_UNKNOWN, no state knows it.
            FailedPrecondition: TRANSITION_NOT_ALLOWED, naming the events that are.
        """
        found = self._by_event.get((state, event))
        if found is not None and not found.by_saga:
            return found
        if event not in self.events:
            raise InvalidArgument(
                "EVENT_UNKNOWN",
                f"event: there is no event {event[:64]!r}",
                field="event",
                remedy=f"use {', '.join(self.events)}",
            )
        allowed = self.allowed(state)
        raise FailedPrecondition(
            "TRANSITION_NOT_ALLOWED",
            f"version {title} is {state}, where {event} cannot happen",
            field="event",
            remedy=f"in {state} these can: {', '.join(allowed)}" if allowed else "create a new version",
            metadata={
                "state": state,
                "event": event,
                "allowed": ",".join(allowed),
                "targets": ",".join(self.original_targets(state)),
            },
        )

    def ending(self, state: str, event: str) -> Rule:
        """The move that a saga makes at its end; KeyError if the table has none, which is a bug of the saga."""
        return self._by_event[state, event]

    def allowed(self, state: str) -> tuple[str, ...]:
        """The events that somebody can ask for in `state`, ordered by name."""
        return tuple(sorted(rule.event for rule in self.rules if rule.source == state and not rule.by_saga))

    def failure_exit(self, state: str) -> Rule:
        """Where a version goes whose time in `state` is over."""
        return next(rule for rule in self.rules if rule.source == state and rule.is_failure)

    @cached_property
    def carried(self) -> frozenset[str]:
        """States in which work goes on and into which sagas alone lead: without an operation, nobody carries them on."""
        return frozenset(
            state.name
            for state in self.states.values()
            if state.timeout is not None and all(rule.saga for rule in self.rules if rule.target == state.name != rule.source)
        )

    def between(self, source: str, target: str) -> Rule | None:
        """The rule by which contracts that know states alone bring a version from `source` to `target`."""
        ways = [rule for rule in self.rules if rule.source == source and rule.target == target and rule.is_original]
        return ways[0] if ways else None

    def original_targets(self, state: str) -> tuple[str, ...]:
        """The states that contracts which know states alone can ask for in `state`, ordered by name."""
        return tuple(sorted({rule.target for rule in self.rules if rule.source == state and rule.is_original}))

    @cached_property
    def events(self) -> tuple[str, ...]:
        """Every event that somebody can ask for in some state, ordered by name."""
        return tuple(sorted({rule.event for rule in self.rules if not rule.by_saga}))

    def _faults(self, guards: frozenset[str], sagas: frozenset[str]) -> Iterable[str]:
        if self.initial not in self.states:
            yield f"there is no initial state {self.initial}"
        if len(self._by_event) < len(self.rules):
            yield "an event has two rules in one state"
        for rule in self.rules:
            yield from self._faults_of_rule(rule, guards, sagas)
        reached = self._reached()
        for state in self.states.values():
            if state.name not in reached:
                yield f"{state.name} cannot be reached"
            yield from self._faults_of_state(state)

    def _faults_of_rule(self, rule: Rule, guards: frozenset[str], sagas: frozenset[str]) -> Iterable[str]:
        name = f"{rule.source} --{rule.event}-->"
        for end in (rule.source, rule.target):
            if end not in self.states:
                yield f"{name}: there is no state {end}"
        for guard in rule.guards:
            if guard not in guards:
                yield f"{name}: there is no guard {guard}"
        if rule.saga and rule.saga not in sagas:
            yield f"{name}: there is no saga {rule.saga}"

    def _faults_of_state(self, state: State) -> Iterable[str]:
        ways_out = [rule for rule in self.rules if rule.source == state.name and rule.target != state.name]
        if not ways_out and not state.is_final:
            yield f"nothing leaves {state.name}"
        if ways_out and state.is_final:
            yield f"{state.name} is final, and {ways_out[0].event} leaves it"
        if state.timeout is not None and sum(rule.is_failure for rule in ways_out) != 1:
            yield f"work goes on in {state.name}, which needs one failure exit"
        if state.timeout is None and any(rule.is_failure for rule in ways_out):
            yield f"{state.name} has a failure exit, so it needs a timeout"
        if state.legacy_name and (state.legacy_name not in self.states or self.states[state.legacy_name].legacy_name):
            yield f"{state.name}: {state.legacy_name} is no original state"

    def _reached(self) -> frozenset[str]:
        reached, before = {self.initial}, set[str]()
        while reached != before:
            before = set(reached)
            reached |= {rule.target for rule in self.rules if rule.source in reached}
        return frozenset(reached)
