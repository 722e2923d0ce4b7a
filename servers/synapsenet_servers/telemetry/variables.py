"""OpenTelemetry's standard environment variables, as far as this platform decides by them; the SDK reads the others itself."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from synapsenet.errors import InvalidArgument

OTLP = "otlp"
PROMETHEUS = "prometheus"
_NONE = "none"
_PROTOCOL = "grpc"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exporters:
    """Where a process is told to send what it knows of itself.

    Attributes:
        traces: names of exporters, as in `OTEL_TRACES_EXPORTER`.
        metrics: names of exporters, as in `OTEL_METRICS_EXPORTER`.
        disabled: neither, whatever else is said: `OTEL_SDK_DISABLED`.
    """

    traces: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    disabled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Collector:
    """A collector that takes OTLP by gRPC.

    Attributes:
        url: such as http://localhost:4317; https for TLS.
        ca_file: the authorities that its certificate is checked with; empty for the system's.
        headers: sent along with all that it is sent, secrets among them.
    """

    url: str
    ca_file: str = ""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        try:
            parts = urlsplit(self.url)
            known = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        except ValueError:
            known = False
        if not known:
            raise InvalidArgument(
                "TELEMETRY_INVALID",
                f"{self.url} is no URL of a collector",
                field="OTEL_EXPORTER_OTLP_ENDPOINT",
                remedy="give one such as http://localhost:4317",
            )


def read_exporters(environment: Mapping[str, str] = os.environ) -> Exporters:
    """The exporters that the variables name.

    Where the standard's default is OTLP to localhost, ours is none until an endpoint is given: a platform on a laptop must
    not knock at a collector that nobody started.

    Raises:
        InvalidArgument: TELEMETRY_INVALID, the protocol of OTLP is one that is not carried.
    """
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return Exporters(disabled=True)
    exporters = Exporters(traces=_named("TRACES", environment), metrics=_named("METRICS", environment))
    for signal, names in (("TRACES", exporters.traces), ("METRICS", exporters.metrics)):
        if OTLP in names:
            _check_protocol(signal, environment)
    return exporters


def inherited(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The variables that a process of the platform hands to those of its children that are services themselves.

    The service's name is each child's own.
    """
    return {name: value for name, value in environment.items() if name.startswith("OTEL_") and name != "OTEL_SERVICE_NAME"}


def read_collector(environment: Mapping[str, str] = os.environ) -> Collector | None:
    """Where traces are sent to by OTLP, for those beside the SDK who send some; None if they are not.

    Raises:
        InvalidArgument: TELEMETRY_INVALID, as `read_exporters`, or the endpoint is no URL.
    """
    if OTLP not in read_exporters(environment).traces:
        return None
    return Collector(
        url=_otlp("ENDPOINT", environment) or "http://localhost:4317",
        ca_file=_otlp("CERTIFICATE", environment),
        headers=dict(_headers(_otlp("HEADERS", environment))),
    )


def sampled_share(environment: Mapping[str, str] = os.environ) -> float:
    """The share of new traces, 0..1, that `OTEL_TRACES_SAMPLER` keeps."""
    sampler = environment.get("OTEL_TRACES_SAMPLER", "").strip().lower()
    if sampler.endswith("always_off"):
        return 0.0
    if not sampler.endswith("traceidratio"):
        return 1.0
    try:
        return min(1.0, max(0.0, float(environment.get("OTEL_TRACES_SAMPLER_ARG", "1"))))
    except ValueError:
        return 1.0


def _otlp(setting: str, environment: Mapping[str, str]) -> str:
    """A setting of OTLP: that of traces goes before that of all signals."""
    return environment.get(f"OTEL_EXPORTER_OTLP_TRACES_{setting}") or environment.get(f"OTEL_EXPORTER_OTLP_{setting}") or ""


def _headers(text: str) -> Iterator[tuple[str, str]]:
    """`name=value` pairs as W3C's Baggage writes them."""
    for pair in filter(None, text.split(",")):
        name, _, value = pair.partition("=")
        if name.strip():
            yield unquote(name.strip()).lower(), unquote(value.strip())


def _named(signal: str, environment: Mapping[str, str]) -> tuple[str, ...]:
    names = [name.strip().lower() for name in environment.get(f"OTEL_{signal}_EXPORTER", "").split(",") if name.strip()]
    if not names and _endpoint_given(signal, environment):
        names = [OTLP]
    return tuple(name for name in dict.fromkeys(names) if name != _NONE)


def _endpoint_given(signal: str, environment: Mapping[str, str]) -> bool:
    return bool(environment.get(f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT") or environment.get("OTEL_EXPORTER_OTLP_ENDPOINT"))


def _check_protocol(signal: str, environment: Mapping[str, str]) -> None:
    name = f"OTEL_EXPORTER_OTLP_{signal}_PROTOCOL"
    protocol = environment.get(name) or environment.get("OTEL_EXPORTER_OTLP_PROTOCOL") or _PROTOCOL
    if protocol.strip() != _PROTOCOL:
        raise InvalidArgument(
            "TELEMETRY_INVALID", f"OTLP is sent by gRPC alone, not by {protocol}", field=name, remedy="set it to grpc"
        )
