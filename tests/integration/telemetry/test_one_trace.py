"""One trace from the request to the last SQL statement, over areas, as a collector gets it from a live platform."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tests.integration.telemetry.conftest import TellingPlatform, new_trace
from tests.otlp_collector import SeenSpan

CREATE_MODEL = "synapsenet.models.v1.ModelService/CreateModel"
GET_MODEL = "synapsenet.models.v1.ModelService/GetModel"
CREATE_VERSION = "synapsenet.registry.v1.RegistryService/CreateVersion"
EDGE = "ingress"


def way_up(spans: Sequence[SeenSpan], span: SeenSpan) -> list[str]:
    """`span` and those above it, as `kind name`, up to the first whose parent is nobody here."""
    by_id: Mapping[str, SeenSpan] = {each.id: each for each in spans}
    way = []
    at: SeenSpan | None = span
    while at is not None:
        way.append(f"{at.kind} {at.name}")
        at = by_id.get(at.parent)
    return way


def names(spans: Sequence[SeenSpan]) -> set[str]:
    return {span.name for span in spans}


def test_a_call_that_crosses_areas_is_one_trace_down_to_the_last_statement_of_each(telling: TellingPlatform) -> None:
    _, created = telling.post("/models", {"name": "crossing"})
    trace, caller, header = new_trace()

    status, _ = telling.post(f"/models/{created['model']['id']}/versions", {}, traceparent=header)

    assert status == 200
    wanted = {EDGE, CREATE_VERSION, GET_MODEL, "SELECT models", "INSERT registry"}
    spans = telling.collector.wait_for(trace, lambda seen: wanted <= names(seen))
    read = next(span for span in spans if span.name == "SELECT models")
    assert way_up(spans, read) == [
        "client SELECT models",
        "internal read models",
        f"server {GET_MODEL}",
        f"client {GET_MODEL}",
        f"server {CREATE_VERSION}",
        f"server {EDGE}",
    ]
    outbox = next(span for span in spans if "INTO outbox" in span.attributes.get("db.query.text", ""))
    assert way_up(spans, outbox) == [
        "client INSERT registry",
        "internal write registry",
        f"server {CREATE_VERSION}",
        f"server {EDGE}",
    ]
    ids = {span.id for span in spans}
    assert [span.name for span in spans if span.parent not in ids] == [EDGE]
    assert {span.parent for span in spans if span.name == EDGE} == {caller}
    assert {span.service for span in spans} == {"edge", "dev"}


def test_a_request_without_a_trace_begins_one_at_the_edge(telling: TellingPlatform) -> None:
    request = "6ab7c9fc-b89d-952e-8245-3246891a1d6b"

    telling.post("/models", {"name": "untraced"}, x_request_id=request)

    def edges() -> list[SeenSpan]:
        return [span for span in list(telling.collector.spans) if span.attributes.get("guid:x-request-id") == request]

    telling.collector.wait_until(lambda: bool(edges()))
    (edge,) = edges()
    assert edge.parent == ""
    spans = telling.collector.wait_for(edge.trace, lambda seen: CREATE_MODEL in names(seen))
    assert {CREATE_MODEL, "write models", "INSERT models"} <= names(spans)


def test_a_request_whose_caller_does_not_sample_leaves_no_span(telling: TellingPlatform) -> None:
    quiet, _, unsampled = new_trace(sampled=False)
    later, _, sampled = new_trace()

    telling.post("/models", {"name": "quiet"}, traceparent=unsampled)
    telling.post("/models", {"name": "later"}, traceparent=sampled)

    telling.collector.wait_for(later, lambda seen: {EDGE, CREATE_MODEL} <= names(seen))
    assert telling.collector.trace(quiet) == []


def test_a_refusal_is_recorded_with_its_status_and_its_reason(telling: TellingPlatform) -> None:
    trace, _, header = new_trace()

    status, _ = telling.live.request("GET", "/models/nobody", headers={"traceparent": header})

    assert status == 404
    spans = telling.collector.wait_for(trace, lambda seen: GET_MODEL in names(seen))
    (served,) = [span for span in spans if span.name == GET_MODEL]
    assert served.attributes["rpc.response.status_code"] == "NOT_FOUND"
    assert served.attributes["error.type"] == "MODEL_UNKNOWN"
    assert not served.failed  # the caller's fault is none of the server's


def test_what_the_guard_refuses_is_recorded_too(telling: TellingPlatform) -> None:
    trace, _, header = new_trace()

    status, _ = telling.post("/models", {}, traceparent=header)

    assert status == 400
    spans = telling.collector.wait_for(trace, lambda seen: CREATE_MODEL in names(seen))
    (served,) = [span for span in spans if span.name == CREATE_MODEL]
    assert served.attributes["error.type"] == "FIELD_MISSING"


def test_what_a_statement_stores_and_what_a_header_carries_stand_in_no_span(telling: TellingPlatform) -> None:
    trace, _, header = new_trace()

    telling.post(
        "/models",
        {"name": "discreet", "description": "kept-to-itself"},
        traceparent=header,
        authorization="Bearer abcdef123456",
    )

    spans = telling.collector.wait_for(trace, lambda seen: {EDGE, CREATE_MODEL} <= names(seen))
    assert "INSERT models" in names(spans)
    told = repr(spans)
    assert "kept-to-itself" not in told
    assert "abcdef123456" not in told


def test_metrics_are_sent_to_the_collector_as_well(telling: TellingPlatform) -> None:
    telling.post("/models", {"name": "counted"})

    wanted = {"rpc.server.call.duration", "db.client.operation.duration", "process.cpu.time"}
    telling.collector.wait_until(lambda: wanted <= telling.collector.metrics)

    assert wanted <= telling.collector.metrics
