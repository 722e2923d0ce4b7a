"""A cluster tells of itself: one trace over processes, and every series that the dashboard asks for."""

from __future__ import annotations

import json
import os
import re
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.cluster import Cluster, small_cluster, until
from tests.integration.telemetry.conftest import TellingPlatform, new_trace
from tests.integration.telemetry.pages import page_of, read_page, sample_names, samples
from tests.integration.telemetry.test_one_trace import CREATE_VERSION, EDGE, GET_MODEL, names, way_up
from tests.otlp_collector import Collector, SeenSpan, otlp_collector
from tests.relayed_events import EventReader, headers_of

DASHBOARD = Path(__file__).parents[3] / "deploy" / "grafana" / "synapsenet.json"
PROCESSES = {"mesh": ("mesh",), "models": ("models",), "registry": ("registry",)}
TELEMETRY = {"log_format": "json", "log_level": "info", "prometheus": "127.0.0.1:0"}


@dataclass(frozen=True)
class TellingCluster:
    """A cluster, and the collector that it sends to."""

    cluster: Cluster
    collector: Collector

    def request(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """The JSON answer to a request at the edge."""
        data = None if body is None else json.dumps(body).encode()
        sent = {"Content-Type": "application/json", **headers}
        with urllib.request.urlopen(
            urllib.request.Request(f"{self.cluster.http}{path}", data, sent, method=method), timeout=30
        ) as answer:
            return json.load(answer)

    def answers(self, path: str) -> bool:
        """Whether the edge knows who answers there."""
        try:
            self.request("GET", path)
        except urllib.error.HTTPError as error:
            with error:
                return error.code != 503
        return True

    def page(self, process: str) -> str:
        return read_page(page_of(self.cluster.processes[process].log))


@pytest.fixture(scope="module")
def cluster() -> Iterator[TellingCluster]:
    with otlp_collector() as collector, pytest.MonkeyPatch.context() as patch:
        for name, value in collector.variables().items():
            patch.setitem(os.environ, name, value)
        with small_cluster(PROCESSES, broker=True, telemetry=TELEMETRY) as running:
            telling = TellingCluster(running, collector)
            until(lambda: telling.answers("/models") and telling.answers("/models/nobody/versions"))
            yield telling


def test_one_trace_leads_from_the_request_over_services_to_the_last_statement(cluster: TellingCluster) -> None:
    model = cluster.request("POST", "/models", {"name": "spread"})["model"]["id"]
    trace, caller, header = new_trace()

    cluster.request("POST", f"/models/{model}/versions", {}, traceparent=header)

    wanted = {EDGE, CREATE_VERSION, GET_MODEL, "SELECT models", "INSERT registry"}
    spans = cluster.collector.wait_for(trace, lambda seen: wanted <= names(seen))
    read = next(span for span in spans if span.name == "SELECT models")
    assert read.attributes["db.system.name"] == "postgresql"
    assert way_up(spans, read) == [
        "client SELECT models",
        "internal read models",
        f"server {GET_MODEL}",
        f"client {GET_MODEL}",
        f"server {CREATE_VERSION}",
        f"server {EDGE}",
    ]
    ids = {span.id for span in spans}
    assert [(span.name, span.parent) for span in spans if span.parent not in ids] == [(EDGE, caller)]
    services = {span.name: span.service for span in spans if span.kind == "server"}
    assert (services[EDGE], services[CREATE_VERSION], services[GET_MODEL]) == ("edge", "registry", "models")


def has_span(wanted: str, spans: Sequence[SeenSpan]) -> bool:
    return any(span.id == wanted for span in spans)


def test_an_event_on_kafka_names_the_trace_of_the_request_that_committed_it(cluster: TellingCluster) -> None:
    assert cluster.cluster.kafka is not None
    traces = {}
    for name in ("announced", "announced-too"):
        trace, _, header = new_trace()
        traces[f"model/{cluster.request('POST', '/models', {'name': name}, traceparent=header)['model']['id']}"] = trace
    reader = EventReader(cluster.cluster.kafka.address, "synapsenet.models.events")
    try:
        reader.await_topic(seconds=20.0)
        reader.read_until(lambda seen: set(traces) <= {one.aggregate for one in seen}, seconds=20.0)
        headers = [headers_of(message) for message in reader.messages]
    finally:
        reader.close()

    parents = {one["ce_subject"]: one["traceparent"].split("-") for one in headers if one["ce_subject"] in traces}
    assert {aggregate: parent[1] for aggregate, parent in parents.items()} == traces
    for _, trace, parent, _ in parents.values():
        spans = cluster.collector.wait_for(trace, partial(has_span, parent))
        (span,) = [span for span in spans if span.id == parent]
        assert span.name == "write models"


def test_the_outbox_empties_and_the_page_says_so(cluster: TellingCluster) -> None:
    cluster.request("POST", "/models", {"name": "emptied"})

    def backlog() -> float:
        return samples(cluster.page("models"), "synapsenet_outbox_backlog").get("models", 1.0)

    until(lambda: backlog() == 0)
    page = cluster.page("models")
    assert samples(page, "synapsenet_relay_lag_seconds") == {"models": 0.0}
    assert samples(page, "synapsenet_outbox_parked") == {"models": 0.0}
    assert sum(samples(page, "messaging_client_sent_messages_total").values()) >= 1
    assert samples(page, "synapsenet_etcd_session_alive") == {"": 1.0}
    assert samples(page, "synapsenet_locks_held")[""] >= 2  # of the sequencer and the relay


def test_the_pools_of_every_schema_are_told(cluster: TellingCluster) -> None:
    most = samples(cluster.page("models"), "db_client_connection_max")
    assert {"models/write", "models/read", "models/tend", "coordination/write"} <= set(most)
    assert most["models/write"] == 1
    used = samples(cluster.page("models"), "db_client_connection_count")
    assert sum(value for labels, value in used.items() if labels.startswith("models/")) >= 1


def test_every_series_of_the_dashboard_is_told_by_live_processes(cluster: TellingCluster, telling: TellingPlatform) -> None:
    with pytest.raises(urllib.error.HTTPError):
        cluster.request("GET", "/models/nobody")
    telling.live.request("GET", "/models/nobody")
    cluster.request("POST", "/models", {"name": "shown"})
    until(lambda: "messaging_client_sent_messages_total" in sample_names(cluster.page("models")))

    told = sample_names(cluster.page("models")) | sample_names(cluster.page("registry")) | sample_names(telling.metrics())

    asked = {name for query in queries() for name in metric_names(query)}
    assert len(asked) > 20
    assert asked - told == set()


def test_the_dashboard_takes_its_data_source_from_a_variable() -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    variables = {variable["name"]: variable for variable in dashboard["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
    sources = [thing["datasource"]["uid"] for panel in panels for thing in (panel, *panel["targets"])]
    assert set(sources) == {"${datasource}"}
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
    assert all(panel["description"] for panel in panels)


def queries() -> Iterator[str]:
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        for target in panel.get("targets", ()):
            yield target["expr"]


def metric_names(query: str) -> set[str]:
    """The metrics of a query: names that are neither labels nor functions."""
    bare = re.sub(r'"[^"]*"', "", query)
    bare = re.sub(r"\bby \([^)]*\)", "", bare)
    bare = re.sub(r"\{[^}]*\}", "", bare)
    return set(re.findall(r"\b[a-z]+_[a-z_]+\b", bare)) - {"histogram_quantile", "label_replace", "__rate_interval"}
