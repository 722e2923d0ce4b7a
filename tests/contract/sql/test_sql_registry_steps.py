"""The registry's steps of sagas: sealing a version, and verifying its artifact."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from synapsenet.adapters.artifacts import open_artifacts
from synapsenet.adapters.formats import FormatInspector
from synapsenet.adapters.sql.registry import SqlRegistryWork, metadata
from synapsenet.errors import DataLoss, FailedPrecondition, InvalidArgument
from synapsenet.platform.participant import Participant, ParticipationOptions
from synapsenet.platform.participation import StepCall
from synapsenet.platform.work import ANONYMOUS
from synapsenet.registry.aliases import AliasWish
from synapsenet.registry.model import Format
from synapsenet.registry.ports import RegistryWork
from synapsenet.registry.sealing import Seal
from synapsenet.registry.uploads import Upload
from synapsenet.registry.verification import VerifyArtifact
from synapsenet.testing.artifacts import digest, stream
from synapsenet.testing.clock import FakeClock
from synapsenet.testing.onnx_models import exact_model
from synapsenet.testing.registry import DIGITS, SIGNATURE
from tests.contract.databases import OpenRecords
from tests.contract.sql.registry_stage import TENSORS, Stage, stage

CHAMPION = AliasWish(model="digits", name="champion", number=1)


@pytest.fixture
async def here(records: OpenRecords, tmp_path: Path) -> AsyncIterator[Stage]:
    clock = FakeClock()
    async with records("registry", metadata=metadata, unit=SqlRegistryWork, clock=clock) as work:
        made = stage(work, open_artifacts(tmp_path / "artifacts"), clock)
        await made.create()
        yield made


@pytest.fixture
def taking_part(here: Stage) -> Participant[RegistryWork]:
    verify = VerifyArtifact(work=here.work, artifacts=here.artifacts, inspector=FormatInspector())
    return Participant(
        "registry",
        work=here.work,
        steps={"seal": Seal(here.work), "verify_artifact": verify},
        clock=here.clock,
        options=ParticipationOptions(),
    )


def call(step: str, operation: str = "op-1") -> StepCall:
    return StepCall(operation_id=operation, step=step, saga_version=1, model_id=DIGITS.id, version=1)


async def test_a_sealed_version_takes_no_alias_and_looks_as_before(here: Stage, taking_part: Participant[RegistryWork]) -> None:
    before = await here.registry.version("digits", 1)
    assert (await taking_part.execute(call("seal"), fence=1)).result == {}
    sealed = await here.registry.version("digits", 1)
    assert sealed == replace(before, sealed=True)
    with pytest.raises(FailedPrecondition) as refusal:
        await here.registry.set_alias(CHAMPION, ANONYMOUS)
    assert refusal.value.reason == "VERSION_ARCHIVED"


async def test_a_version_that_an_alias_points_to_is_not_sealed(here: Stage, taking_part: Participant[RegistryWork]) -> None:
    await here.registry.set_alias(CHAMPION, ANONYMOUS)
    with pytest.raises(FailedPrecondition, match="champion") as refusal:
        await taking_part.execute(call("seal"), fence=1)
    assert refusal.value.reason == "VERSION_HAS_ALIASES"
    assert not (await here.registry.version("digits", 1)).sealed


async def test_of_an_alias_and_a_seal_at_once_one_is_refused(here: Stage, taking_part: Participant[RegistryWork]) -> None:
    outcomes = await asyncio.gather(
        here.registry.set_alias(CHAMPION, ANONYMOUS), taking_part.execute(call("seal"), fence=1), return_exceptions=True
    )
    assert sum(isinstance(outcome, FailedPrecondition) for outcome in outcomes) == 1
    after = await here.registry.version("digits", 1)
    assert after.sealed is not bool(after.aliases)


async def test_an_undone_seal_is_gone_and_one_from_before_stays(here: Stage, taking_part: Participant[RegistryWork]) -> None:
    prepared = await taking_part.prepare(call("seal"), fence=1)
    await taking_part.execute(call("seal"), fence=1)
    again = await taking_part.prepare(call("seal", "op-2"), fence=2)
    await taking_part.compensate(call("seal", "op-2"), again, fence=2)
    assert (await here.registry.version("digits", 1)).sealed
    await taking_part.compensate(call("seal"), prepared, fence=2)
    await here.registry.set_alias(CHAMPION, ANONYMOUS)


async def test_a_whole_artifact_is_verified(here: Stage, taking_part: Participant[RegistryWork]) -> None:
    await here.upload()
    outcome = await taking_part.execute(call("verify_artifact"), fence=1)
    assert outcome.result == {"artifact_sha256": digest(TENSORS)}


async def test_a_version_without_artifact_cannot_be_verified(taking_part: Participant[RegistryWork]) -> None:
    with pytest.raises(FailedPrecondition) as refusal:
        await taking_part.execute(call("verify_artifact"), fence=1)
    assert refusal.value.reason == "ARTIFACT_MISSING"


async def test_a_damaged_artifact_is_found_and_found_again(
    here: Stage, taking_part: Participant[RegistryWork], tmp_path: Path
) -> None:
    await here.upload()
    (file,) = (tmp_path / "artifacts").rglob(digest(TENSORS))
    file.chmod(0o600)
    file.write_bytes(TENSORS[:-1] + b"\1")
    for _ in range(2):
        with pytest.raises(DataLoss) as loss:
            await taking_part.execute(call("verify_artifact"), fence=1)
        assert loss.value.reason == "ARTIFACT_CORRUPT"


async def test_an_artifact_that_vanished_is_a_loss(here: Stage, taking_part: Participant[RegistryWork]) -> None:
    await here.upload()
    await here.artifacts.delete(digest(TENSORS))
    with pytest.raises(DataLoss) as loss:
        await taking_part.execute(call("verify_artifact"), fence=1)
    assert loss.value.reason == "ARTIFACT_LOST"


async def test_an_artifact_of_another_size_than_was_recorded_is_damaged(
    here: Stage, taking_part: Participant[RegistryWork]
) -> None:
    uploaded = await here.upload()
    assert uploaded.artifact is not None
    grown = replace(uploaded, artifact=replace(uploaded.artifact, size=len(TENSORS) + 1))
    await here.work.run(lambda tx: tx.versions.replace(grown))
    with pytest.raises(DataLoss) as loss:
        await taking_part.execute(call("verify_artifact"), fence=1)
    assert loss.value.reason == "ARTIFACT_CORRUPT"


async def test_an_artifact_that_does_not_keep_the_declared_signature_is_refused(
    here: Stage, taking_part: Participant[RegistryWork]
) -> None:
    data = exact_model()
    wish = Upload(model="digits", number=1, format=Format.ONNX, sha256=digest(data), size=len(data))
    uploaded = await here.registry.upload(wish, stream(data))
    assert (await taking_part.execute(call("verify_artifact"), fence=1)).result == {"artifact_sha256": digest(data)}
    await here.work.run(lambda tx: tx.versions.replace(replace(uploaded, signature=SIGNATURE)))
    with pytest.raises(InvalidArgument) as refusal:
        await taking_part.execute(call("verify_artifact", "op-2"), fence=1)
    assert refusal.value.reason == "ARTIFACT_SIGNATURE_MISMATCH"
