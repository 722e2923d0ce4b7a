"""What tools/gen_protos.py generates works: it imports, pickles, type-checks and speaks, beside a domain of the same name."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tools import gen_protos
from tools.house import ROOT

NOUN = """
syntax = "proto3";
package synapsenet.weather.v1;
import "google/protobuf/timestamp.proto";
message Reading { string station = 1; google.protobuf.Timestamp at = 2; }
"""
SERVICE = """
syntax = "proto3";
package synapsenet.weather.v1;
import "google/api/annotations.proto";
import "synapsenet/weather/v1/reading.proto";
service WeatherService {
  rpc GetReading(GetReadingRequest) returns (GetReadingResponse) { option (google.api.http) = {get: "/readings"}; }
}
message GetReadingRequest { string station = 1; }
message GetReadingResponse { Reading reading = 1; }
"""
FOREIGN = """
syntax = "proto3";
package inference;
service GRPCInferenceService { rpc ServerLive(ServerLiveRequest) returns (ServerLiveResponse); }
message ServerLiveRequest {}
message ServerLiveResponse { bool live = 1; }
"""
PICKLING = """
import pickle
from synapsenet_api.weather.v1 import reading_pb2, weather_service_pb2, weather_service_pb2_grpc
from synapsenet_api.open_inference import grpc_service_pb2, grpc_service_pb2_grpc
reading = reading_pb2.Reading(station="north")
reading.at.FromSeconds(7)
answer = weather_service_pb2.GetReadingResponse(reading=reading)
assert pickle.loads(pickle.dumps(answer)) == answer
assert reading_pb2.__name__ == "synapsenet_api.weather.v1.reading_pb2" == reading_pb2.Reading.__module__
live = grpc_service_pb2.ServerLiveResponse(live=True)
assert pickle.loads(pickle.dumps(live)) == live
assert weather_service_pb2.DESCRIPTOR.services_by_name["WeatherService"].full_name == "synapsenet.weather.v1.WeatherService"
"""
TYPED = """
import grpc
from synapsenet_api.weather.v1 import reading_pb2, weather_service_pb2 as pb
from synapsenet_api.weather.v1.weather_service_pb2_grpc import WeatherServiceStub


def station(channel: grpc.Channel) -> str:
    answer = WeatherServiceStub(channel).GetReading(pb.GetReadingRequest(station="north"), timeout=1)
    reading: reading_pb2.Reading = answer.reading
    return reading.station
"""


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package synapsenet_api of a small platform."""
    root = tmp_path_factory.mktemp("generated")
    for name, text in {
        "synapsenet/weather/v1/reading.proto": NOUN,
        "synapsenet/weather/v1/weather_service.proto": SERVICE,
        "inference/grpc_service.proto": FOREIGN,
    }.items():
        path = root / "protos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    folder = root / "out"
    folder.mkdir()
    return gen_protos.generate(root / "protos", folder).parent


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Python with the generated package before the committed one, the domain beside it."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": f"{folder}{os.pathsep}{ROOT}", "MYPYPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )


def test_messages_pickle_under_their_new_name_and_keep_their_name_on_the_wire(generated: Path) -> None:
    result = run(generated, "-W", "error", "-c", "import synapsenet.errors\n" + PICKLING)

    assert result.returncode == 0, result.stderr


def test_stubs_pass_strict_type_checks_and_know_their_fields(generated: Path) -> None:
    (generated / "right.py").write_text(TYPED, encoding="utf-8")
    (generated / "wrong.py").write_text(TYPED.replace("reading.station", "reading.statoin"), encoding="utf-8")
    result = run(generated, "-m", "mypy", "--strict", "--config-file=", "--cache-dir=cache", "right.py", "wrong.py")

    assert 'wrong.py:10: error: "Reading" has no attribute "statoin"' in result.stdout, result.stdout + result.stderr
    assert "right.py" not in result.stdout
    assert "in 1 file" in result.stdout


def test_a_file_without_services_leaves_no_empty_service_module(generated: Path) -> None:
    names = {path.name for path in (generated / "synapsenet_api/weather/v1").iterdir()}

    assert "weather_service_pb2_grpc.py" in names
    assert not {"reading_pb2_grpc.py", "reading_pb2_grpc.pyi"} & names


def test_generating_twice_gives_the_same_bytes(generated: Path, tmp_path: Path) -> None:
    again = gen_protos.generate(generated.parent / "protos", tmp_path)

    assert gen_protos.drift(again, generated / "synapsenet_api") == []


def test_the_google_protos_are_laid_out_once(tmp_path: Path) -> None:
    gen_protos.export_google_protos(tmp_path)
    http = tmp_path / "google/api/http.proto"
    first = http.stat()
    gen_protos.export_google_protos(tmp_path)

    assert "message HttpRule" in http.read_text(encoding="utf-8")
    assert (tmp_path / "google/rpc/error_details.proto").exists()
    assert http.stat().st_ino == first.st_ino
