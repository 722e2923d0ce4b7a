"""What an operator may set of logs, metrics and traces; where traces go is said by OpenTelemetry's own variables."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from synapsenet.errors import InvalidArgument

_FORMATS = ("text", "json")
_LEVELS = ("debug", "info", "warning", "error", "critical")


@dataclass(frozen=True, slots=True, kw_only=True)
class TelemetryOptions:
    """What a process tells of itself. Exporters and samplers are set by the variables `OTEL_…`.

    Attributes:
        log_format: `text` for people, `json` for one JSON object a line with the ids of the trace.
        log_level: `debug`, `info`, `warning`, `error` or `critical`; what is less than that is not logged.
        prometheus: `host:port` of a page `/metrics` of each process, port 0 for a free one; empty for none.
        prometheus_exposed: the operator says that `prometheus` may be other than loopback; the page asks nobody for a token.
        traces: whether spans are made and sent where the variables `OTEL_…` say; without them they are sent nowhere.
        flush_s: seconds that spans and metrics have to get out when a process ends.
    """

    log_format: str = "text"
    log_level: str = "warning"
    prometheus: str = ""
    prometheus_exposed: bool = False
    traces: bool = True
    flush_s: float = 3.0

    def __post_init__(self) -> None:
        if self.log_format not in _FORMATS:
            raise InvalidArgument("TELEMETRY_INVALID", field="telemetry.log_format", remedy="choose text or json")
        if self.log_level not in _LEVELS:
            raise InvalidArgument(
                "TELEMETRY_INVALID", field="telemetry.log_level", remedy=f"choose one of {', '.join(_LEVELS)}"
            )
        if self.flush_s <= 0:
            raise InvalidArgument("TELEMETRY_INVALID", field="telemetry.flush_s", remedy="give more than 0 seconds")
        if self.prometheus:
            self._check_address()

    @property
    def prometheus_address(self) -> tuple[str, int]:
        """Host and port of `prometheus`, which must not be empty."""
        host, _, port = self.prometheus.rpartition(":")
        return host.strip("[]"), int(port)

    def _check_address(self) -> None:
        try:
            host, port = self.prometheus_address
            loopback = ipaddress.ip_address(host).is_loopback
        except ValueError as error:
            raise _address_invalid() from error
        if not 0 <= port <= 65_535:
            raise _address_invalid()
        if not loopback and not self.prometheus_exposed:
            raise InvalidArgument(
                "PROMETHEUS_EXPOSED",
                f"{self.prometheus} can be reached from other machines, and the page asks nobody for a token",
                field="telemetry.prometheus",
                remedy="bind a loopback address, or set telemetry.prometheus_exposed",
            )


def _address_invalid() -> InvalidArgument:
    return InvalidArgument(
        "TELEMETRY_INVALID", field="telemetry.prometheus", remedy="give an IP address and a port, such as 127.0.0.1:9464"
    )
