"""A full disk and damaged artifacts under a running platform: named, survived, and nothing that was stored is lost."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import pytest
from onnx import TensorProto, helper

from synapsenet.testing.onnx_models import exact_model, model, summing_model, tensor
from synapsenet_client import Client, DataLoss, ResourceExhausted, connect
from tests.disks import own_folder, small_disk
from tests.live import LivePlatform, live_platform

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
ROWS = 100


@contextmanager
def no_space(platform: LivePlatform) -> Iterator[None]:
    """Not a byte more goes on the small disk."""
    filler = platform.data.parent / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (1 << 20, 4_096, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue
    yield
    filler.unlink()


@contextmanager
def no_growth(platform: LivePlatform) -> Iterator[None]:
    """No file of the platform may grow past 4 KiB, as under a quota."""
    process = psutil.Process(platform.process.pid)
    before = process.rlimit(resource.RLIMIT_FSIZE)
    process.rlimit(resource.RLIMIT_FSIZE, (4_096, before[1]))
    yield
    process.rlimit(resource.RLIMIT_FSIZE, before)


Disk = Callable[[Path], AbstractContextManager[None]]
Fullness = Callable[[LivePlatform], AbstractContextManager[None]]
# Only root may mount a disk of its own.
WAYS: dict[str, tuple[Disk, Fullness]] = {"no growth": (own_folder, no_growth)}
if os.geteuid() == 0:
    WAYS["no space"] = (partial(small_disk, mib=48), no_space)


class Filler:
    """What a person keeps in the platform, and what they try to add."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.experiment = ""

    def fill(self) -> None:
        self.group("kept")
        self.write(0)
        self.experiment = self.client.experiments.create("kept").id
        self.client.models.create("kept")
        self.client.registry.create_version("kept")
        self.client.registry.upload("kept", 1, exact_model(), format="ONNX")
        self.client.registry.create_version("kept")

    def group(self, name: str) -> None:
        self.client.features.create(name, entity_keys={"id": "INT64"}, features={"x": "DOUBLE"})

    def write(self, start: int) -> None:
        columns = {"id": np.arange(start, start + ROWS), "x": np.arange(ROWS) / 2}
        self.client.features.write("kept", columns, event_times=[NOON] * ROWS)

    def additions(self) -> dict[str, tuple[Callable[[], object], str]]:
        """Each thing that is added, and what its refusal names."""
        client = self.client
        large = model(
            nodes=[helper.make_node("Gather", ["table", "places"], ["picked"])],
            inputs=[tensor("places", TensorProto.INT64, ["rows"])],
            outputs=[tensor("picked", TensorProto.FLOAT, ["rows"])],
            constants={"table": np.arange(20_000, dtype=np.float32)},
        )
        return {
            "a model": (lambda: client.models.create("more", description="d" * 900), "models.sqlite"),
            "an experiment": (lambda: client.experiments.create("more", description="d" * 4_000), "experiments.sqlite"),
            "a run": (lambda: client.experiments.create_run(self.experiment), "experiments.sqlite"),
            "a version": (lambda: client.registry.create_version("kept", description="d" * 900), "registry.sqlite"),
            "a group": (lambda: self.group("more"), "features.sqlite"),
            "values": (lambda: self.write(1_000), "the online feature store"),
            "a training set": (self.build, ""),
            "an artifact": (lambda: client.registry.upload("kept", 2, large, format="ONNX"), ""),
        }

    def build(self) -> object:
        return self.client.features.build_training_set({"id": np.arange(5)}, [NOON] * 5, ["kept:x"])


def assert_kept(client: Client) -> None:
    """All that `fill` stored is there, and what was added later."""
    read = client.features.read(["kept:x"], {"id": np.arange(ROWS)})
    assert np.array_equal(read.values["kept:x"], np.arange(ROWS) / 2)
    assert {one.name for one in client.experiments.list()} == {"kept", "more"}
    assert {one.name for one in client.models.list()} == {"kept", "more"}
    assert client.registry.read_artifact("kept", 1) == exact_model()


def refusal(add: Callable[[], object]) -> ResourceExhausted:
    for _ in range(50):  # a log may have room that it took before
        try:
            add()
        except ResourceExhausted as error:
            return error
    raise AssertionError("it was carried out on a full disk")


@pytest.mark.parametrize("way", WAYS)
def test_a_full_disk_is_named_costs_nothing_stored_and_is_over_when_there_is_room(way: str, tmp_path: Path) -> None:
    disk, fullness = WAYS[way]
    with disk(tmp_path), live_platform(tmp_path / "data") as platform, connect(platform.grpc) as client:
        kept = Filler(client)
        kept.fill()
        with fullness(platform):
            for what, (add, named) in kept.additions().items():
                error = refusal(add)
                assert error.reason == "STORAGE_FULL", (what, error)
                assert named in error.message
                assert "free" in error.message
                assert "nothing already stored is lost" in error.message
            assert platform.get("/v2/health/ready") == (200, {"ready": True})
            assert kept.client.registry.read_artifact("kept", 1) == exact_model()
        for add, _ in kept.additions().values():
            add()
        assert "Traceback" not in platform.log()
        platform.kill()
        with live_platform(tmp_path / "data") as again, connect(again.grpc) as anew:
            assert_kept(anew)


def test_a_damaged_artifact_is_named_and_not_handed_out(platform: LivePlatform, client: Client) -> None:
    client.models.create("damaged")
    client.registry.create_version("damaged")
    version = client.registry.upload("damaged", 1, summing_model(), format="ONNX")
    sha256 = version.artifact.sha256
    stored = platform.data / "artifacts" / "sha256" / sha256[:2] / sha256
    whole = stored.read_bytes()
    stored.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    try:
        client.registry.set_state("damaged", 1, "REGISTERED")
        with pytest.raises(DataLoss) as raised:
            client.registry.read_artifact("damaged", 1)
        assert raised.value.reason == "ARTIFACT_CORRUPT"
        assert sha256 in raised.value.message
        with pytest.raises(DataLoss) as raised:
            client.inference.deploy("damaged", 1)
        assert raised.value.reason == "ARTIFACT_CORRUPT"
        assert "Traceback" not in platform.log()
    finally:
        stored.write_bytes(whole)
    assert client.registry.read_artifact("damaged", 1) == whole
