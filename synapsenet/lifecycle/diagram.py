"""The state machine as a Mermaid diagram, made from the table."""

from __future__ import annotations

from synapsenet.lifecycle.machine import Rule, StateMachine


def diagram(machine: StateMachine) -> str:
    """A Mermaid `stateDiagram-v2`; a saga's name stands in brackets behind the event, and a failure exit begins with `✗`."""
    lines = ["stateDiagram-v2", f"    [*] --> {machine.initial}"]
    lines += [f"    {rule.source} --> {rule.target}: {_label(rule)}" for rule in machine.rules]
    lines += [f"    {state.name} --> [*]" for state in machine.states.values() if state.is_final]
    return "\n".join(lines) + "\n"


def _label(rule: Rule) -> str:
    mark = "✗ " if rule.is_failure else ""
    saga = f" [{rule.saga}]" if rule.saga else ""
    return f"{mark}{rule.event}{saga}"
