"""deploy/compose.yaml and the sample configuration beside it: rendered by Compose, and in step with the platform."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from synapsenet_servers import config
from synapsenet_servers.mesh.edge import envoy_program
from synapsenet_servers.security.certificates import make_all
from synapsenet_servers.serve import KNOWN
from tests.integration.deploy.keys import accepted

DEPLOY = Path(__file__).resolve().parents[3] / "deploy"
COMPOSE = Path(sys.executable).with_name("docker-compose")
PINNED = re.compile(r"[a-z0-9./-]+:v?\d+\.\d+[\w.-]*")
OTHERS = {"etcd", "kafka", "postgres", "redis"}


def render(*arguments: str) -> subprocess.CompletedProcess[str]:
    """What Compose itself makes of the file: it checks it against the schema of its specification first."""
    command = [str(COMPOSE), "--file", str(DEPLOY / "compose.yaml"), "--profile", "redis", "config", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    rendered = render("--format", "json")
    assert rendered.returncode == 0, rendered.stderr
    tree: dict[str, Any] = json.loads(rendered.stdout)
    return tree


@pytest.fixture(scope="module")
def ours(compose: dict[str, Any]) -> dict[str, Any]:
    return {name: service for name, service in compose["services"].items() if name not in OTHERS}


def test_a_file_against_the_schema_would_be_refused(tmp_path: Path) -> None:
    wrong = tmp_path / "compose.yaml"
    wrong.write_text((DEPLOY / "compose.yaml").read_text().replace("healthcheck:", "healthchek:", 1))
    command = [str(COMPOSE), "--file", str(wrong), "config", "--quiet"]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert refused.returncode != 0
    assert "healthchek" in refused.stderr


def test_every_image_is_a_real_one_with_a_version_and_has_a_health_check(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        assert PINNED.fullmatch(service["image"]), service["image"]
        assert service["healthcheck"]["test"][1:], name
    images = {name: compose["services"][name]["image"].rpartition(":")[0] for name in OTHERS}
    assert images == {"etcd": "quay.io/coreos/etcd", "kafka": "apache/kafka", "postgres": "postgres", "redis": "redis"}


def test_envoy_is_of_the_release_that_is_tested_here(compose: dict[str, Any]) -> None:
    said = subprocess.run([envoy_program(), "--version"], capture_output=True, text=True, timeout=30, check=True).stdout
    tested = re.findall(r"/(\d+\.\d+)\.\d+/", said)[0]
    image = compose["services"]["mesh"]["build"]["args"]["ENVOY_IMAGE"]
    assert image.startswith(f"envoyproxy/envoy:v{tested}.")
    assert f"ARG ENVOY_IMAGE={image}\n" in (DEPLOY / "Dockerfile").read_text()


def test_every_role_has_its_container_and_inference_has_two(ours: dict[str, Any]) -> None:
    served = sorted(service["command"][1] for service in ours.values())
    assert served == sorted([*KNOWN, "inference"])
    for service in ours.values():
        assert service["command"][0::2] == ["serve", "--config", "--data-dir"]


def test_no_two_processes_listen_on_one_socket_and_each_is_asked_for_its_health_where_it_listens(ours: dict[str, Any]) -> None:
    listening = {name: service["environment"]["SYNAPSENET_MESH__LISTEN"] for name, service in ours.items()}
    socket = config.load(DEPLOY / "cluster.toml").mesh.socket
    assert len({*listening.values(), f"unix:{socket}"}) == len(listening) + 1
    for name, service in ours.items():
        assert listening[name] in service["healthcheck"]["test"]


def test_every_key_of_the_sample_and_of_the_containers_is_one_that_the_platform_knows(
    ours: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for service in ours.values():
        accepted(DEPLOY / "cluster.toml", service["environment"], monkeypatch)


def test_every_secret_that_is_named_is_given_to_the_container(ours: dict[str, Any]) -> None:
    named = set(re.findall(r"/run/secrets/([\w.-]+)", (DEPLOY / "cluster.toml").read_text()))
    for service in ours.values():
        asked = named | set(re.findall(r"/run/secrets/([\w.-]+)", json.dumps([service["environment"], service["healthcheck"]])))
        assert asked <= {secret["source"] for secret in service["secrets"]}


def test_the_certificates_that_are_named_are_those_that_the_platform_makes(compose: dict[str, Any], tmp_path: Path) -> None:
    make_all(tmp_path, hosts=["etcd"], life=timedelta(days=1), now=datetime.now(UTC))
    assert {secret.removeprefix("synapsenet_") for secret in compose["secrets"]} - {"postgres-password"} <= {
        path.name for path in tmp_path.iterdir()
    }


def test_people_reach_nothing_but_envoy(compose: dict[str, Any]) -> None:
    published = {name: [port["target"] for port in service.get("ports", [])] for name, service in compose["services"].items()}
    edge = config.load(DEPLOY / "cluster.toml").edge
    assert {name: ports for name, ports in published.items() if ports} == {"mesh": list(edge.ports)}
    assert compose["networks"]["backends"]["internal"] is True
