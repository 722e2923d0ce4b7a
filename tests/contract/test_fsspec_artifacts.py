"""The artifact suite over a local folder and an object store, and what only a disk can do: rot, fill up, be read-only."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from synapsenet.adapters.artifacts import FsspecArtifacts, open_artifacts
from synapsenet.clock import SystemClock
from synapsenet.errors import FailedPrecondition
from synapsenet.platform.artifacts import ArtifactStore
from synapsenet.testing.artifacts import (
    LARGE,
    ArtifactStoreContract,
    check_damage_is_told_before_the_last_chunk,
    content,
    stream,
)

ROOT = Path(__file__).parents[2]


def stored(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


class TestFolder(ArtifactStoreContract):
    """The shared suite over a local folder."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> ArtifactStore:
        return open_artifacts(tmp_path / "artifacts")


class TestObjectStore(ArtifactStoreContract):
    """The shared suite over an object store that knows neither folders nor flushing."""

    @pytest.fixture
    def store(self) -> Iterator[ArtifactStore]:
        yield FsspecArtifacts("memory:///artifacts", clock=SystemClock())
        fsspec.filesystem("memory").store.clear()


@pytest.mark.parametrize("damage", [b"abcdefghiX", b"abcde", b"abcdefghijklm"], ids=["changed", "cut", "grown"])
async def test_damage_on_the_disk_is_told_before_the_last_chunk(tmp_path: Path, damage: bytes) -> None:
    store = open_artifacts(tmp_path)
    artifact = await store.write(stream(b"abcdefghij"), limit=LARGE)
    stored(tmp_path)[0].write_bytes(damage)
    await check_damage_is_told_before_the_last_chunk(store, artifact, standing=len(damage))


async def test_uploading_a_damaged_artifact_again_heals_it(tmp_path: Path) -> None:
    store = open_artifacts(tmp_path)
    artifact = await store.write(stream(b"abcdefghij"), limit=LARGE)
    stored(tmp_path)[0].write_bytes(b"rot")
    assert await store.write(stream(b"abcdefghij"), limit=LARGE) == artifact
    assert b"".join(await content(store, artifact.sha256)) == b"abcdefghij"


async def test_a_refused_upload_leaves_no_file(tmp_path: Path) -> None:
    store = open_artifacts(tmp_path)
    with pytest.raises(Exception, match="larger than 2 bytes"):
        await store.write(stream(b"abc"), limit=2)
    assert stored(tmp_path) == []


async def test_what_a_dead_process_left_half_written_is_swept_after_a_day(tmp_path: Path) -> None:
    open_artifacts(tmp_path)
    old, young = tmp_path / "incoming" / "old", tmp_path / "incoming" / "young"
    for path in (old, young):
        path.write_bytes(b"half")
    yesterday = time.time() - 25 * 3_600
    os.utime(old, (yesterday, yesterday))
    open_artifacts(tmp_path)
    assert stored(tmp_path) == [young]


FULL_DISK = """
import asyncio, resource, sys
from pathlib import Path
from synapsenet.adapters.artifacts import open_artifacts
from synapsenet.errors import ResourceExhausted
from synapsenet.testing.artifacts import content, stream

async def main(folder):
    store = open_artifacts(folder)
    small = await store.write(stream(b"small"), limit=1 << 30)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
    try:
        await store.write(stream(*[b"x" * (1 << 18)] * 16), limit=1 << 30)
    except ResourceExhausted as refusal:
        print(refusal.reason, str(folder) in refusal.public)
    print(b"".join(await content(store, small.sha256)).decode())
    print(len([path for path in folder.rglob("*") if path.is_file()]))

asyncio.run(main(Path(sys.argv[1])))
"""


def test_a_full_disk_is_told_by_its_reason_and_what_was_stored_is_still_there(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert run.stdout.splitlines() == ["STORAGE_FULL False", "small", "1"], run.stderr


WRITER = """
import asyncio, sys
from pathlib import Path
from synapsenet.adapters.artifacts import open_artifacts
from synapsenet.testing.artifacts import stream

async def main(folder):
    store = open_artifacts(folder)
    for number in range(100_000):
        chunks = [number.to_bytes(4, "big") * 10_000] * 20
        print((await store.write(stream(*chunks), limit=1 << 30)).sha256, flush=True)

asyncio.run(main(Path(sys.argv[1])))
"""


async def test_kill_9_in_the_middle_of_writing_keeps_all_that_was_acknowledged_and_names_nothing_torn(tmp_path: Path) -> None:
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    with writer:
        assert writer.stdout is not None
        acknowledged = [writer.stdout.readline().strip() for _ in range(20)]
        writer.kill()
        acknowledged += [line.strip() for line in writer.stdout if line.endswith("\n")]
    store = open_artifacts(tmp_path)
    named = [path.name for path in (tmp_path / "sha256").rglob("*") if path.is_file()]
    assert set(acknowledged) <= set(named)
    for sha256 in named:
        assert sum([len(chunk) for chunk in await content(store, sha256)]) == 800_000


def test_a_folder_that_is_a_file_is_refused_at_once(tmp_path: Path) -> None:
    blocked = tmp_path / "blocked"
    blocked.write_text("in the way")
    with pytest.raises(FailedPrecondition) as refusal:
        open_artifacts(blocked)
    assert refusal.value.reason == "DATA_NOT_WRITABLE"
    assert str(tmp_path) not in refusal.value.public


async def test_a_stored_artifact_is_named_only_when_whole(tmp_path: Path) -> None:
    store = open_artifacts(tmp_path)
    artifact = await store.write(stream(b"abc"), limit=LARGE)
    (path,) = stored(tmp_path)
    assert path == tmp_path / "sha256" / artifact.sha256[:2] / artifact.sha256
    assert stat.S_ISREG(path.stat().st_mode)
