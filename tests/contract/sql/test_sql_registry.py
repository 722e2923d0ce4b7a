"""The registry's suites over SQLite, a folder of artifacts and real formats."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from synapsenet.adapters.artifacts import open_artifacts
from synapsenet.adapters.formats import FormatInspector
from synapsenet.adapters.sql.registry import SqlRegistryWork, metadata
from synapsenet.adapters.sql.work import SqlWork
from synapsenet.errors import Aborted, AlreadyExists, DataLoss, FailedPrecondition, InvalidArgument, NotFound, ResourceExhausted
from synapsenet.platform.artifacts import ArtifactStore
from synapsenet.platform.paging import PageRequest
from synapsenet.platform.work import ANONYMOUS, Request
from synapsenet.registry.aliases import AliasWish
from synapsenet.registry.model import Format, State, VersionChange, VersionWish
from synapsenet.registry.moves import Move
from synapsenet.registry.options import RegistryOptions
from synapsenet.registry.service import Registry
from synapsenet.registry.uploads import Upload
from synapsenet.testing.artifacts import digest, stream
from synapsenet.testing.clock import NOON, FakeClock
from synapsenet.testing.registry import DIGITS, OTHER, KnownModels, RegistryRecordsContract
from synapsenet.testing.registry_lifecycle import GrantingLifecycle
from tests.contract.databases import OpenRecords

HEADER = b'{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'
TENSORS = len(HEADER).to_bytes(8, "little") + HEADER + b"\0" * 8
WISH = VersionWish(model="digits")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def work(records: OpenRecords, clock: FakeClock) -> AsyncIterator[SqlWork[SqlRegistryWork]]:
    async with records("registry", metadata=metadata, unit=SqlRegistryWork, clock=clock) as opened:
        yield opened


@pytest.fixture
def artifacts(tmp_path: Path) -> ArtifactStore:
    return open_artifacts(tmp_path / "artifacts")


@pytest.fixture
def registry(work: SqlWork[SqlRegistryWork], artifacts: ArtifactStore, clock: FakeClock) -> Registry:
    return Registry(
        work=work,
        models=KnownModels(DIGITS, OTHER),
        lifecycle=GrantingLifecycle(clock),
        artifacts=artifacts,
        inspector=FormatInspector(),
        clock=clock,
        options=RegistryOptions(artifact_bytes=1_000, uploads=1),
    )


class TestSqlRegistryRecords(RegistryRecordsContract):
    """The shared suite."""


def tensors(number: int = 1, data: bytes = TENSORS) -> Upload:
    return Upload(model="digits", number=number, format=Format.SAFETENSORS, sha256=digest(data), size=len(data))


async def uploaded(registry: Registry) -> None:
    await registry.create_version(WISH, ANONYMOUS)
    await registry.upload(tensors(), stream(TENSORS))


async def test_versions_of_a_model_are_numbered_without_gaps_whoever_asks_at_once(registry: Registry) -> None:
    made = await asyncio.gather(*(registry.create_version(WISH, ANONYMOUS) for _ in range(10)))
    assert sorted(version.number for version in made) == list(range(1, 11))
    assert (await registry.create_version(VersionWish(model=OTHER.id), ANONYMOUS)).number == 1


async def test_a_retried_creation_takes_no_second_number(registry: Registry) -> None:
    request = Request("r", b"digest")
    first = await registry.create_version(WISH, request)
    assert await registry.create_version(WISH, request) == first
    assert (await registry.create_version(WISH, ANONYMOUS)).number == 2


async def test_a_version_of_an_unknown_model_is_refused(registry: Registry) -> None:
    with pytest.raises(NotFound) as refusal:
        await registry.create_version(VersionWish(model="nobody"), ANONYMOUS)
    assert refusal.value.reason == "MODEL_UNKNOWN"


async def test_a_model_without_versions_has_an_empty_list_and_an_unknown_one_has_none(registry: Registry) -> None:
    assert (await registry.versions("digits", frozenset(), PageRequest())).items == ()
    assert (await registry.aliases("digits", PageRequest())).items == ()
    with pytest.raises(NotFound) as refusal:
        await registry.versions("nobody", frozenset(), PageRequest())
    assert refusal.value.reason == "MODEL_UNKNOWN"
    with pytest.raises(NotFound) as missing:
        await registry.version("digits", 1)
    assert missing.value.reason == "VERSION_UNKNOWN"


async def test_pages_of_versions_join_from_the_newest_to_the_first(registry: Registry) -> None:
    for _ in range(5):
        await registry.create_version(WISH, ANONYMOUS)
    seen, token = [], ""
    for _ in range(3):
        page = await registry.versions("digits", frozenset(), PageRequest(2, token))
        seen += [version.number for version in page.items]
        token = page.next_token
    assert (seen, token) == ([5, 4, 3, 2, 1], "")


async def test_an_uploaded_version_is_validating_and_its_bytes_come_back(registry: Registry) -> None:
    await registry.create_version(WISH, ANONYMOUS)
    version = await registry.upload(tensors(), stream(TENSORS[:10], TENSORS[10:]))
    assert (version.state, version.revision) == (State.VALIDATING, 2)
    artifact, chunks = await registry.download(DIGITS.id, 1)
    assert artifact == version.artifact
    assert b"".join([chunk async for chunk in chunks]) == TENSORS


async def test_the_same_upload_again_changes_nothing_and_another_is_refused(registry: Registry) -> None:
    await uploaded(registry)
    before = await registry.version("digits", 1)
    assert await registry.upload(tensors(), stream()) == before
    with pytest.raises(AlreadyExists) as refusal:
        await registry.upload(tensors(data=b"other"), stream(b"other"))
    assert refusal.value.reason == "ARTIFACT_UPLOADED"


async def test_a_refused_upload_stores_nothing_and_leaves_the_version_as_it_was(
    registry: Registry, artifacts: ArtifactStore
) -> None:
    before = await registry.create_version(WISH, ANONYMOUS)
    with pytest.raises(InvalidArgument) as refusal:
        await registry.upload(tensors(data=b"not a tensor"), stream(b"not a tensor"))
    assert refusal.value.reason == "ARTIFACT_NOT_SAFETENSORS"
    assert await artifacts.find(digest(b"not a tensor")) is None
    assert await registry.version("digits", 1) == before
    assert (await registry.upload(tensors(), stream(TENSORS))).artifact is not None


async def test_one_upload_more_than_there_may_be_is_told_when_to_come_back(registry: Registry) -> None:
    await registry.create_version(WISH, ANONYMOUS)
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        begun.set()
        await go_on.wait()
        yield TENSORS

    first = asyncio.create_task(registry.upload(tensors(), slow()))
    await begun.wait()
    with pytest.raises(ResourceExhausted) as refusal:
        await registry.upload(tensors(), stream(TENSORS))
    assert (refusal.value.reason, refusal.value.retry_after) == ("UPLOADS_BUSY", 1.0)
    go_on.set()
    assert (await first).artifact is not None


async def test_a_version_without_artifact_has_nothing_to_download(registry: Registry) -> None:
    await registry.create_version(WISH, ANONYMOUS)
    with pytest.raises(FailedPrecondition) as refusal:
        await registry.download("digits", 1)
    assert refusal.value.reason == "ARTIFACT_MISSING"


async def test_an_artifact_that_vanished_from_the_store_is_a_loss_and_not_a_wrong_question(
    registry: Registry, artifacts: ArtifactStore
) -> None:
    await uploaded(registry)
    await artifacts.delete(digest(TENSORS))
    _, chunks = await registry.download("digits", 1)
    with pytest.raises(DataLoss) as refusal:
        await anext(chunks)
    assert refusal.value.reason == "ARTIFACT_LOST"


async def test_a_change_of_words_keeps_the_rest(registry: Registry, clock: FakeClock) -> None:
    before = await registry.create_version(VersionWish(model="digits", labels={"a": "b"}), ANONYMOUS)
    await clock.advance(1)
    changed = await registry.update_version("digits", 1, VersionChange(metrics={"accuracy": 0.5}, etag="r1"), ANONYMOUS)
    assert changed == replace(before, metrics={"accuracy": 0.5}, revision=2, updated_at=clock.now())
    with pytest.raises(Aborted) as refusal:
        await registry.update_version("digits", 1, VersionChange(labels={}, etag="r1"), ANONYMOUS)
    assert refusal.value.metadata["etag"] == "r2"


async def test_an_alias_moves_only_from_where_it_is_expected(registry: Registry) -> None:
    for _ in range(2):
        await registry.create_version(WISH, ANONYMOUS)
    first = await registry.set_alias(AliasWish(model="digits", name="champion", number=1, expected=0), ANONYMOUS)
    assert first == await registry.alias(DIGITS.id, "champion")
    with pytest.raises(Aborted) as refusal:
        await registry.set_alias(AliasWish(model="digits", name="champion", number=2, expected=0), ANONYMOUS)
    assert (refusal.value.reason, refusal.value.metadata) == ("ALIAS_MOVED", {"version": "1"})
    await registry.set_alias(AliasWish(model="digits", name="champion", number=2, expected=1), ANONYMOUS)
    assert (await registry.version("digits", 2)).aliases == ("champion",)
    assert (await registry.version("digits", 1)).aliases == ()


async def test_a_deleted_alias_is_unknown(registry: Registry) -> None:
    await registry.create_version(WISH, ANONYMOUS)
    await registry.set_alias(AliasWish(model="digits", name="champion", number=1), ANONYMOUS)
    await registry.delete_alias("digits", "champion")
    with pytest.raises(NotFound) as refusal:
        await registry.delete_alias("digits", "champion")
    assert refusal.value.reason == "ALIAS_UNKNOWN"


async def test_a_model_with_versions_is_not_closed_and_a_closed_one_takes_none(registry: Registry) -> None:
    await registry.create_version(WISH, ANONYMOUS)
    with pytest.raises(FailedPrecondition) as refusal:
        await registry.close_model(DIGITS.id)
    assert refusal.value.metadata == {"model_id": DIGITS.id, "versions": "1"}
    for _ in range(2):
        await registry.close_model(OTHER.id)
    with pytest.raises(NotFound) as closed:
        await registry.create_version(VersionWish(model=OTHER.id), ANONYMOUS)
    assert closed.value.reason == "MODEL_UNKNOWN"


async def test_what_happens_to_a_model_has_one_order(registry: Registry, work: SqlWork[SqlRegistryWork]) -> None:
    await uploaded(registry)
    await registry.move_version("digits", 1, Move(to=State.REGISTERED, reason="looks well"), ANONYMOUS)
    await registry.move_version("digits", 1, Move(to=State.REGISTERED), ANONYMOUS)
    await registry.set_alias(AliasWish(model="digits", name="champion", number=1), ANONYMOUS)
    expected = ["VersionCreated", "ArtifactUploaded", "VersionMoved", "VersionMoved", "AliasSet"]
    seen = []
    async for event in work.feed.watch(after=0, aggregate=f"model/{DIGITS.id}"):
        seen.append((event.sequence, event.type, event.occurred_at))
        if len(seen) == len(expected):
            break
    assert seen == [(at, kind, NOON) for at, kind in enumerate(expected, start=1)]
