"""Uploads: an artifact is checked while it arrives, so that nothing unchecked is ever stored under its name."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import datetime

from synapsenet.errors import AlreadyExists, DeadlineExceeded, FailedPrecondition, InvalidArgument, ResourceExhausted
from synapsenet.registry.model import Format, Version, VersionArtifact
from synapsenet.registry.ports import Inspection
from synapsenet.registry.signature import Signature

_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """What the uploader declares before the bytes.

    Attributes:
        model: the model's id or name.
        sha256: 64 lower-case hexadecimal digits.
        size: bytes.

    Raises:
        InvalidArgument: SHA256_INVALID or SIZE_INVALID.
    """

    model: str
    number: int
    format: Format
    sha256: str
    size: int

    def __post_init__(self) -> None:
        if not _SHA256.fullmatch(self.sha256):
            raise InvalidArgument("SHA256_INVALID", field="header.sha256", remedy="give 64 lower-case hexadecimal digits")
        if self.size < 1:
            raise InvalidArgument("SIZE_INVALID", field="header.size_bytes", remedy="give the artifact's size, at least 1 byte")

    def check_size(self, limit: int) -> None:
        """Pass if the artifact is no larger than `limit` bytes.

        Raises:
            ResourceExhausted: ARTIFACT_TOO_LARGE.
        """
        if self.size > limit:
            raise ResourceExhausted(
                "ARTIFACT_TOO_LARGE",
                f"header.size_bytes: {self.size:,} bytes are more than this platform takes",
                field="header.size_bytes",
                remedy=f"keep an artifact to {limit:,} bytes, or have the operator raise registry.artifact_bytes",
                metadata={"limit": str(limit)},
            )

    def is_done(self, version: Version) -> bool:
        """Whether `version` has this artifact already; False: it has none.

        Raises:
            AlreadyExists: ARTIFACT_UPLOADED, it has another one.
        """
        if version.artifact is None:
            return False
        if (version.artifact.sha256, version.artifact.format) == (self.sha256, self.format):
            return True
        raise AlreadyExists(
            "ARTIFACT_UPLOADED",
            f"version {version.title} has an artifact already, and it never changes",
            field="header",
            remedy="create a new version for another artifact",
            metadata={"sha256": version.artifact.sha256},
        )

    def offered(self, version: Version, *, stated: Signature | None, at: datetime) -> Version:
        """`version` with this artifact, for the coordinator to take."""
        artifact = VersionArtifact(format=self.format, sha256=self.sha256, size=self.size, uploaded_at=at)
        return replace(version, artifact=artifact, signature=version.signature or stated, offered=True)


def not_accepted(version: Version) -> FailedPrecondition:
    """What to tell somebody whose artifact comes when its version takes none."""
    return FailedPrecondition(
        "ARTIFACT_NOT_ACCEPTED",
        f"version {version.title} is {version.state} and takes no artifact",
        field="header.version",
        remedy="create a new version",
        metadata={"state": version.state},
    )


class Arrival:
    """The bytes of one upload on their way into the store.

    Attributes:
        signature: what the artifact states, once all of it has come.
    """

    def __init__(self, upload: Upload, inspection: Inspection, *, declared: Signature | None, pause: float) -> None:
        self._upload = upload
        self._inspection = inspection
        self._declared = declared
        self._pause = pause
        self.signature: Signature | None = None

    async def checked(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """`chunks` as they come; it ends only if they are what was declared, and raises otherwise.

        Raises:
            InvalidArgument: ARTIFACT_SIZE_MISMATCH, ARTIFACT_SHA256_MISMATCH, ARTIFACT_SIGNATURE_MISMATCH, or what the
                inspection raises.
            DeadlineExceeded: UPLOAD_STALLED, the uploader paused for too long.
        """
        digest = hashlib.sha256()
        size = 0
        while (chunk := await self._next(chunks)) is not None:
            size += len(chunk)
            if size > self._upload.size:
                raise self._size_mismatch(f"more than the {self._upload.size:,} bytes that the header declares came")
            digest.update(chunk)
            self._inspection.feed(chunk)
            yield chunk
        if size < self._upload.size:
            raise self._size_mismatch(f"{size:,} bytes came, the header declares {self._upload.size:,}")
        if digest.hexdigest() != self._upload.sha256:
            raise InvalidArgument(
                "ARTIFACT_SHA256_MISMATCH",
                "the bytes that came have another SHA-256 than the header declares",
                field="header.sha256",
                remedy="upload the file again, or declare the digest that it has",
                metadata={"declared": self._upload.sha256, "actual": digest.hexdigest()},
            )
        self.signature = await self._inspection.conclude()
        if self._declared is not None and self.signature is not None:
            self._declared.check(self.signature)

    async def _next(self, chunks: AsyncIterator[bytes]) -> bytes | None:
        try:
            async with asyncio.timeout(self._pause):
                return await anext(chunks, None)
        except TimeoutError as error:
            raise DeadlineExceeded(
                "UPLOAD_STALLED", f"no byte came for {self._pause:g} seconds", remedy="upload the artifact again"
            ) from error

    def _size_mismatch(self, what: str) -> InvalidArgument:
        return InvalidArgument("ARTIFACT_SIZE_MISMATCH", what, field="header.size_bytes", remedy="upload the whole file, once")
