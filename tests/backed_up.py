"""What a platform is given before it is backed up, goes on being given meanwhile, and must know again once it is restored."""

from __future__ import annotations

import io
import json
import struct
import subprocess
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa

from synapsenet_client import Client, connect
from tests.live import CLI

GROUP = "measured"
VALUE = f"{GROUP}:value"
WAIT_S = 30.0
_HEADER = json.dumps({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode()
TENSORS = struct.pack("<Q", len(_HEADER)) + _HEADER + struct.pack("<2f", 1.5, -2.5)


def synapsenet(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The command `synapsenet` as people run it."""
    return subprocess.run([*CLI, *arguments], capture_output=True, text=True, timeout=120, check=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What stood in a platform: a version with an artifact, a training set with its bytes."""

    model: str
    training_set: str
    rows: bytes


def fill(client: Client) -> Known:
    """Give a platform something of everything that has files, the first hundred rows among it."""
    model = client.models.create("backed-up", description="kept").id
    client.registry.create_version(model)
    client.registry.upload(model, 1, TENSORS, format="SAFETENSORS")
    client.features.create(GROUP, entity_keys={"id": "INT64"}, features={"value": "DOUBLE"})
    write(client, np.arange(100))
    training_set = _training_set(client, 100)
    return Known(model=model, training_set=training_set, rows=client.features.read_training_set(training_set))


def write(client: Client, ids: np.ndarray) -> None:
    client.features.write(GROUP, {"id": ids, "value": ids * 1.5}, event_times=datetime.now(UTC))


class Writer:
    """Writes one row after the other from 100 on, until it is stopped.

    Attributes:
        acknowledged: ids below it are on disk.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.acknowledged = 100

    def __enter__(self) -> Writer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join(WAIT_S)

    def _run(self) -> None:
        with connect(self._address) as client:
            while not self._stopped.is_set():
                write(client, np.array([self.acknowledged]))
                self.acknowledged += 1


def check(client: Client, known: Known, *, acknowledged: int, most: int) -> None:
    """See that a restored platform answers as the one that was backed up.

    Args:
        acknowledged: ids below it were on disk when the backup began.
        most: ids from it on were not when it had ended.
    """
    assert client.models.get(known.model).name == "backed-up"
    assert client.registry.read_artifact(known.model, 1) == TENSORS
    assert client.features.read_training_set(known.training_set) == known.rows
    online = [row[VALUE] for row in client.features.read([VALUE], {"id": np.arange(most)}).rows()]
    there = sum(value is not None for value in online)
    assert there >= acknowledged
    assert online == [number * 1.5 for number in range(there)] + [None] * (most - there)
    stream = client.features.read_training_set(_training_set(client, most))
    assert pa.ipc.open_stream(io.BytesIO(stream)).read_all()[VALUE].to_pylist() == online
    write(client, np.array([most]))
    assert client.features.read([VALUE], {"id": [most]}).rows() == [{VALUE: most * 1.5}]


def history_of(data: Path) -> list[Path]:
    """The files of the features' history below a data folder."""
    return list((data / "features" / "history").glob("*/*.parquet"))


def _training_set(client: Client, rows: int) -> str:
    return client.features.build_training_set({"id": np.arange(rows)}, datetime.now(UTC), [VALUE]).id
