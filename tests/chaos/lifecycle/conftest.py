"""What the faults of the lifecycle came to: how many there were, and the sums of what the audits found."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from synapsenet.lifecycle.audit import Findings

_FAULTS = "lifecycle_faults"

Judge = Callable[..., None]


@pytest.fixture
def judge(record_property: Callable[[str, object], None]) -> Judge:
    """`judge("killed in deploy", faults=7, findings=..., also=[...])`: says what was done; nothing may be wrong with it."""

    def judged(fault: str, *, faults: int, findings: Findings, also: list[str] | None = None) -> None:
        counts = (faults, len(findings.lost), len(findings.illegal) + len(also or ()), len(findings.stuck))
        record_property(_FAULTS, (fault, counts))
        assert [*findings.all, *(also or ())] == [], fault

    return judged


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    told = [
        value
        for outcome in ("passed", "failed")
        for report in terminalreporter.getreports(outcome)
        for name, value in getattr(report, "user_properties", ())
        if name == _FAULTS and report.when == "call"
    ]
    if told:
        terminalreporter.section("faults of the lifecycle")
        for fault, (count, *_) in told:
            terminalreporter.write_line(f"{fault}: {count}")
        faults, lost, illegal, stuck = (sum(counts[place] for _, counts in told) for place in range(4))
        terminalreporter.write_line(f"faults {faults}")
        terminalreporter.write_line(f"lost events {lost}, illegal states {illegal}, stuck operations {stuck}")
