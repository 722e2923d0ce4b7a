"""What a process tells of itself: `telemetry.open(…)` in its main, `telemetry.current()` in its parts."""

from synapsenet_servers.telemetry.current import OFF, Telemetry, current
from synapsenet_servers.telemetry.opening import open_telemetry as open  # noqa: A004 - read with its module's name
from synapsenet_servers.telemetry.options import TelemetryOptions

__all__ = ["OFF", "Telemetry", "TelemetryOptions", "current", "open"]
