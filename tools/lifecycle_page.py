"""Write what docs/lifecycle.md shows of the state machine and the sagas, from the table that the platform itself goes by.

Prose and generated part are one page; only what stands between the markers is written. `--check` writes nothing and exits 1 if
that is not what the table gives.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from datetime import timedelta

from synapsenet.lifecycle.diagram import diagram
from synapsenet.lifecycle.machine import StateMachine
from synapsenet.lifecycle.saga import Saga, SagaCatalogue
from synapsenet.lifecycle.sagas import SAGAS
from synapsenet.lifecycle.table import MACHINE
from tools.house import ROOT

PAGE = ROOT / "docs" / "lifecycle.md"
BEGIN = "<!-- Written by tools/lifecycle_page.py from the table; `make proto` writes it anew. -->\n"
END = "<!-- Here ends what is written by tools/lifecycle_page.py. -->\n"


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--check", action="store_true", help="compare only; exit 1 if the page is stale")
    check = arguments.parse_args().check
    page = PAGE.read_text(encoding="utf-8")
    try:
        written = rewritten(page, render(MACHINE, SAGAS))
    except ValueError as problem:
        print(f"docs/lifecycle.md: {problem}", file=sys.stderr)
        return 1
    if not check:
        PAGE.write_text(written, encoding="utf-8")
    elif page != written:
        print("docs/lifecycle.md is stale: run `make proto` and commit", file=sys.stderr)
        return 1
    return 0


def rewritten(page: str, part: str) -> str:
    """`page` with `part` between its markers.

    Raises:
        ValueError: it has not exactly one pair of them.
    """
    if page.count(BEGIN) != 1 or page.count(END) != 1 or page.index(END) < page.index(BEGIN):
        raise ValueError("the two lines that mark the generated part must each be there once")
    before, _, rest = page.partition(BEGIN)
    return f"{before}{BEGIN}\n{part}\n{END}{rest.partition(END)[2]}"


def render(machine: StateMachine, sagas: SagaCatalogue) -> str:
    """The generated part: diagram, states, rules and sagas."""
    sections = [
        f"```mermaid\n{diagram(machine)}```\n",
        "### States\n",
        states(machine),
        "### Rules\n",
        rules(machine),
        "### Sagas\n",
        *(steps(saga) for saga in sagas.all()),
    ]
    return "\n".join(sections)


def states(machine: StateMachine) -> str:
    """One row a state."""
    rows = [
        (
            f"`{state.name}`",
            state.description,
            limit(state.timeout),
            f"`{machine.failure_exit(state.name).event}`" if state.timeout is not None else "",
        )
        for state in machine.states.values()
    ]
    return table(("state", "meaning", "no longer than", "then"), rows)


def rules(machine: StateMachine) -> str:
    """One row a rule."""
    rows = [
        (
            f"`{rule.source}`",
            f"`{rule.event}`" + (" (a saga's end)" if rule.by_saga else ""),
            f"`{rule.target}`",
            ", ".join(f"`{guard}`" for guard in rule.guards),
            f"`{rule.saga}`" if rule.saga else "",
            rule.description,
        )
        for rule in machine.rules
    ]
    return table(("from", "event", "to", "guards", "saga", "meaning"), rows)


def steps(saga: Saga) -> str:
    """The steps of one version of a saga, under its name."""
    rows = [
        (
            f"`{step.name}`",
            step.participant,
            step.action,
            step.compensation or "nothing to undo",
            limit(step.timeout),
            str(step.attempts),
        )
        for step in saga.steps
    ]
    head = ("step", "by", "action", "compensation", "timeout of an attempt", "attempts")
    return f"**`{saga.name}`**, version {saga.version}\n\n{table(head, rows)}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


def limit(time: timedelta | None) -> str:
    """`7 d`, `1 h`, `5 min` or `30 s`; empty for none."""
    if time is None:
        return ""
    for seconds, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if time.total_seconds() >= seconds and time.total_seconds() % seconds == 0:
            return f"{time.total_seconds() / seconds:g} {unit}"
    return f"{time.total_seconds():g} s"


if __name__ == "__main__":
    sys.exit(main())
