"""Generated code leaves the domain's package name alone: what protoc calls `synapsenet` becomes `synapsenet_api`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools import gen_protos


@pytest.mark.parametrize(
    ("suffix", "written", "moved"),
    [
        (".py", "from synapsenet.features.v1 import group_pb2 as a", "from synapsenet_api.features.v1 import group_pb2 as a"),
        (".pyi", "import synapsenet.features.v1.group_pb2", "import synapsenet_api.features.v1.group_pb2"),
        (".pyi", "def f(x: synapsenet.features.v1.group_pb2.Group)", "def f(x: synapsenet_api.features.v1.group_pb2.Group)"),
        (".py", "BuildTop(DESCRIPTOR, 'synapsenet.a.v1.b_pb2'", "BuildTop(DESCRIPTOR, 'synapsenet_api.a.v1.b_pb2'"),
        (".py", "from inference import grpc_service_pb2", "from synapsenet_api.open_inference import grpc_service_pb2"),
        (".py", "(DESCRIPTOR, 'inference.grpc_service_pb2'", "(DESCRIPTOR, 'synapsenet_api.open_inference.grpc_service_pb2'"),
    ],
)  # fmt: skip
def test_module_names_are_moved(suffix: str, written: str, moved: str) -> None:
    assert gen_protos.moved(written, suffix) == moved


@pytest.mark.parametrize(
    ("suffix", "text"),
    [
        (".py", "'/synapsenet.features.v1.FeatureService/GetGroup'"),
        (".py", r"b'\n\x15synapsenet/features/v1/group.proto\x12\x16synapsenet.features.v1'"),
        (".pyi", '"""Served at synapsenet/features/v1."""'),
        (".py", "from google.protobuf import timestamp_pb2"),
    ],
)
def test_names_on_the_wire_stay(suffix: str, text: str) -> None:
    assert gen_protos.moved(text, suffix) == text


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    return root


def test_drift_names_what_differs_is_missing_and_is_left_over(tmp_path: Path) -> None:
    fresh = write(tmp_path / "fresh", {"same.py": "1", "a/changed.py": "new", "a/missing.py": "1"})
    committed = write(tmp_path / "committed", {"same.py": "1", "a/changed.py": "old", "b/left_over.py": "1"})
    write(committed, {"a/__pycache__/changed.cpython-311.pyc": ""})

    assert gen_protos.drift(fresh, committed) == ["a/changed.py", "a/missing.py", "b/left_over.py"]


def test_replacing_leaves_no_drift_no_empty_folder_and_untouched_what_is_the_same(tmp_path: Path) -> None:
    fresh = write(tmp_path / "fresh", {"same.py": "1", "a/changed.py": "new"})
    committed = write(tmp_path / "committed", {"same.py": "1", "a/changed.py": "old", "b/c/left_over.py": "1"})
    before = (committed / "same.py").stat()

    gen_protos.replace(fresh, committed)

    assert sorted(path.relative_to(committed).as_posix() for path in committed.rglob("*")) == ["a", "a/changed.py", "same.py"]
    assert (committed / "a/changed.py").read_text(encoding="utf-8") == "new"
    assert (committed / "same.py").stat().st_ino == before.st_ino


def test_another_generator_than_the_pinned_one_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.metadata.version", lambda name: "0.0.1")

    with pytest.raises(SystemExit, match=r"grpcio-tools 0\.0\.1 is installed, 1\.81\.1 is pinned: run `make setup`"):
        gen_protos.require_pinned(gen_protos.GENERATORS)
