"""What the faults came to: one line each at the end of the run, and the sum of what was lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

_FAULT = "fault"
_NOTHING = ("lost writes", "lost events", "reordered")

Tell = Callable[..., None]


@pytest.fixture
def tell(record_property: Callable[[str, object], None]) -> Tell:
    """`tell("relay killed 3 times", lost_events=0, reordered=0)`: what was done, and counts that are asserted to be 0."""

    def told(fault: str, **counts: int) -> None:
        found = {name.replace("_", " "): count for name, count in counts.items()}
        record_property(_FAULT, (fault, found))
        assert not any(found.values()), f"{fault}: {found}"

    return told


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    sums: Counter[str] = Counter()
    lines = []
    for report in (report for outcome in ("passed", "failed") for report in terminalreporter.getreports(outcome)):
        for name, value in getattr(report, "user_properties", ()):
            if name == _FAULT and report.when == "call":
                fault, found = value
                sums.update(found)
                lines.append(f"{fault}: {', '.join(f'{what} {count}' for what, count in found.items())}")
    if lines:
        terminalreporter.section("faults")
        for line in lines:
            terminalreporter.write_line(line)
        terminalreporter.write_line(", ".join(f"{what} {sums[what]}" for what in _NOTHING))
