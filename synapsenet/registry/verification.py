"""The step `verify_artifact`: what lies in the store is what was uploaded, and states the signature that the version has."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

from synapsenet.errors import DataLoss, FailedPrecondition, NotFound
from synapsenet.platform.artifacts import ArtifactStore
from synapsenet.platform.participation import Json, OneWay, ParticipantWork, StepCall, Turn, giving
from synapsenet.platform.work import WorkFactory
from synapsenet.registry.lookup import known_version
from synapsenet.registry.model import Version, VersionArtifact
from synapsenet.registry.ports import Inspector, RegistryWork


class VerifyArtifact(OneWay[RegistryWork]):
    """Reads an artifact from its first byte to its last; changes nothing."""

    def __init__(self, *, work: WorkFactory[RegistryWork], artifacts: ArtifactStore, inspector: Inspector) -> None:
        self._work = work
        self._artifacts = artifacts
        self._inspector = inspector

    async def execute(self, call: StepCall, turn: Turn) -> Callable[[ParticipantWork], Json]:
        """The SHA-256 of what was verified, `artifact_sha256`.

        Raises:
            NotFound: VERSION_UNKNOWN.
            FailedPrecondition: ARTIFACT_MISSING.
            DataLoss: ARTIFACT_CORRUPT or ARTIFACT_LOST.
            InvalidArgument: ARTIFACT_SIGNATURE_MISMATCH, or what reading its format raises.
        """
        version = await self._work.read(lambda tx: known_version(tx, call.model_id, call.version))
        artifact = present_artifact(version)
        inspection = self._inspector.begin(artifact.format, size=artifact.size)
        size = 0
        async for chunk in stored(self._artifacts, version, artifact):
            size += len(chunk)
            inspection.feed(chunk)
        if size != artifact.size:
            raise _wrong_size(version, artifact, size)
        stated = await inspection.conclude()
        if version.signature is not None and stated is not None:
            version.signature.check(stated)
        return giving({"artifact_sha256": artifact.sha256})


def present_artifact(version: Version) -> VersionArtifact:
    """The version's artifact.

    Raises:
        FailedPrecondition: ARTIFACT_MISSING.
    """
    if version.artifact is None:
        raise FailedPrecondition(
            "ARTIFACT_MISSING",
            f"version {version.title} has no artifact",
            field="version",
            remedy="upload its artifact first",
        )
    return version.artifact


async def stored(artifacts: ArtifactStore, version: Version, artifact: VersionArtifact) -> AsyncIterator[bytes]:
    """The bytes of a version's artifact, compared with its SHA-256 as they pass.

    Raises:
        DataLoss: ARTIFACT_CORRUPT, before the last chunk; or ARTIFACT_LOST.
    """
    try:
        async for chunk in artifacts.read(artifact.sha256):
            yield chunk
    except NotFound as error:
        raise DataLoss(
            "ARTIFACT_LOST",
            f"the artifact of version {version.title} is no longer in the store",
            remedy="restore the artifact folder from a backup, or create a new version",
            metadata={"sha256": artifact.sha256},
        ) from error


def _wrong_size(version: Version, artifact: VersionArtifact, size: int) -> DataLoss:
    return DataLoss(
        "ARTIFACT_CORRUPT",
        f"the artifact of version {version.title} has {size:,} bytes in the store, and {artifact.size:,} were uploaded",
        remedy="restore the artifact folder from a backup, or create a new version",
        metadata={"sha256": artifact.sha256},
    )
