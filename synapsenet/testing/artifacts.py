"""What every artifact store promises, whatever it is built on."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence

import pytest

from synapsenet.errors import DataLoss, NotFound, ResourceExhausted
from synapsenet.platform.artifacts import Artifact, ArtifactStore

UNKNOWN = "0" * 64
LARGE = 10 << 20


async def stream(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


def digest(*chunks: bytes) -> str:
    return hashlib.sha256(b"".join(chunks)).hexdigest()


async def content(store: ArtifactStore, sha256: str, *, chunk_size: int = 1 << 20) -> Sequence[bytes]:
    return [chunk async for chunk in store.read(sha256, chunk_size=chunk_size)]


class ArtifactStoreContract:
    """Run over every adapter by a class that provides the fixture `store`."""

    async def test_what_was_written_is_read_back_under_the_name_of_its_content(self, store: ArtifactStore) -> None:
        artifact = await store.write(stream(b"ab", b"", b"cd"), limit=LARGE)
        assert artifact == Artifact(digest(b"abcd"), 4)
        assert await store.find(artifact.sha256) == artifact
        assert b"".join(await content(store, artifact.sha256)) == b"abcd"

    async def test_an_artifact_is_read_in_chunks_of_the_size_that_was_asked_for(self, store: ArtifactStore) -> None:
        artifact = await store.write(stream(b"abcdefghij"), limit=LARGE)
        assert await content(store, artifact.sha256, chunk_size=4) == [b"abcd", b"efgh", b"ij"]

    async def test_an_empty_artifact_has_no_chunks(self, store: ArtifactStore) -> None:
        artifact = await store.write(stream(), limit=LARGE)
        assert (artifact.size, await content(store, artifact.sha256)) == (0, [])

    async def test_the_same_bytes_in_other_chunks_are_the_same_artifact(self, store: ArtifactStore) -> None:
        one = await store.write(stream(b"abc", b"d"), limit=LARGE)
        other = await store.write(stream(b"a", b"bcd"), limit=LARGE)
        assert one == other

    async def test_writers_of_the_same_bytes_at_once_all_succeed(self, store: ArtifactStore) -> None:
        data = [b"x" * 100_000] * 10
        written = await asyncio.gather(*(store.write(stream(*data), limit=LARGE) for _ in range(8)))
        assert set(written) == {Artifact(digest(*data), 1_000_000)}
        assert b"".join(await content(store, written[0].sha256)) == b"".join(data)

    async def test_one_byte_over_the_limit_is_refused_and_nothing_is_stored(self, store: ArtifactStore) -> None:
        with pytest.raises(ResourceExhausted) as refusal:
            await store.write(stream(b"abc", b"de"), limit=4)
        assert refusal.value.reason == "ARTIFACT_TOO_LARGE"
        assert await store.find(digest(b"abcde")) is None
        assert (await store.write(stream(b"abcd"), limit=4)).size == 4

    async def test_an_upload_that_fails_in_the_middle_leaves_nothing(self, store: ArtifactStore) -> None:
        async def broken() -> AsyncIterator[bytes]:
            yield b"abc"
            raise ConnectionResetError

        with pytest.raises(ConnectionResetError):
            await store.write(broken(), limit=LARGE)
        assert await store.find(digest(b"abc")) is None

    async def test_an_upload_that_is_cancelled_leaves_nothing(self, store: ArtifactStore) -> None:
        begun = asyncio.Event()

        async def endless() -> AsyncIterator[bytes]:
            yield b"abc"
            begun.set()
            await asyncio.Event().wait()

        writing = asyncio.create_task(store.write(endless(), limit=LARGE))
        await begun.wait()
        writing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writing
        assert await store.find(digest(b"abc")) is None

    @pytest.mark.parametrize("name", [UNKNOWN, "../../etc/passwd", ""])
    async def test_a_name_that_nothing_was_stored_under_is_unknown(self, store: ArtifactStore, name: str) -> None:
        assert await store.find(name) is None
        with pytest.raises(NotFound) as refusal:
            await content(store, name)
        assert refusal.value.reason == "ARTIFACT_UNKNOWN"

    async def test_a_deleted_artifact_is_unknown_and_deleting_it_again_is_silent(self, store: ArtifactStore) -> None:
        artifact = await store.write(stream(b"abc"), limit=LARGE)
        await store.delete(artifact.sha256)
        await store.delete(artifact.sha256)
        assert await store.find(artifact.sha256) is None

    async def test_a_reader_that_stops_early_harms_nobody(self, store: ArtifactStore) -> None:
        artifact = await store.write(stream(b"abcdefghij"), limit=LARGE)
        reading = store.read(artifact.sha256, chunk_size=2)
        assert await anext(reading) == b"ab"
        await reading.aclose()  # type: ignore[attr-defined]  # adapters read with async generators
        assert b"".join(await content(store, artifact.sha256)) == b"abcdefghij"


async def check_damage_is_told_before_the_last_chunk(store: ArtifactStore, artifact: Artifact, *, standing: int) -> None:
    """Read an artifact in whose place the test has put `standing` other bytes."""
    seen: list[bytes] = []

    async def read_all() -> None:
        async for chunk in store.read(artifact.sha256, chunk_size=4):
            seen.append(chunk)  # noqa: PERF401 - what came before the refusal is what counts

    with pytest.raises(DataLoss) as refusal:
        await read_all()
    assert refusal.value.reason == "ARTIFACT_CORRUPT"
    assert len(b"".join(seen)) < standing
