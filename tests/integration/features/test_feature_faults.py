"""The feature store when its process is killed and when its disk is full: what was acknowledged is there, once."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq

from synapsenet.adapters.lmdb.online_store import open_online_store
from synapsenet.adapters.parquet.history import open_history
from synapsenet.features.catalogue import Catalogue
from synapsenet.features.mirror import CONSUMER, Mirror
from synapsenet.features.options import OnlineOptions
from synapsenet.testing.clock import FakeClock
from synapsenet.testing.features import key, sample_group, score
from tests.integration.features import filling_child, writing_child

DEADLINE = 60.0
ROUNDS = 3


def write_until_killed(folder: Path, acknowledgements: int) -> set[int]:
    """The rows that a child acknowledged before it was killed in the middle of its work."""
    child = subprocess.Popen([sys.executable, writing_child.__file__, str(folder)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    try:
        lines = [child.stdout.readline() for _ in range(acknowledgements)]
        child.send_signal(signal.SIGKILL)
        lines += child.stdout.readlines()
    finally:
        child.kill()
        child.wait(DEADLINE)
        child.stdout.close()
    return {int(line) for line in lines if line.endswith("\n")}


async def test_what_was_acknowledged_before_a_kill_is_online_and_exactly_once_in_the_history(tmp_path: Path) -> None:
    acknowledged: set[int] = set()
    for _ in range(ROUNDS):
        acknowledged |= write_until_killed(tmp_path, 400)
    catalogue = Catalogue()
    catalogue.put(sample_group())
    async with (
        open_online_store(tmp_path / "online", OnlineOptions()) as store,
        open_history(tmp_path / "history", join_memory_mb=64) as history,
    ):
        newest: dict[int, int] = {}
        for at in acknowledged:
            user = at % writing_child.ENTITIES
            newest[user] = max(newest.get(user, 0), at)
        [rows] = await store.read([("fg-1", [key(user) for user in newest])])
        assert all((score(row) or 0) >= at for row, at in zip(rows, newest.values(), strict=True))

        mirror = Mirror(store=store, history=history, catalogue=catalogue, clock=FakeClock(), interval=0, rows=1_000)
        assert await mirror.flush() == await store.newest() == await store.checkpoint(CONSUMER)
        files = (tmp_path / "history" / "fg-1").glob("*.parquet")
        told = [row for file in files for row in pq.read_table(file, columns=["_position", "_event_time"]).to_pylist()]
        positions = Counter(row["_position"] for row in told)
        assert positions == Counter(range(1, await store.newest() + 1))
        assert acknowledged <= {row["_event_time"] for row in told}


def test_a_full_disk_refuses_the_write_by_its_reason_and_loses_nothing(tmp_path: Path) -> None:
    command = [sys.executable, filling_child.__file__, str(tmp_path / "online")]
    told = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, check=True).stdout.split()
    written = int(told[0])
    assert written > 0
    assert told == [str(written), "STORAGE_FULL", str(written + 1), str(written + 1)]
