"""The state machine on the wire."""

from __future__ import annotations

import hashlib

from synapsenet.lifecycle.machine import Rule, State, StateMachine
from synapsenet.lifecycle.saga import Saga, SagaCatalogue, Step
from synapsenet_api.lifecycle.v1 import state_machine_pb2 as pb
from synapsenet_servers.translate.times import to_duration

_REVISION_DIGITS = 16


def state_machine(machine: StateMachine, sagas: SagaCatalogue) -> pb.StateMachine:
    """The whole table, and the sagas that a rule of it names or that still run somewhere."""
    wire = pb.StateMachine(
        initial_state=machine.initial,
        states=[_state(state) for state in machine.states.values()],
        rules=[_rule(rule) for rule in machine.rules],
        sagas=[_saga(saga) for saga in sagas.all()],
    )
    wire.revision = hashlib.sha256(wire.SerializeToString(deterministic=True)).hexdigest()[:_REVISION_DIGITS]
    return wire


def _state(state: State) -> pb.State:
    return pb.State(
        name=state.name,
        description=state.description,
        final=state.is_final,
        in_progress=state.timeout is not None,
        timeout=None if state.timeout is None else to_duration(state.timeout),
        legacy_name=state.original,
    )


def _rule(rule: Rule) -> pb.Rule:
    return pb.Rule(
        source=rule.source,
        event=rule.event,
        target=rule.target,
        guards=rule.guards,
        saga=rule.saga,
        timeout=None if rule.timeout is None else to_duration(rule.timeout),
        description=rule.description,
    )


def _saga(saga: Saga) -> pb.Saga:
    return pb.Saga(name=saga.name, version=saga.version, steps=[_step(step) for step in saga.steps])


def _step(step: Step) -> pb.SagaStep:
    return pb.SagaStep(
        name=step.name,
        participant=step.participant,
        timeout=to_duration(step.timeout),
        attempts=step.attempts,
        action=step.action,
        compensation=step.compensation,
    )
