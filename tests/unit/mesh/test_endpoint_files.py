"""Endpoint files: what stands in them, and that they are replaced whole, put right, and never emptied."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from synapsenet.platform.membership import Instance
from synapsenet_servers.mesh.endpoints import EndpointFiles, assignment, envoy_address


def instance(address: str, zone: str = "") -> Instance:
    return Instance(group="service/models", id=address, address=address, zone=zone)


def priorities(tree: dict[str, Any]) -> dict[str, int]:
    return {one["locality"]["zone"]: one["priority"] for one in tree["resources"][0]["endpoints"]}


def addresses(path: Path) -> list[Any]:
    endpoints = json.loads(path.read_text())["resources"][0]["endpoints"]
    return [one["endpoint"]["address"]["socket_address"]["port_value"] for zone in endpoints for one in zone["lb_endpoints"]]


@pytest.fixture
def files(tmp_path: Path) -> EndpointFiles:
    files = EndpointFiles(tmp_path / "endpoints", zone="here")
    files.begin(["models"])
    return files


def test_the_own_zone_comes_before_all_others() -> None:
    found = [instance("127.0.0.1:1", "here"), instance("127.0.0.1:2", "there"), instance("127.0.0.1:3", "")]
    assert priorities(assignment("models", found, zone="here")) == {"here": 0, "there": 1, "": 1}


@pytest.mark.parametrize("zone", ["", "nowhere"])
def test_all_zones_are_alike_where_the_own_one_has_none(zone: str) -> None:
    found = [instance("127.0.0.1:1", "here"), instance("127.0.0.1:2", "there")]
    assert set(priorities(assignment("models", found, zone=zone)).values()) == {0}


def test_an_address_is_named_once_however_often_it_is_registered() -> None:
    tree = assignment("models", [instance("127.0.0.1:1"), instance("127.0.0.1:1")], zone="")
    (locality,) = tree["resources"][0]["endpoints"]
    assert len(locality["lb_endpoints"]) == 1


@pytest.mark.parametrize(
    ("address", "spelled"),
    [
        ("10.0.0.1:7", {"socket_address": {"address": "10.0.0.1", "port_value": 7}}),
        ("[::1]:7", {"socket_address": {"address": "::1", "port_value": 7}}),
        ("unix:/run/a.sock", {"pipe": {"path": "/run/a.sock"}}),
    ],
)
def test_addresses_are_spelled_as_envoy_reads_them(address: str, spelled: dict[str, Any]) -> None:
    assert envoy_address(address) == spelled


def test_a_file_is_written_only_when_something_changed(files: EndpointFiles) -> None:
    assert files.write("models", [instance("127.0.0.1:1")])
    written = files.path("models").stat().st_ino
    assert not files.write("models", [instance("127.0.0.1:1")])
    assert files.path("models").stat().st_ino == written
    assert files.write("models", [instance("127.0.0.1:1"), instance("127.0.0.1:2")])
    assert files.path("models").stat().st_ino != written


def test_the_last_instances_stay_when_all_are_gone_from_the_registry(files: EndpointFiles) -> None:
    files.write("models", [instance("127.0.0.1:1")])
    assert not files.write("models", [])
    assert addresses(files.path("models")) == [1]
    assert files.counts["models"] == 0


@pytest.mark.parametrize("damage", [b"", b"{", b"\xff\x00"])
def test_a_damaged_or_missing_file_is_written_anew(files: EndpointFiles, damage: bytes) -> None:
    files.write("models", [instance("127.0.0.1:1")])
    whole = files.path("models").read_bytes()
    files.path("models").write_bytes(damage)
    assert files.repair() == ["models"]
    assert files.path("models").read_bytes() == whole
    files.path("models").unlink()
    assert files.repair() == ["models"]
    assert files.repair() == []


@pytest.mark.parametrize("damage", [b"", b'{"resources": []}', b"[]", b'{"resources": [{"cluster_name": "other"}]}'])
def test_a_mesh_begins_with_its_last_files_and_with_empty_ones_for_those_that_cannot_be_read(
    tmp_path: Path, damage: bytes
) -> None:
    former = EndpointFiles(tmp_path, zone="")
    former.begin(["models", "registry"])
    former.write("models", [instance("127.0.0.1:1")])
    former.path("registry").write_bytes(damage)
    EndpointFiles(tmp_path, zone="").begin(["models", "registry"])
    assert addresses(tmp_path / "models.json") == [1]
    assert addresses(tmp_path / "registry.json") == []
