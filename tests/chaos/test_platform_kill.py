"""`kill -9` of the whole platform in the middle of the demo: what was acknowledged is there, and nothing outlives it."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from synapsenet_api.experiments.v1.metric_pb2 import MetricPoints
from synapsenet_api.training.v1.job_pb2 import JobState
from synapsenet_client import Client, SynapseNetError, connect
from tests.live import CLI, LivePlatform, live_platform

GONE_WITHIN_S = 2.0
JOB_S = 60.0

# The demo tells the end of each step on stderr; the platform is killed right after the one named.
STEPS = ("stream the images", "build training sets", "train by synchronous", "sweep", "validate the model")


class Writers:
    """Writes of several areas, one after another, each noted once the platform acknowledged it."""

    def __init__(self, address: str) -> None:
        self.models: list[str] = []
        self.entities: list[str] = []
        self.steps: list[int] = []
        self.experiment = ""
        self.run = ""
        self._address = address
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._write)

    def __enter__(self) -> Writers:
        with connect(self._address) as client:
            client.features.create("killed", entity_keys={"entity": "STRING"}, features={"number": "INT64"})
            self.experiment = client.experiments.create("killed").id
            self.run = client.experiments.create_run(self.experiment, params={"x": 1}, seed=1).id
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(30)

    def _write(self) -> None:
        with connect(self._address) as client:
            number = 0
            while not self._stop.is_set():
                try:
                    self._once(client, number)
                except SynapseNetError:
                    return  # the platform was killed: what was not acknowledged may be lost
                number += 1

    def _once(self, client: Client, number: int) -> None:
        client.models.create(f"model-{number:05}")
        self.models.append(f"model-{number:05}")
        client.features.write("killed", {"entity": [f"e{number}"], "number": [number]})
        self.entities.append(f"e{number}")
        client.experiments.log_points(self.run, [[MetricPoints(metric="loss", steps=[number], values=[1 / (number + 1)])]])
        self.steps.append(number)

    def assert_all_there(self, client: Client) -> None:
        """Every acknowledged write is read back."""
        names = {model.name for model in client.models.list(name_prefix="model-", page_size=1_000)}
        assert set(self.models) <= names
        read = client.features.read(["killed:number"], {"entity": self.entities})
        assert [int(value) for value in read.values["killed:number"]] == list(range(len(self.entities)))
        assert set(self.steps) <= set(client.experiments.history(self.run, "loss").steps)


@contextmanager
def demonstrating(platform: LivePlatform) -> Iterator[subprocess.Popen[str]]:
    """The demo against `platform`, its progress on stderr."""
    command = [*CLI, "demo", "--target", platform.grpc, "--http", platform.http, "--json"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as demo:
        try:
            yield demo
        finally:
            demo.kill()


@pytest.mark.parametrize("step", STEPS)
def test_kill_9_in_the_middle_of_the_demo_loses_nothing_that_was_acknowledged(step: str, tmp_path: Path) -> None:
    with live_platform(tmp_path) as platform:
        with Writers(platform.grpc) as written, demonstrating(platform) as demo:
            assert demo.stderr is not None
            assert any(step in line for line in demo.stderr), f"the demo ended before '{step}'"
            children = platform.children()
            platform.kill()
            _, alive = psutil.wait_procs(children, timeout=GONE_WITHIN_S)
        assert alive == []
        assert children
    assert written.models
    assert written.steps
    with live_platform(tmp_path) as platform, connect(platform.grpc) as client:
        written.assert_all_there(client)
        for waiting in client.training.list(states=["QUEUED", "STARTING", "RUNNING"]):  # a job that had not begun begins now
            assert client.within(JOB_S).training.wait(waiting.id).state == JobState.JOB_STATE_SUCCEEDED
        failed = {job.failure.reason for job in client.training.list(states=["FAILED"])}
        assert failed <= {"INTERRUPTED"}
