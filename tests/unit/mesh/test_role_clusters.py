"""A host's mesh as Envoy's configuration: which role answers which service, by what identity, and what is tried again."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest
from google.api import annotations_pb2
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from synapsenet.errors import InvalidArgument
from synapsenet_servers.mesh.addressing import PARTICIPANTS
from synapsenet_servers.mesh.clusters import Behind, all_roles, every_role
from synapsenet_servers.mesh.descriptors import CARRIED
from synapsenet_servers.mesh.envoy import bootstrap
from synapsenet_servers.mesh.identities import secret_files, to_people
from synapsenet_servers.mesh.mesh_options import MeshOptions
from synapsenet_servers.mesh.options import EdgeOptions
from synapsenet_servers.security.options import SecurityOptions

SECURITY = SecurityOptions(
    ca_file="/pki/ca.pem",
    certificate_file="/pki/mesh.pem",
    key_file="/pki/mesh.key",
    edge_certificate_file="/pki/edge.pem",
    edge_key_file="/pki/edge.key",
    public_certificate_file="/pki/public/tls.pem",
    public_key_file="/pki/public/tls.key",
)


def contracts() -> FileDescriptorSet:
    found = FileDescriptorSet()
    for area in ("models", "registry"):
        file = found.file.add(package=f"synapsenet.{area}.v1")
        for name in (f"{area.title()}Service", f"{area.title()}ControlService"):
            method = file.service.add(name=name).method.add(name="Do")
            method.options.Extensions[annotations_pb2.http].get = f"/{name}"
    found.file.add(package="inference").service.add(name="GRPCInferenceService").method.add(name="Do")
    return found


def behind(folder: Path, security: SecurityOptions = SECURITY, **options: Any) -> Behind:
    return every_role(
        MeshOptions(**options),
        security,
        contracts(),
        endpoints=lambda role: Path(f"/run/{role}.json"),
        secrets=secret_files(security, folder),
    )


def cluster(made: Behind, name: str) -> dict[str, Any]:
    (found,) = (one for one in made.clusters if one["name"] == name)
    return found


def test_each_service_is_routed_to_its_role_and_what_all_carry_to_the_mesh_itself(tmp_path: Path) -> None:
    made = behind(tmp_path)
    assert made.mesh["synapsenet.models.v1.ModelsControlService"] == "mesh/models"
    assert made.mesh["inference.GRPCInferenceService"] == "mesh/inference"
    assert {made.edge[name] for name in CARRIED} == {"edge/mesh"}
    assert all_roles(contracts()) == ["inference", "mesh", "models", "registry"]


def test_a_call_that_names_its_role_is_routed_there_before_its_service_is_looked_at(tmp_path: Path) -> None:
    socket = Path("/run/mesh.sock")
    tree = bootstrap(
        EdgeOptions(),
        contracts(),
        behind(tmp_path, edge=False),
        descriptor_file=tmp_path / "x",
        admin_socket=tmp_path / "a",
        mesh_socket=socket,
    )
    manager = tree["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    routes = manager["route_config"]["virtual_hosts"][0]["routes"]
    named = [route for route in routes if "headers" in route["match"]]
    assert routes[: len(named)] == named
    (registry,) = [one for one in named if one["match"]["headers"][0]["string_match"] == {"exact": "registry"}]
    assert (registry["match"]["prefix"], registry["route"]["cluster"]) == (f"/{PARTICIPANTS}/", "mesh/registry")


def test_control_services_have_no_way_in_from_the_edge(tmp_path: Path) -> None:
    made = behind(tmp_path)
    assert sorted(made.edge) == sorted(
        [
            "inference.GRPCInferenceService",
            "synapsenet.models.v1.ModelsService",
            "synapsenet.registry.v1.RegistryService",
            *CARRIED,
        ]
    )


@pytest.mark.parametrize("kind", ["edge", "mesh"])
def test_a_cluster_shows_its_own_identity_and_takes_nobody_for_a_service_but_one(tmp_path: Path, kind: str) -> None:
    socket = cluster(behind(tmp_path), f"{kind}/models")["transport_socket"]["typed_config"]["common_tls_context"]
    (shown,) = socket["tls_certificate_sds_secret_configs"]
    assert shown["name"] == kind
    expected = socket["combined_validation_context"]["default_validation_context"]["match_typed_subject_alt_names"]
    assert expected == [{"san_type": "URI", "matcher": {"exact": "spiffe://synapsenet/mesh"}}]


def test_certificates_are_read_anew_when_their_folder_changes(tmp_path: Path) -> None:
    paths = secret_files(SECURITY, tmp_path)
    secret = json.loads(paths["public"].read_text())["resources"][0]["tls_certificate"]
    assert secret["watched_directory"] == {"path": "/pki/public"}
    assert secret["private_key"] == {"filename": "/pki/public/tls.key"}
    assert sorted(paths) == ["authorities", "edge", "mesh", "public"]


def test_without_certificates_nothing_is_encrypted(tmp_path: Path) -> None:
    made = behind(tmp_path, SecurityOptions())
    assert not any("transport_socket" in one for one in made.clusters)
    assert to_people(secret_files(SecurityOptions(), tmp_path)) == {}


def test_an_instance_is_judged_by_a_service_that_no_other_role_has(tmp_path: Path) -> None:
    checks = cluster(behind(tmp_path), "mesh/models")["health_checks"]
    assert [check["grpc_health_check"]["service_name"] for check in checks] == ["synapsenet.models.v1.ModelsService"]
    assert cluster(behind(tmp_path), "mesh/mesh")["health_checks"][0]["grpc_health_check"]["service_name"] == ""


def test_health_is_asked_as_often_of_a_role_that_nobody_calls(tmp_path: Path) -> None:
    (check,) = cluster(behind(tmp_path, health_interval_s=0.25), "edge/models")["health_checks"]
    assert {check["interval"], check["no_traffic_interval"], check["no_traffic_healthy_interval"]} == {"0.25s"}


def test_only_what_was_not_carried_out_is_tried_again_and_elsewhere_first(tmp_path: Path) -> None:
    retry = behind(tmp_path, retries=7).retry
    assert set(retry["retry_on"].split(",")) == {"connect-failure", "refused-stream", "unavailable", "reset-before-request"}
    assert retry["num_retries"] == 7
    assert [one["name"] for one in retry["retry_host_predicate"]] == ["envoy.retry_host_predicates.previous_hosts"]


def test_every_bound_of_the_options_is_in_the_configuration(tmp_path: Path) -> None:
    bounds: dict[str, Any] = {"eject_after": 9_001, "calls": 9_002, "connections": 9_003, "unhealthy_after": 9_004}
    seconds: dict[str, Any] = {
        "ejection_s": 9_005.0,
        "ping_s": 9_006.0,
        "health_timeout_s": 9_007.0,
        "connect_timeout_s": 9_008.0,
    }
    text = json.dumps(list(behind(tmp_path, retry_percent=9.5, **bounds, **seconds).clusters))
    for value in (*map(str, bounds.values()), *(f'"{value:g}s"' for value in seconds.values()), "9.5"):
        assert f" {value}" in text, value


@pytest.mark.parametrize(("silence", "probes"), [(2, 1), (4, 2), (9, 5), (900, 127)])
def test_a_machine_that_is_cut_off_is_noticed_whether_or_not_something_is_under_way(
    tmp_path: Path, silence: int, probes: int
) -> None:
    for made in behind(tmp_path, silence_s=silence).clusters:
        idle = made["upstream_connection_options"]["tcp_keepalive"]
        assert (idle["keepalive_probes"], idle["keepalive_time"] + probes * idle["keepalive_interval"]) == (probes, silence)
        (busy,) = made["upstream_bind_config"]["socket_options"]
        assert (busy["level"], busy["name"], busy["int_value"]) == (
            socket.IPPROTO_TCP,
            socket.TCP_USER_TIMEOUT,
            silence * 1_000,
        )


def test_a_host_without_an_edge_listens_for_services_alone(tmp_path: Path) -> None:
    made = behind(tmp_path, edge=False)
    tree = bootstrap(
        EdgeOptions(),
        contracts(),
        made,
        descriptor_file=tmp_path / "x",
        admin_socket=tmp_path / "a",
        mesh_socket=Path("/run/mesh.sock"),
    )
    (listener,) = tree["static_resources"]["listeners"]
    assert listener["address"] == {"pipe": {"path": "/run/mesh.sock", "mode": 0o600}}
    assert not any(one["name"].startswith("edge/") for one in tree["static_resources"]["clusters"])


def test_both_ports_of_the_edge_serve_the_same(tmp_path: Path) -> None:
    tree = bootstrap(
        EdgeOptions(port=7480, more_ports=(7400,)),
        contracts(),
        behind(tmp_path),
        descriptor_file=tmp_path / "x",
        admin_socket=tmp_path / "a",
        public_tls=to_people(secret_files(SECURITY, tmp_path)),
    )
    one, other = tree["static_resources"]["listeners"]
    assert [listener["address"]["socket_address"]["port_value"] for listener in (one, other)] == [7480, 7400]
    assert one["filter_chains"] == other["filter_chains"]
    assert one["filter_chains"][0]["transport_socket"]["name"] == "envoy.transport_sockets.tls"


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"listen": "localhost"}, "mesh.listen"),
        ({"listen": "::1:7"}, "mesh.listen"),
        ({"listen": "unix:"}, "mesh.listen"),
        ({"advertise": "10.0.0.1:70000"}, "mesh.advertise"),
        ({"socket": "/" + "x" * 120}, "mesh.socket"),
        ({"lease_ttl_s": 0}, "mesh.lease_ttl_s"),
        ({"calls": 0}, "mesh.calls"),
        ({"retries": -1}, "mesh.retries"),
        ({"silence_s": 1}, "mesh.silence_s"),
    ],
)
def test_an_option_that_cannot_be_is_refused_by_name(options: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        MeshOptions(**options)
    assert refusal.value.field == field
