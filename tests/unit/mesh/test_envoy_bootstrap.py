"""Envoy's configuration as data: who is routed, what is refused, and that every bound is in it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from google.api import annotations_pb2
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from synapsenet.errors import InvalidArgument
from synapsenet_servers.mesh.clusters import one_server
from synapsenet_servers.mesh.descriptors import CARRIED
from synapsenet_servers.mesh.envoy import bootstrap
from synapsenet_servers.mesh.options import EdgeOptions


def rendered(**options: Any) -> dict[str, Any]:
    contracts = FileDescriptorSet()
    file = contracts.file.add(package="a.v1")
    for name in ("ThingService", "ThingControlService"):
        method = file.service.add(name=name).method.add(name="Do")
        method.options.Extensions[annotations_pb2.http].get = f"/{name}"
    folder = Path("/run/x")
    edge = EdgeOptions(**options)
    return bootstrap(
        edge,
        contracts,
        one_server(edge, contracts, folder / "up.sock"),
        descriptor_file=folder / "edge.binpb",
        admin_socket=folder / "admin.sock",
    )


def manager(tree: dict[str, Any]) -> dict[str, Any]:
    (listener,) = tree["static_resources"]["listeners"]
    found: dict[str, Any] = listener["filter_chains"][0]["filters"][0]["typed_config"]
    return found


def http_filter(tree: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = (entry["typed_config"] for entry in manager(tree)["http_filters"] if entry["name"] == name)
    assert isinstance(found, dict)
    return found


def test_external_services_are_routed_health_and_reflection_too_and_nothing_else() -> None:
    (host,) = manager(rendered())["route_config"]["virtual_hosts"]
    assert [route["match"]["prefix"] for route in host["routes"]] == [f"/{name}/" for name in ("a.v1.ThingService", *CARRIED)]
    transcoder = http_filter(rendered(), "envoy.filters.http.grpc_json_transcoder")
    assert transcoder["services"] == ["a.v1.ThingService"]


def test_nothing_of_the_edges_own_ends_a_silent_or_a_long_stream() -> None:
    tree = manager(rendered())
    assert tree["stream_idle_timeout"] == "0s"
    for route in tree["route_config"]["virtual_hosts"][0]["routes"]:
        assert route["route"]["timeout"] == "0s"
        assert route["route"]["max_stream_duration"] == {"grpc_timeout_header_max": "0s"}


def test_whom_the_edge_refuses_is_decided_before_anything_else() -> None:
    assert manager(rendered())["http_filters"][0]["name"] == "envoy.filters.http.rbac"


def test_the_administration_is_a_socket_of_its_owner_alone() -> None:
    assert rendered()["admin"] == {"address": {"pipe": {"path": "/run/x/admin.sock", "mode": 0o600}}}


def test_every_bound_of_the_options_is_in_the_configuration() -> None:
    bounds = {"header_kib": 91, "body_bytes": 9_001, "answer_bytes": 9_002, "connections": 9_003, "streams": 9_004}
    text = json.dumps(rendered(calls=9_005, retry_percent=9.5, header_timeout_s=9.25, idle_connection_s=9_006.0, **bounds))
    for value in ("91", "9001", "9002", "9003", "9004", "9005", "9.5", '"9.25s"', '"9006s"'):
        assert re.search(rf"[ \[{{]{re.escape(value)}[,\]}}]", text), value


def test_a_host_name_is_taken_literally() -> None:
    rules = http_filter(rendered(hosts=("a.example",)), "envoy.filters.http.rbac")["rules"]
    own = rules["policies"]["foreign"]["permissions"][0]["not_rule"]["header"]["string_match"]["safe_regex"]["regex"]
    assert re.fullmatch(own, "A.example:443")
    assert not re.fullmatch(own, "aXexample")


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({}, ("localhost", "127.0.0.1", "[::1]")),
        ({"host": "::1"}, ("localhost", "127.0.0.1", "[::1]")),
        ({"host": "127.0.0.2"}, ("localhost", "127.0.0.1", "[::1]", "127.0.0.2")),
        ({"host": "::", "exposed": True, "hosts": ("a.example",)}, ("localhost", "127.0.0.1", "[::1]", "a.example")),
    ],
)
def test_the_edge_answers_under_the_loopback_names_the_bound_address_and_those_that_it_is_given(
    options: dict[str, Any], names: tuple[str, ...]
) -> None:
    assert EdgeOptions(**options).own_names == names


@pytest.mark.parametrize(
    ("options", "field"), [({"port": 65536}, "edge.port"), ({"host": "localhost"}, "edge.host"), ({"host": "::"}, "edge.host")]
)
def test_what_cannot_be_bound_is_refused_by_the_name_of_its_option(options: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        EdgeOptions(**options)
    assert refusal.value.field == field
