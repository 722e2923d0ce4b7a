"""What Envoy is told about traces, as Envoy itself reads it."""

from __future__ import annotations

import json
import ssl
import subprocess
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from synapsenet_servers.mesh.clusters import one_server
from synapsenet_servers.mesh.descriptors import read_descriptors, transcoder_descriptors
from synapsenet_servers.mesh.edge import envoy_program
from synapsenet_servers.mesh.envoy import bootstrap
from synapsenet_servers.mesh.options import EdgeOptions
from synapsenet_servers.mesh.tracing import EdgeTracing
from synapsenet_servers.telemetry.variables import Collector

AUTHORITIES = ssl.get_default_verify_paths().cafile or "/etc/ssl/certs/ca-certificates.crt"
COLLECTORS = {
    "plain": Collector(url="http://collector:4317"),
    "with the system's authorities and a key": Collector(url="https://collector", headers={"x-key": "k"}),
    "with authorities of its own": Collector(url="https://collector:4317", ca_file=AUTHORITIES),
}


def rendered(folder: Path, tracing: EdgeTracing | None) -> dict[str, Any]:
    contracts = read_descriptors(Path(str(resources.files("synapsenet_api"))) / "api.binpb")
    (folder / "edge.binpb").write_bytes(transcoder_descriptors(contracts).SerializeToString())
    options = EdgeOptions(port=0)
    return bootstrap(
        options,
        contracts,
        one_server(options, contracts, folder / "up.sock"),
        descriptor_file=folder / "edge.binpb",
        admin_socket=folder / "admin.sock",
        tracing=tracing,
    )


@pytest.mark.parametrize("collector", COLLECTORS.values(), ids=COLLECTORS.keys())
def test_envoy_takes_a_collector(collector: Collector, tmp_path: Path) -> None:
    configuration = tmp_path / "envoy.json"
    configuration.write_text(json.dumps(rendered(tmp_path, EdgeTracing(collector, share=0.25))))
    command = [str(envoy_program()), "--mode", "validate", "-c", str(configuration), "--log-level", "error"]
    checked = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert checked.returncode == 0, checked.stderr


def test_the_share_of_new_traces_is_the_samplers(tmp_path: Path) -> None:
    tree = rendered(tmp_path, EdgeTracing(COLLECTORS["plain"], share=0.25))
    (listener,) = tree["static_resources"]["listeners"]
    told = listener["filter_chains"][0]["filters"][0]["typed_config"]["tracing"]
    assert told["random_sampling"] == {"value": 25.0}


def test_without_a_collector_the_edge_traces_nothing(tmp_path: Path) -> None:
    text = json.dumps(rendered(tmp_path, None))
    assert "tracing" not in text
    assert "otel" not in text
