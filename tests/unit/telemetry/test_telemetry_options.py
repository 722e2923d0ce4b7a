"""What an operator may set of telemetry, and what OpenTelemetry's own variables say."""

from __future__ import annotations

import pytest

from synapsenet.errors import InvalidArgument
from synapsenet_servers.telemetry.options import TelemetryOptions
from synapsenet_servers.telemetry.variables import (
    Collector,
    Exporters,
    inherited,
    read_collector,
    read_exporters,
    sampled_share,
)

ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4317"}


@pytest.mark.parametrize("address", ["9464", "localhost:9464", "127.0.0.1", "127.0.0.1:http", "127.0.0.1:70000"])
def test_an_address_that_is_none_is_refused_by_its_key(address: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        TelemetryOptions(prometheus=address)
    assert refused.value.reason == "TELEMETRY_INVALID"
    assert "telemetry.prometheus" in refused.value.public


def test_a_page_that_others_can_reach_must_be_asked_for() -> None:
    with pytest.raises(InvalidArgument) as refused:
        TelemetryOptions(prometheus="0.0.0.0:9464")
    assert refused.value.reason == "PROMETHEUS_EXPOSED"
    assert TelemetryOptions(prometheus="0.0.0.0:9464", prometheus_exposed=True).prometheus_address == ("0.0.0.0", 9464)


def test_an_address_may_be_of_version_6() -> None:
    assert TelemetryOptions(prometheus="[::1]:0").prometheus_address == ("::1", 0)


@pytest.mark.parametrize("wrong", [{"log_format": "xml"}, {"log_level": "loud"}, {"flush_s": 0.0}])
def test_what_is_no_choice_is_refused(wrong: dict[str, str | float]) -> None:
    with pytest.raises(InvalidArgument) as refused:
        TelemetryOptions(**wrong)  # type: ignore[arg-type]  # that is the point
    assert refused.value.reason == "TELEMETRY_INVALID"


def test_without_a_variable_nothing_is_sent_anywhere() -> None:
    assert read_exporters({}) == Exporters()
    assert read_collector({}) is None


def test_an_endpoint_is_enough_to_send_spans_and_metrics_there() -> None:
    assert read_exporters(ENDPOINT) == Exporters(traces=("otlp",), metrics=("otlp",))
    assert read_collector(ENDPOINT) == Collector(url="http://collector:4317")


def test_one_signals_endpoint_goes_before_that_of_all() -> None:
    collector = read_collector(ENDPOINT | {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://traces:4317"})
    assert collector == Collector(url="http://traces:4317")


def test_a_collector_is_given_what_it_asks_for_to_let_us_in() -> None:
    variables = {"OTEL_EXPORTER_OTLP_CERTIFICATE": "/ca.pem", "OTEL_EXPORTER_OTLP_HEADERS": "X-Key=a%20b, tenant=t"}
    collector = read_collector(ENDPOINT | variables)
    assert collector == Collector(url="http://collector:4317", ca_file="/ca.pem", headers={"x-key": "a b", "tenant": "t"})
    assert "a b" not in repr(collector)


@pytest.mark.parametrize("url", ["collector:4317", "ftp://collector", "http://", "http://collector:port"])
def test_an_endpoint_that_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        read_collector({"OTEL_EXPORTER_OTLP_ENDPOINT": url})
    assert refused.value.reason == "TELEMETRY_INVALID"


def test_a_signal_can_be_left_out_by_the_exporter_none() -> None:
    variables = ENDPOINT | {"OTEL_METRICS_EXPORTER": "none", "OTEL_TRACES_EXPORTER": "otlp,console"}
    assert read_exporters(variables) == Exporters(traces=("otlp", "console"))
    assert read_collector(ENDPOINT | {"OTEL_TRACES_EXPORTER": "console"}) is None


def test_the_sdk_disabled_sends_nothing_whatever_else_is_said() -> None:
    assert read_exporters(ENDPOINT | {"OTEL_SDK_DISABLED": "true"}) == Exporters(disabled=True)


def test_a_protocol_that_is_not_carried_is_refused_by_its_variable() -> None:
    with pytest.raises(InvalidArgument) as refused:
        read_exporters(ENDPOINT | {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"})
    assert refused.value.reason == "TELEMETRY_INVALID"
    assert "grpc" in refused.value.public


@pytest.mark.parametrize(
    ("sampler", "argument", "share"),
    [
        ("", "", 1.0),
        ("parentbased_always_on", "", 1.0),
        ("always_off", "", 0.0),
        ("parentbased_traceidratio", "0.25", 0.25),
        ("traceidratio", "much", 1.0),
        ("traceidratio", "7", 1.0),
    ],
)
def test_the_edge_begins_as_many_traces_as_the_sampler_says(sampler: str, argument: str, share: float) -> None:
    assert sampled_share({"OTEL_TRACES_SAMPLER": sampler, "OTEL_TRACES_SAMPLER_ARG": argument}) == share


def test_a_service_hands_its_children_the_variables_but_its_name() -> None:
    variables = ENDPOINT | {"OTEL_SERVICE_NAME": "up", "HOME": "/root"}
    assert inherited(variables) == ENDPOINT
