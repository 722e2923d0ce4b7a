"""What the supervisor of child processes tells."""

from __future__ import annotations

from collections.abc import Iterable

from synapsenet_servers.children.supervisor import Supervisor
from synapsenet_servers.telemetry.instruments import CHILD_RESTARTS, CHILDREN, CHILDREN_GIVEN_UP, Gauge, Read


def supervisor_gauges(supervisor: Supervisor) -> Iterable[tuple[Gauge, Read]]:
    """The gauges of one supervisor. Children are told by state: their names are as many as jobs."""
    return (
        (CHILDREN, lambda: [(count, {"state": str(state.value)}) for state, count in supervisor.statistics().children.items()]),
        (CHILD_RESTARTS, lambda: [(supervisor.statistics().restarts, {})]),
        (CHILDREN_GIVEN_UP, lambda: [(supervisor.statistics().given_up, {})]),
    )
