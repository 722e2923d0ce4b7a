"""Model versions, their artifacts and aliases."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from google.protobuf.field_mask_pb2 import FieldMask

from synapsenet_api.registry.v1 import registry_service_pb2 as pb
from synapsenet_api.registry.v1.alias_pb2 import Alias
from synapsenet_api.registry.v1.artifact_pb2 import ArtifactFormat
from synapsenet_api.registry.v1.version_pb2 import Signature, Source, Version, VersionCondition, VersionState
from synapsenet_client._calls import Ask, Asyncio, Blocking, Download, Pages, Upload, answering, paging
from synapsenet_client._enums import enum_value, enum_values
from synapsenet_client._errors import InvalidArgument
from synapsenet_client._files import FileSink, MemorySink, Payload, Piece, Progress

_FORMATS = {".onnx": "ONNX", ".safetensors": "SAFETENSORS"}


class VersionMethods:
    """A model is named by its id or its name, a version by its number, throughout."""

    @answering
    def create_version(
        self,
        model_id: str,
        *,
        description: str = "",
        source: Source | None = None,
        signature: Signature | None = None,
        metrics: Mapping[str, float] | None = None,
        labels: Mapping[str, str] | None = None,
        request_id: str = "",
    ) -> Ask[pb.CreateVersionResponse, Version]:
        """Register the next version of a model; its artifact is uploaded afterwards.

        Args:
            model_id: id or name.
            description: for people.
            source: the run, job and training set that it comes from.
            signature: what the artifact must take and give; None: whatever it says.
            metrics: measured values, finite.
            labels: for selecting and for people.
            request_id: the same for every attempt at this creation; made up if empty.

        Raises:
            NotFound: there is no such model.
        """
        return Ask(
            pb.CreateVersionRequest(
                model_id=model_id,
                description=description,
                source=source,
                signature=signature,
                metrics=metrics or {},
                labels=labels or {},
                request_id=request_id,
            ),
            lambda answer: answer.version,
        )

    @answering
    def get_version(self, model_id: str, version: int) -> Ask[pb.GetVersionResponse, Version]:
        """One version."""
        return Ask(pb.GetVersionRequest(model_id=model_id, version=version), lambda answer: answer.version)

    @paging
    def list_versions(
        self, model_id: str, *, states: Iterable[str] = (), page_size: int = 0
    ) -> Pages[pb.ListVersionsResponse, Version]:
        """A model's versions, the newest first; `states` (REGISTERED, SERVING …) picks among them."""
        request = pb.ListVersionsRequest(
            model_id=model_id, states=enum_values("states", VersionState, states), page_size=page_size
        )
        return Pages(request, lambda page: page.versions)

    @answering
    def update_version(
        self,
        model_id: str,
        version: int,
        *,
        description: str | None = None,
        metrics: Mapping[str, float] | None = None,
        labels: Mapping[str, str] | None = None,
        etag: str = "",
        request_id: str = "",
    ) -> Ask[pb.UpdateVersionResponse, Version]:
        """Change what is given; None leaves a field as it is, an empty value clears it.

        Raises:
            Aborted: the version has changed since `etag`.
        """
        given = {"description": description, "metrics": metrics, "labels": labels}
        return Ask(
            pb.UpdateVersionRequest(
                model_id=model_id,
                version=version,
                description=description or "",
                metrics=metrics or {},
                labels=labels or {},
                update_mask=FieldMask(paths=[name for name, value in given.items() if value is not None]),
                etag=etag,
                request_id=request_id,
            ),
            lambda answer: answer.version,
        )

    @answering
    def set_state(
        self,
        model_id: str,
        version: int,
        state: str,
        *,
        condition: VersionCondition | None = None,
        reason: str = "",
        etag: str = "",
        request_id: str = "",
    ) -> Ask[pb.SetVersionStateResponse, Version]:
        """Move a version to a state such as REGISTERED.

        Raises:
            FailedPrecondition: it cannot go there from where it is; the sentence names where it can.
        """
        return Ask(
            pb.SetVersionStateRequest(
                model_id=model_id,
                version=version,
                state=enum_value("state", VersionState, state),
                condition=condition,
                reason=reason,
                etag=etag,
                request_id=request_id,
            ),
            lambda answer: answer.version,
        )


class ArtifactMethods:
    """Artifacts travel in pieces and are checked by SHA-256 at both ends."""

    @answering
    def upload(
        self,
        model_id: str,
        version: int,
        source: str | os.PathLike[str] | bytes,
        *,
        format: str = "",
        progress: Progress | None = None,
    ) -> Upload[pb.UploadArtifactRequest, pb.UploadArtifactResponse, Version]:
        """Upload a version's artifact; the same artifact again changes nothing.

        Args:
            model_id: id or name.
            version: its number.
            source: path of the file, or its bytes.
            format: ONNX or SAFETENSORS; by default the file's suffix says it.
            progress: told the bytes sent and the bytes in all.

        Raises:
            InvalidArgument: the file cannot be read, or its content is not of the format.
            AlreadyExists: the version has another artifact.
        """
        return Upload(
            request=pb.UploadArtifactRequest,
            items=_parts(model_id, version, source, format, progress),
            encode=lambda part: part,
            shape=lambda answer: answer.version,
        )

    @answering
    def download(
        self, model_id: str, version: int, path: str | os.PathLike[str], *, progress: Progress | None = None
    ) -> Download[pb.DownloadArtifactResponse, Path]:
        """Download a version's artifact into a file, which appears only when it is whole and checked; returns its path.

        Raises:
            DataLoss: the bytes are not those that were uploaded.
        """
        request = pb.DownloadArtifactRequest(model_id=model_id, version=version)
        return Download(request, lambda: FileSink(Path(path), _piece, progress))

    @answering
    def read_artifact(self, model_id: str, version: int) -> Download[pb.DownloadArtifactResponse, bytes]:
        """A version's artifact as bytes.

        Raises:
            DataLoss: the bytes are not those that were uploaded.
        """
        request = pb.DownloadArtifactRequest(model_id=model_id, version=version)
        return Download(request, lambda: MemorySink(_piece))


class AliasMethods:
    """Names such as `champion` that point to one version of a model."""

    @answering
    def set_alias(
        self, model_id: str, alias: str, version: int, *, expected_version: int | None = None, request_id: str = ""
    ) -> Ask[pb.SetAliasResponse, Alias]:
        """Let an alias point to a version; `expected_version` is the one that it must point to now."""
        return Ask(
            pb.SetAliasRequest(
                model_id=model_id, alias=alias, version=version, expected_version=expected_version, request_id=request_id
            ),
            lambda answer: answer.alias,
        )

    @answering
    def get_alias(self, model_id: str, alias: str) -> Ask[pb.GetAliasResponse, Alias]:
        """One alias."""
        return Ask(pb.GetAliasRequest(model_id=model_id, alias=alias), lambda answer: answer.alias)

    @paging
    def list_aliases(self, model_id: str, *, page_size: int = 0) -> Pages[pb.ListAliasesResponse, Alias]:
        """A model's aliases, ordered by name."""
        return Pages(pb.ListAliasesRequest(model_id=model_id, page_size=page_size), lambda page: page.aliases)

    @answering
    def delete_alias(self, model_id: str, alias: str) -> Ask[pb.DeleteAliasResponse, None]:
        """Remove an alias; the version stays."""
        return Ask(pb.DeleteAliasRequest(model_id=model_id, alias=alias), lambda answer: None)


class Registry(Blocking, VersionMethods, ArtifactMethods, AliasMethods):
    """`client.registry`."""


class AsyncRegistry(Asyncio, VersionMethods, ArtifactMethods, AliasMethods):
    """`client.registry` of an asyncio client."""


def _parts(
    model_id: str, version: int, source: str | os.PathLike[str] | bytes, form: str, progress: Progress | None
) -> Iterator[pb.UploadArtifactRequest]:
    """The messages of an upload. It reads the whole file before the first, so it must not run on an event loop."""
    payload = Payload(source)
    header = pb.UploadArtifactHeader(
        model_id=model_id,
        version=version,
        format=enum_value("format", ArtifactFormat, form or _format_of(source)),
        sha256=payload.sha256,
        size_bytes=payload.size,
    )
    yield pb.UploadArtifactRequest(header=header)
    for piece in payload.pieces(progress):
        yield pb.UploadArtifactRequest(data=piece)


def _piece(answer: pb.DownloadArtifactResponse) -> Piece:
    return Piece(answer.artifact.sha256, answer.artifact.size_bytes, answer.data)


def _format_of(source: str | os.PathLike[str] | bytes) -> str:
    suffix = "" if isinstance(source, bytes) else Path(source).suffix
    if suffix not in _FORMATS:
        raise InvalidArgument(
            f"format: {suffix or 'nothing'} does not tell it: name it, ONNX or SAFETENSORS", reason="FORMAT_UNKNOWN"
        )
    return _FORMATS[suffix]
