"""A platform with something of everything that streams, and clients that stream for as long as they are let."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from synapsenet_api.experiments.v1.metric_pb2 import MetricPoints
from synapsenet_api.registry.v1 import registry_service_pb2 as registry_pb
from synapsenet_api.registry.v1.artifact_pb2 import ARTIFACT_FORMAT_ONNX
from synapsenet_client import Client, FeatureRows, Options, Retries, SynapseNetError, connect
from synapsenet_client._calls import Upload
from tests.chaos.served_model import NAME, endless_rows, serve
from tests.live import LivePlatform

ROWS = 200_000
PATIENCE_S = 20.0


class Scene:
    """A platform with something of everything that streams."""

    def __init__(self, platform: LivePlatform, client: Client) -> None:
        self.platform = platform
        self.client = client
        self.process = psutil.Process(platform.process.pid)
        serve(client)
        client.features.create("numbers", entity_keys={"entity": "INT64"}, features={"number": "INT64"})
        for start in range(0, ROWS, 50_000):
            entities = np.arange(start, start + 50_000)
            client.features.write("numbers", {"entity": entities, "number": entities}, event_times=[1_700_000_000_000_000])
        spine = {"entity": np.arange(ROWS)}
        self.training_set = client.features.build_training_set(spine, [1_700_000_000_000_001], ["numbers:number"]).id
        self.run = client.experiments.create_run(client.experiments.create("chaos").id).id
        self.model = client.models.create("uploaded").id
        self.version = client.registry.create_version(self.model).version

    def held(self) -> tuple[int, int]:
        """Open files and sockets, without the databases' connections, which are pooled; and half-written artifacts."""
        opened = 0
        for file in Path(f"/proc/{self.process.pid}/fd").iterdir():
            with suppress(OSError):
                opened += ".sqlite" not in str(file.readlink())
        return opened, len(list((self.platform.data / "artifacts" / "incoming").iterdir()))

    def memory(self) -> int:
        """Resident bytes."""
        return int(self.process.memory_info().rss)


def eventually(holds: Callable[[], bool]) -> bool:
    """Whether `holds` comes true within a few seconds."""
    deadline = time.monotonic() + PATIENCE_S
    while not (done := holds()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return done


Traffic = Callable[[Scene, Client, threading.Event], None]


def write_features(scene: Scene, client: Client, begun: threading.Event) -> None:
    def batches() -> Iterator[FeatureRows]:
        while True:
            yield FeatureRows(group="numbers", columns={"entity": np.arange(100), "number": np.arange(100)})

    for answer in client.features.write_stream(batches()):
        if answer.acknowledged_batches > 10:
            begun.set()


def read_features(scene: Scene, client: Client, begun: threading.Event) -> None:
    batch = {"entity": np.arange(1_000)}
    for _ in client.features.read_stream(["numbers:number"], iter(lambda: batch, None)):
        begun.set()


def predict(scene: Scene, client: Client, begun: threading.Event) -> None:
    for _ in client.inference.predict_stream(NAME, endless_rows(100)):
        begun.set()


def watch(scene: Scene, client: Client, begun: threading.Event) -> None:
    for _ in client.inference.watch_deployments():
        begun.set()


def log_metrics(scene: Scene, client: Client, begun: threading.Event) -> None:
    def batches() -> Iterator[list[MetricPoints]]:
        for step in range(1_000_000):
            if step == 50:
                begun.set()
            yield [MetricPoints(metric="loss", steps=[step], values=[1.0])]

    client.experiments.log_points(scene.run, batches())


def read_training_set(scene: Scene, client: Client, begun: threading.Event) -> None:
    while True:
        client.features.read_training_set(scene.training_set)
        begun.set()


def upload(scene: Scene, client: Client, begun: threading.Event) -> None:
    def source() -> Iterator[bytes]:
        yield from [bytes(1 << 20)] * 4
        begun.set()
        threading.Event().wait(PATIENCE_S)

    client.registry._transport.upload(uploading(scene, source()))


def uploading(scene: Scene, parts: Iterator[bytes]) -> Upload[bytes, Any, None]:
    """An upload of `parts`, which declares far more."""
    header = registry_pb.UploadArtifactHeader(
        model_id=scene.model,
        version=scene.version,
        format=ARTIFACT_FORMAT_ONNX,
        sha256=hashlib.sha256().hexdigest(),
        size_bytes=1 << 28,
    )
    return Upload(
        request=registry_pb.UploadArtifactRequest,
        first=[registry_pb.UploadArtifactRequest(header=header)],
        items=parts,
        encode=lambda part: registry_pb.UploadArtifactRequest(data=part),
        shape=lambda _: None,
    )


TRAFFIC: tuple[Traffic, ...] = (write_features, read_features, predict, watch, log_metrics, read_training_set, upload)


class Streaming:
    """One client in a thread of its own that streams until its connection ends.

    Attributes:
        error: what ended it.
    """

    def __init__(self, traffic: Traffic, scene: Scene, target: str) -> None:
        self.error: SynapseNetError | None = None
        self._begun = threading.Event()
        self._client: Client | None = None
        self._thread = threading.Thread(target=self._stream, args=(traffic, scene, target), daemon=True)
        self._thread.start()

    def begun(self) -> bool:
        """Whether it came into the middle of its stream."""
        return self._begun.wait(PATIENCE_S)

    def ended(self) -> SynapseNetError | None:
        """What ended it, once it has ended."""
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()
        return self.error

    def leave(self) -> None:
        """Close its client."""
        if self._client is not None:
            self._client.close()

    def _stream(self, traffic: Traffic, scene: Scene, target: str) -> None:
        try:
            with connect(target, options=Options(retries=Retries(attempts=1))) as client:
                self._client = client
                traffic(scene, client, self._begun)
        except SynapseNetError as error:
            self.error = error
