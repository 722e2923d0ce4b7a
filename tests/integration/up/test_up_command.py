"""`synapsenet up` as people use it: one cluster for the tests of this file, killed in the midst of them and started again."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import psutil
import pytest

from synapsenet_client import Unavailable, connect
from synapsenet_servers.probe import is_serving
from synapsenet_servers.up.options import MESH, SERVICES
from tests.backed_up import Writer, check, fill, synapsenet
from tests.live import CLI, START_S, LivePlatform, live_platform

READY_WITHIN_S = 60.0
GRPCURL = Path(sys.executable).with_name("grpcurl")
BACKENDS = ("etcd", "kafka", "postgres")

# What `synapsenet demo` finds on a platform of its own; other processors round differently.
EMBEDDED = {"sync_accuracy": 0.9694, "p_value": 0.0364, "best_learning_rate": 0.5}

pytestmark = pytest.mark.timeout(300)


def patience() -> float:
    """By how much everything takes longer than on an idle machine, because others work on this one."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


class LiveCluster:
    """A running `synapsenet up`, how long it took to be ready, and how busy others kept the machine before."""

    def __init__(self, platform: LivePlatform, seconds: float, patience: float) -> None:
        self.platform = platform
        self.seconds = seconds
        self.patience = patience

    def socket(self, process: str) -> str:
        """Where a role's process listens."""
        return f"unix:{(self.platform.data / 'run').resolve() / process}.sock"

    def next_change(self, wanted: str) -> str:
        """The next line on stdout that matches; the test's timeout bounds the wait."""
        assert self.platform.process.stdout is not None
        for line in self.platform.process.stdout:
            if re.match(wanted, line):
                return line
        raise AssertionError(f"`up` ended and never said {wanted}")

    def pid_of(self, process: str) -> int:
        """Of a role's process."""
        folder = str(self.platform.data / "processes" / process)
        return next(child.pid for child in self.platform.children() if folder in child.cmdline())


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("up")


@pytest.fixture(scope="module")
def cluster(data: Path) -> Iterator[LiveCluster]:
    busy, begun = patience(), time.monotonic()
    with live_platform(data, profile="up") as platform:
        yield LiveCluster(platform, time.monotonic() - begun, busy)


@pytest.fixture(scope="module")
def outcome(cluster: LiveCluster) -> Mapping[str, Any]:
    """What the demo found on it."""
    done = subprocess.run(
        [*CLI, "demo", "--target", cluster.platform.grpc, "--json"], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    found: Mapping[str, Any] = json.loads(done.stdout)
    return found


def refusal(*arguments: str, env: Mapping[str, str] | None = None) -> str:
    """What `up` says when it cannot start."""
    done = subprocess.run(
        [*CLI, "up", *arguments],
        capture_output=True,
        text=True,
        timeout=START_S,
        check=False,
        env={**os.environ, **(env or {})},
    )
    assert done.returncode == 1
    return done.stderr.splitlines()[-1]


def eventually(holds: Callable[[], bool], *, within: float = 20.0) -> None:
    deadline = time.monotonic() + within * patience()
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_it_is_ready_within_a_minute_with_every_role_a_process_of_its_own(cluster: LiveCluster) -> None:
    assert cluster.seconds < READY_WITHIN_S * cluster.patience
    assert len({cluster.pid_of(process.name) for process in (*SERVICES, MESH)}) == len(SERVICES) + 1
    for process in (*SERVICES, MESH):
        assert is_serving(cluster.socket(process.name)), process.name


def test_both_ports_answer_http_and_grpc_without_a_token(cluster: LiveCluster) -> None:
    for address in (cluster.platform.grpc, cluster.platform.http):
        with urllib.request.urlopen(f"http://{address}/v2/health/ready", timeout=10) as answer:
            assert answer.status == 200
        listed = subprocess.run(
            [str(GRPCURL), "-plaintext", address, "list"], capture_output=True, text=True, timeout=30, check=True
        ).stdout.split()
        assert {"synapsenet.models.v1.ModelService", "synapsenet.training.v1.TrainingService"} <= set(listed)
        assert not [name for name in listed if "Control" in name], "the edge carries no control service"


def test_the_demo_passes_and_finds_what_it_finds_embedded(outcome: Mapping[str, Any]) -> None:
    figures = {name: outcome[name] for name in ("sync_accuracy", "p_value", "best_learning_rate")}
    assert figures == pytest.approx(EMBEDDED, rel=0.02)
    assert outcome["rollback_restored"] is True
    assert outcome["importance"] == pytest.approx({"learning_rate": 0.93}, rel=0.02)
    assert outcome["served_accuracy"] == outcome["sync_accuracy"]
    assert (outcome["images"], outcome["model"]) == (1_797, "digits:1")


@pytest.mark.usefixtures("outcome")
def test_each_of_the_two_replicas_predicts(cluster: LiveCluster) -> None:
    for address in (cluster.socket("inference-1"), cluster.socket("inference-2"), cluster.platform.grpc):
        with connect(address) as client:
            answer = client.inference.predict("digits", {"pixels": np.zeros((1, 64), np.float32)})
            assert answer.outputs["digit"].shape == (1,)


def test_what_is_backed_up_from_the_running_cluster_answers_the_same_embedded(
    cluster: LiveCluster, data: Path, tmp_path: Path
) -> None:
    with connect(cluster.platform.grpc) as client:
        known = fill(client)
    config, folder = str(data / "cluster.toml"), tmp_path / "backups"
    features = ["features", "--data-dir", str(data / "processes" / "features"), "--to", str(folder / "features.backup")]
    with Writer(cluster.platform.grpc) as writer:
        acknowledged = writer.acknowledged
        for arguments in (["models", "registry", "--to", str(folder)], features):
            saved = synapsenet("backup", *arguments, "--config", config)
            assert saved.returncode == 0, saved.stderr
    restored = synapsenet("restore", *map(str, folder.iterdir()), "--data-dir", str(tmp_path / "embedded"))
    assert restored.returncode == 0, restored.stderr
    with live_platform(tmp_path / "embedded") as embedded, connect(embedded.grpc) as client:
        check(client, known, acknowledged=acknowledged, most=writer.acknowledged)


def test_a_role_that_is_killed_comes_back_is_told_and_only_its_own_calls_wait(cluster: LiveCluster) -> None:
    killed = cluster.pid_of("models")
    with connect(cluster.platform.grpc) as client:
        client.models.create("before-the-kill", task="CLASSIFICATION")
        os.kill(killed, signal.SIGKILL)
        assert client.experiments.create("meanwhile").id
        line = cluster.next_change(r"running +models ")
        assert "restarts 1" in line
        assert cluster.pid_of("models") != killed
        eventually(lambda: _found(client.models.get, "before-the-kill"))


def _found(get: Callable[[str], Any], name: str) -> bool:
    try:
        return bool(get(name).name == name)
    except Unavailable:
        return False


def test_a_folder_in_use_a_busy_port_and_a_missing_server_are_one_sentence_with_the_remedy(
    cluster: LiveCluster, data: Path, tmp_path: Path
) -> None:
    port = cluster.platform.grpc.rpartition(":")[2]
    in_use = refusal("--port", "0", "--http-port", "0", "--data-dir", str(data))
    assert f"{data} is in use by process {cluster.platform.process.pid}" in in_use
    assert f"127.0.0.1:{port} is in use" in refusal("--port", port, "--http-port", "0", "--data-dir", str(tmp_path))
    free = ["--port", "0", "--http-port", "0", "--data-dir", str(tmp_path)]
    assert "install etcd (Debian: etcd-server" in refusal(*free, env={"PATH": _path_without(tmp_path, "etcd")})


def _path_without(folder: Path, program: str) -> str:
    """A PATH on which `program` is not found."""
    bin_ = folder / "bin"
    bin_.mkdir()
    for name in ("sh", "env", "unshare", "setpriv"):
        if found := shutil.which(name):
            (bin_ / name).symlink_to(found)
    assert shutil.which(program, path=str(bin_)) is None
    return str(bin_)


def test_a_ctrl_c_in_the_midst_of_the_start_and_a_second_one_leave_nothing_at_once(tmp_path: Path) -> None:
    command = [*CLI, "up", "--port", "0", "--http-port", "0", "--data-dir", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        next(line for line in process.stderr if line.startswith("starting") and " training " in line)
        below = psutil.Process(process.pid).children(recursive=True)
        assert len(below) > len(BACKENDS)
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=10 * patience())
        assert (process.returncode, said) == (0, "")
    assert psutil.wait_procs(below, timeout=5)[1] == []


def test_after_kill_9_nothing_is_left_and_the_next_one_works_on_the_data_and_shows_a_table(
    cluster: LiveCluster, outcome: Mapping[str, Any], data: Path
) -> None:
    below = cluster.platform.children()
    cluster.platform.kill()
    _, alive = psutil.wait_procs(below, timeout=10)
    assert alive == []
    with on_a_terminal(data) as (process, shown):
        eventually(lambda: "data  " in shown(), within=READY_WITHIN_S)
        grpc_address = re.findall(r"gRPC  (\S+)", shown())[0]
        with connect(grpc_address) as client:
            assert client.models.get("before-the-kill").name == "before-the-kill"
            assert client.experiments.get(outcome["experiment_id"]).id == outcome["experiment_id"]
            eventually(lambda: _predicts(client), within=30)
        eventually(lambda: all(re.search(rf"{name} .* running ", shown()) for name in _names()))
        below = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    _, alive = psutil.wait_procs(below, timeout=5)
    assert alive == []
    assert not (data / "run").is_symlink()


def _names() -> list[str]:
    return [*BACKENDS, *(process.name for process in (*SERVICES, MESH))]


def _predicts(client: Any) -> bool:
    try:
        return bool(
            client.inference.predict("digits", {"pixels": np.zeros((1, 64), np.float32)}).outputs["digit"].shape == (1,)
        )
    except Exception:  # noqa: BLE001 - until the replicas have loaded what was deployed
        return False


@contextmanager
def on_a_terminal(data: Path) -> Iterator[tuple[subprocess.Popen[bytes], Callable[[], str]]]:
    """`up` on a terminal of its own; what that has been sent so far, without the colours."""
    ours, its = pty.openpty()
    sent = bytearray()

    def read() -> None:
        with suppress(OSError):  # nobody holds the other end any more
            while some := os.read(ours, 1 << 16):
                sent.extend(some)

    def shown() -> str:
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", bytes(sent).decode("utf-8", "replace"))

    command = [*CLI, "up", "--port", "0", "--http-port", "0", "--data-dir", str(data)]
    size = {"COLUMNS": "200", "LINES": "50", "TERM": "xterm"}
    process = subprocess.Popen(command, stdin=its, stdout=its, stderr=its, env={**os.environ, **size})
    os.close(its)
    reading = Thread(target=read)
    reading.start()
    try:
        yield process, shown
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(60)
        reading.join(10)
        os.close(ours)
