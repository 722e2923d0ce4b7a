"""An artifact is checked while it arrives."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from synapsenet.errors import AlreadyExists, DeadlineExceeded, InvalidArgument, ResourceExhausted
from synapsenet.registry.model import Format, State
from synapsenet.registry.ports import Inspection
from synapsenet.registry.signature import ElementType, Signature, TensorSpec
from synapsenet.registry.uploads import Arrival, Upload
from synapsenet.testing.artifacts import digest, stream
from synapsenet.testing.clock import NOON
from synapsenet.testing.registry import SIGNATURE, artifact, version

DATA = b"a whole model"


class Reading(Inspection):
    """Sees the bytes and finds a signature, or refuses them."""

    def __init__(self, found: Signature | InvalidArgument | None = None) -> None:
        self.seen = b""
        self._found = found

    def feed(self, chunk: bytes) -> None:
        self.seen += chunk

    async def conclude(self) -> Signature | None:
        if isinstance(self._found, InvalidArgument):
            raise self._found
        return self._found


def upload(*, sha256: str = digest(DATA), size: int = len(DATA)) -> Upload:
    return Upload(model="digits", number=1, format=Format.ONNX, sha256=sha256, size=size)


async def arrived(arrival: Arrival, chunks: AsyncIterator[bytes]) -> bytes:
    return b"".join([chunk async for chunk in arrival.checked(chunks)])


def arrival(wish: Upload, inspection: Inspection, declared: Signature | None = None, pause: float = 10) -> Arrival:
    return Arrival(wish, inspection, declared=declared, pause=pause)


async def test_what_was_declared_passes_and_tells_its_signature() -> None:
    reading = Reading(SIGNATURE)
    coming = arrival(upload(), reading, declared=SIGNATURE)
    assert await arrived(coming, stream(DATA[:5], DATA[5:])) == reading.seen == DATA
    assert coming.signature == SIGNATURE


@pytest.mark.parametrize(
    ("wish", "reason"),
    [
        (upload(size=len(DATA) - 1), "ARTIFACT_SIZE_MISMATCH"),
        (upload(size=len(DATA) + 1), "ARTIFACT_SIZE_MISMATCH"),
        (upload(sha256="0" * 64), "ARTIFACT_SHA256_MISMATCH"),
    ],
)
async def test_other_bytes_than_were_declared_are_refused(wish: Upload, reason: str) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        await arrived(arrival(wish, Reading()), stream(DATA))
    assert refusal.value.reason == reason


async def test_what_the_inspection_refuses_does_not_pass() -> None:
    with pytest.raises(InvalidArgument) as refusal:
        await arrived(arrival(upload(), Reading(InvalidArgument("ARTIFACT_NOT_ONNX"))), stream(DATA))
    assert refusal.value.reason == "ARTIFACT_NOT_ONNX"


async def test_an_artifact_that_breaks_the_declared_signature_does_not_pass() -> None:
    scalar = Signature(inputs=(), outputs=(TensorSpec(name="label", element_type=ElementType.INT64, shape=()),))
    with pytest.raises(InvalidArgument) as refusal:
        await arrived(arrival(upload(), Reading(scalar), declared=SIGNATURE), stream(DATA))
    assert refusal.value.reason == "ARTIFACT_SIGNATURE_MISMATCH"


async def test_an_upload_that_pauses_for_too_long_is_given_up() -> None:
    async def stalled() -> AsyncIterator[bytes]:
        yield DATA[:5]
        await asyncio.Event().wait()

    with pytest.raises(DeadlineExceeded) as refusal:
        await arrived(arrival(upload(), Reading(), pause=0.01), stalled())
    assert refusal.value.reason == "UPLOAD_STALLED"


def test_a_version_without_artifact_may_be_offered_one_with_the_signature_that_it_states() -> None:
    assert not upload().is_done(version())
    offered = upload().offered(version(), stated=SIGNATURE, at=NOON)
    assert (offered.offered, offered.signature, offered.revision) == (True, SIGNATURE, 1)
    assert upload().is_done(offered)


def test_a_declared_signature_stays_whatever_the_artifact_states() -> None:
    scalar = Signature(inputs=(), outputs=(TensorSpec(name="label", element_type=ElementType.INT64, shape=()),))
    declaring = replace(version(), signature=SIGNATURE)
    assert upload().offered(declaring, stated=scalar, at=NOON).signature == SIGNATURE


def test_the_same_artifact_again_is_done_and_another_one_is_refused() -> None:
    there = replace(version(state=State.SERVING), artifact=artifact(digest(DATA)))
    assert upload().is_done(there)
    with pytest.raises(AlreadyExists) as refusal:
        upload(sha256="0" * 64).is_done(there)
    assert refusal.value.metadata == {"sha256": digest(DATA)}


@pytest.mark.parametrize("sha256", ["", "ab", "AB" * 32, "g" * 64, "ab" * 32 + "\n"])
def test_a_digest_that_is_none_is_refused(sha256: str) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        upload(sha256=sha256)
    assert refusal.value.field == "header.sha256"


def test_an_artifact_has_at_least_one_byte_and_no_more_than_the_limit() -> None:
    with pytest.raises(InvalidArgument):
        upload(size=0)
    upload(size=5).check_size(5)
    with pytest.raises(ResourceExhausted) as refusal:
        upload(size=6).check_size(5)
    assert refusal.value.reason == "ARTIFACT_TOO_LARGE"
