"""What the SDK shows: its names, and a method for every external RPC of the contracts."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf import descriptor_pb2

import synapsenet_api
import synapsenet_client
from synapsenet_client._status import HANDSHAKES

SOURCES = Path(synapsenet_client.__file__).parent

# RPCs that are nothing for a person's program, and why.
ELSEWHERE = {
    "GetMetricHistoryRequest": "StreamMetricHistory carries the same points",
    "TrainRequest": "the stream between workers and parameter server",
}


def test_all_is_what_is_exported() -> None:
    importlib.import_module("synapsenet_client._training")
    for name in synapsenet_client.__all__:
        getattr(synapsenet_client, name)
    typing_only = {"annotations", "Any", "TYPE_CHECKING", "import_module"}
    exported = {name for name in vars(synapsenet_client) if not name.startswith("_")} - typing_only
    assert exported <= set(synapsenet_client.__all__)
    assert sorted(set(synapsenet_client.__all__)) == sorted(synapsenet_client.__all__)


def test_what_is_not_exported_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'transport'"):
        _ = synapsenet_client.transport


def test_every_external_rpc_has_a_method() -> None:
    descriptors = descriptor_pb2.FileDescriptorSet()
    descriptors.ParseFromString((Path(synapsenet_api.__file__).parent / "api.binpb").read_bytes())
    used = set(re.findall(r"\b\w+Request\b", "".join(path.read_text() for path in SOURCES.glob("_*.py"))))
    missing = {
        f"{service.name}: {name}"
        for file in descriptors.file
        if file.package.startswith("synapsenet.")
        for service in file.service
        # The mesh's own, and the Open Inference Protocol, which has clients of its own.
        if not service.name.endswith("ControlService") and service.name != "OpenInferenceRestService"
        for name in {method.input_type.rpartition(".")[2] for method in service.method}
        if name not in used and name not in ELSEWHERE
    }
    assert not missing


def test_every_reason_that_the_sdk_gives_itself_is_documented() -> None:
    given = set(re.findall(r'reason="([A-Z_]+)"', "".join(path.read_text() for path in SOURCES.glob("_*.py"))))
    given |= set(re.findall(r'return "([A-Z_]+)",', (SOURCES / "_status.py").read_text()))
    given |= {reason for _, reason, _ in HANDSHAKES}
    page = (Path(__file__).parents[3] / "docs" / "sdk.md").read_text()
    table = page.partition("| class | reasons |")[2].partition("##")[0]
    assert given == set(re.findall(r"`([A-Z_]+)`", table))


def test_importing_the_sdk_loads_neither_numpy_nor_the_stubs_of_any_area() -> None:
    program = (
        "import sys, synapsenet_client; client = synapsenet_client.connect('localhost:1'); client.models;"
        "print(sorted(name for name in sys.modules if name == 'numpy' or name.startswith('synapsenet_api.')"
        " and name.count('.') == 1))"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)  # ours
    assert run.stdout.strip() == "['synapsenet_api.models']"
