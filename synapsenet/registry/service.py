"""The use cases of the registry."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import replace

from synapsenet.clock import Clock
from synapsenet.errors import DataLoss, FailedPrecondition, NotFound, ResourceExhausted
from synapsenet.platform.artifacts import ArtifactStore
from synapsenet.platform.paging import Page, PageRequest
from synapsenet.platform.work import Request, WorkFactory
from synapsenet.registry.aliases import AliasWish, delete_alias, known_alias, set_alias
from synapsenet.registry.events import ArtifactUploaded, ModelClosed, VersionCreated, VersionMoved, VersionUpdated, aggregate
from synapsenet.registry.lookup import closed_model, known_model, known_version
from synapsenet.registry.model import Alias, RegisteredModel, State, Version, VersionArtifact, VersionChange, VersionWish
from synapsenet.registry.moves import Move
from synapsenet.registry.options import RegistryOptions
from synapsenet.registry.ports import Inspector, ModelDirectory, RegistryWork
from synapsenet.registry.signature import Signature
from synapsenet.registry.uploads import Arrival, Upload


class Registry:
    """Numbers versions, takes and gives their artifacts, keeps their states and aliases."""

    def __init__(
        self,
        *,
        work: WorkFactory[RegistryWork],
        models: ModelDirectory,
        artifacts: ArtifactStore,
        inspector: Inspector,
        clock: Clock,
        options: RegistryOptions,
    ) -> None:
        self._work = work
        self._models = models
        self._artifacts = artifacts
        self._inspector = inspector
        self._clock = clock
        self._options = options
        self._uploading = 0

    async def create_version(self, wish: VersionWish, request: Request) -> Version:
        """Register the next version of a model.

        Raises:
            NotFound: MODEL_UNKNOWN.
            AlreadyExists: the request id was used for another wish.
            Unavailable: the models do not answer.
        """
        model = await self._models.find(wish.model, timeout=self._options.models_s)
        now = self._clock.now()

        def make(tx: RegistryWork) -> Version:
            known = tx.models.find(model.id) or RegisteredModel(id=model.id, name=model.name)
            if known.closed:
                raise closed_model(known)
            counted = replace(known, versions=known.versions + 1)
            version = wish.granted(model_id=model.id, model_name=model.name, number=counted.versions, at=now)
            tx.models.put(counted)
            tx.versions.add(version)
            tx.events.append(aggregate(model.id), VersionCreated(version=version))
            return version

        return await self._work.run(lambda tx: tx.once(request, Version, lambda: make(tx)))

    async def version(self, model: str, number: int) -> Version:
        """One version of the model with that id or name.

        Raises:
            NotFound: MODEL_UNKNOWN or VERSION_UNKNOWN.
        """
        await self._ensure_known(model)
        return await self._work.read(lambda tx: known_version(tx, model, number))

    async def versions(self, model: str, states: frozenset[State], page: PageRequest) -> Page[Version]:
        """A model's versions, the newest first; in those states, or in any if there are none.

        Raises:
            NotFound: MODEL_UNKNOWN.
            InvalidArgument: PAGE_TOKEN_INVALID.
        """
        after = page.after
        below = int(after[0]) if after else None
        if not await self._ensure_known(model):
            return Page((), "")
        rows = await self._work.read(
            lambda tx: tx.versions.page(known_model(tx, model).id, states, below=below, limit=page.limit + 1)
        )
        return page.page(rows, lambda version: [version.number])

    async def update_version(self, model: str, number: int, change: VersionChange, request: Request) -> Version:
        """Change what people say about a version.

        Raises:
            NotFound: MODEL_UNKNOWN or VERSION_UNKNOWN.
            Aborted: VERSION_CHANGED, the change is based on an older state.
            AlreadyExists: the request id was used for another change.
        """
        await self._ensure_known(model)
        now = self._clock.now()

        def make(tx: RegistryWork) -> Version:
            version = change.applied(known_version(tx, model, number), now)
            tx.versions.replace(version)
            tx.events.append(aggregate(version.model_id), VersionUpdated(version=version))
            return version

        return await self._work.run(lambda tx: tx.once(request, Version, lambda: make(tx)))

    async def move_version(self, model: str, number: int, move: Move, request: Request) -> Version:
        """Bring a version to another state.

        Raises:
            NotFound: MODEL_UNKNOWN or VERSION_UNKNOWN.
            FailedPrecondition: MOVE_NOT_ALLOWED, ARTIFACT_MISSING or VERSION_HAS_ALIASES.
            Aborted: VERSION_CHANGED, the move is based on an older state.
            AlreadyExists: the request id was used for another move.
        """
        await self._ensure_known(model)
        now = self._clock.now()

        def make(tx: RegistryWork) -> Version:
            old = known_version(tx, model, number)
            new = move.applied(old, now)
            if new is not old:
                tx.versions.replace(new)
                _record_move(tx, old, new, move.reason)
            return new

        return await self._work.run(lambda tx: tx.once(request, Version, lambda: make(tx)))

    async def upload(self, upload: Upload, chunks: AsyncIterator[bytes]) -> Version:
        """Store a version's artifact, checked; a created or training version becomes validating.

        Repeating it changes nothing and does not read `chunks`.

        Raises:
            NotFound: MODEL_UNKNOWN or VERSION_UNKNOWN.
            AlreadyExists: ARTIFACT_UPLOADED, the version has another artifact.
            FailedPrecondition: ARTIFACT_NOT_ACCEPTED, by the version's state.
            InvalidArgument: the bytes are not what was declared: see `Arrival.checked`.
            ResourceExhausted: ARTIFACT_TOO_LARGE, STORAGE_FULL, or UPLOADS_BUSY with the time to come back.
            DeadlineExceeded: UPLOAD_STALLED.
        """
        upload.check_size(self._options.artifact_bytes)
        version = await self.version(upload.model, upload.number)
        if upload.is_done(version):
            return version
        with self._slot():
            inspection = self._inspector.begin(upload.format, size=upload.size)
            arrival = Arrival(upload, inspection, declared=version.signature, pause=self._options.upload_chunk_s)
            await self._artifacts.write(arrival.checked(chunks), limit=upload.size)
        return await self._work.run(lambda tx: self._take(tx, upload, arrival.signature))

    async def download(self, model: str, number: int) -> tuple[VersionArtifact, AsyncIterator[bytes]]:
        """A version's artifact and its bytes, verified as they pass.

        Raises:
            NotFound: MODEL_UNKNOWN or VERSION_UNKNOWN.
            FailedPrecondition: ARTIFACT_MISSING.
            DataLoss: ARTIFACT_CORRUPT, from the iterator before its last chunk; or ARTIFACT_LOST.
        """
        version = await self.version(model, number)
        if version.artifact is None:
            raise FailedPrecondition(
                "ARTIFACT_MISSING",
                f"version {version.title} has no artifact",
                field="version",
                remedy="upload its artifact first",
            )
        return version.artifact, self._stored(version, version.artifact)

    async def set_alias(self, wish: AliasWish, request: Request) -> Alias:
        """Let an alias point to a version.

        Raises:
            NotFound: MODEL_UNKNOWN or VERSION_UNKNOWN.
            FailedPrecondition: VERSION_ARCHIVED.
            Aborted: ALIAS_MOVED, it does not point where the wish expects.
            AlreadyExists: the request id was used for another wish.
        """
        await self._ensure_known(wish.model)
        now = self._clock.now()
        return await self._work.run(lambda tx: tx.once(request, Alias, lambda: set_alias(tx, wish, now)))

    async def alias(self, model: str, name: str) -> Alias:
        """One alias.

        Raises:
            NotFound: MODEL_UNKNOWN or ALIAS_UNKNOWN.
        """
        await self._ensure_known(model)
        return await self._work.read(lambda tx: known_alias(tx, model, name))

    async def aliases(self, model: str, page: PageRequest) -> Page[Alias]:
        """A model's aliases in the order of their names.

        Raises:
            NotFound: MODEL_UNKNOWN.
            InvalidArgument: PAGE_TOKEN_INVALID.
        """
        after = page.after
        start = str(after[0]) if after else ""
        if not await self._ensure_known(model):
            return Page((), "")
        rows = await self._work.read(lambda tx: tx.aliases.page(known_model(tx, model).id, after=start, limit=page.limit + 1))
        return page.page(rows, lambda alias: [alias.name])

    async def delete_alias(self, model: str, name: str) -> None:
        """Remove an alias.

        Raises:
            NotFound: MODEL_UNKNOWN or ALIAS_UNKNOWN.
        """
        await self._ensure_known(model)
        await self._work.run(lambda tx: delete_alias(tx, model, name))

    async def close_model(self, model_id: str) -> None:
        """Take no more versions for a model, for good, because it is being deleted.

        Raises:
            FailedPrecondition: MODEL_HAS_VERSIONS.
        """

        def commit(tx: RegistryWork) -> None:
            known = tx.models.find(model_id) or RegisteredModel(id=model_id, name="")
            if known.versions:
                raise FailedPrecondition(
                    "MODEL_HAS_VERSIONS",
                    f"model {known.name} has versions and cannot be deleted",
                    field="model_id",
                    remedy="keep the model and archive its versions",
                    metadata={"model_id": model_id, "versions": str(known.versions)},
                )
            if not known.closed:
                tx.models.put(replace(known, closed=True))
                tx.events.append(aggregate(model_id), ModelClosed(model_id=model_id))

        await self._work.run(commit)

    async def _ensure_known(self, model: str) -> bool:
        """Whether the registry has versions of the model; False: the model exists without any.

        Raises:
            NotFound: MODEL_UNKNOWN, there is no such model at all.
        """
        known = await self._work.read(lambda tx: tx.models.find(model))
        if known is not None and not known.closed:
            return True
        await self._models.find(model, timeout=self._options.models_s)
        return False

    async def _stored(self, version: Version, artifact: VersionArtifact) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._artifacts.read(artifact.sha256):
                yield chunk
        except NotFound as error:
            raise DataLoss(
                "ARTIFACT_LOST",
                f"the artifact of version {version.title} is no longer in the store",
                remedy="restore the artifact folder from a backup, or create a new version",
                metadata={"sha256": artifact.sha256},
            ) from error

    @contextmanager
    def _slot(self) -> Iterator[None]:
        if self._uploading >= self._options.uploads:
            raise ResourceExhausted(
                "UPLOADS_BUSY", f"{self._uploading} uploads are going on", remedy="retry in a second", retry_after=1.0
            )
        self._uploading += 1
        try:
            yield
        finally:
            self._uploading -= 1

    def _take(self, tx: RegistryWork, upload: Upload, stated: Signature | None) -> Version:
        """Record the stored artifact; the version may have changed while it arrived."""
        now = self._clock.now()
        old = known_version(tx, upload.model, upload.number)
        if upload.is_done(old):
            return old
        artifact = VersionArtifact(format=upload.format, sha256=upload.sha256, size=upload.size, uploaded_at=now)
        new = replace(
            old,
            artifact=artifact,
            signature=old.signature or stated,
            state=State.VALIDATING,
            revision=old.revision + 1,
            updated_at=now,
        )
        tx.versions.replace(new)
        tx.events.append(aggregate(new.model_id), ArtifactUploaded(model_id=new.model_id, number=new.number, artifact=artifact))
        if new.state is not old.state:
            _record_move(tx, old, new, "artifact uploaded")
        return new


def _record_move(tx: RegistryWork, old: Version, new: Version, reason: str) -> None:
    moved = VersionMoved(
        model_id=new.model_id, number=new.number, old=old.state, new=new.state, condition=new.condition, reason=reason
    )
    tx.events.append(aggregate(new.model_id), moved)
