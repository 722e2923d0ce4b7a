"""The use cases of the registry."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from synapsenet.clock import Clock
from synapsenet.errors import Aborted, FailedPrecondition, InvalidArgument, ResourceExhausted, SynapseError
from synapsenet.platform.artifacts import ArtifactStore
from synapsenet.platform.paging import DEFAULT_SIZE, LARGEST_SIZE, Page, PageRequest
from synapsenet.platform.records import decode
from synapsenet.platform.work import Request, WorkFactory
from synapsenet.registry.aliases import AliasWish, delete_alias, known_alias, set_alias
from synapsenet.registry.events import ModelClosed, VersionCreated, VersionUpdated, aggregate
from synapsenet.registry.lifecycle import Lifecycle
from synapsenet.registry.lookup import closed_model, known_model, known_version
from synapsenet.registry.model import Alias, RegisteredModel, State, Version, VersionArtifact, VersionChange, VersionWish
from synapsenet.registry.moves import Asked, Move, begin_move
from synapsenet.registry.options import RegistryOptions
from synapsenet.registry.ports import Inspector, ModelDirectory, RegistryWork
from synapsenet.registry.standing import Standing, name_operation, settle, show
from synapsenet.registry.uploads import Arrival, Upload, not_accepted
from synapsenet.registry.verification import present_artifact, stored

_log = logging.getLogger(__name__)

_ATTEMPTS = 3  # at a wish that others keep overtaking


class Registry:
    """Numbers versions, takes and gives their artifacts, keeps their aliases, and shows where they are in their lives."""

    def __init__(
        self,
        *,
        work: WorkFactory[RegistryWork],
        models: ModelDirectory,
        lifecycle: Lifecycle,
        artifacts: ArtifactStore,
        inspector: Inspector,
        clock: Clock,
        options: RegistryOptions,
    ) -> None:
        self._work = work
        self._models = models
        self._lifecycle = lifecycle
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

        version = await self._work.run(lambda tx: tx.once(request, Version, lambda: make(tx)))
        await self._let_adopt(version)
        return version

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
        """Have the lifecycle's coordinator bring a version to another state.

        Raises:
            NotFound: MODEL_UNKNOWN or VERSION_UNKNOWN.
            FailedPrecondition: MOVE_NOT_ALLOWED, ARTIFACT_MISSING or VERSION_HAS_ALIASES.
            Aborted: VERSION_CHANGED, the move is based on an older state; VERSION_BUSY, an operation is at work on it.
            AlreadyExists: the request id was used for another move.
            Unavailable: the coordinator does not answer.
        """
        await self._ensure_known(model)
        if (earlier := await self._work.read(lambda tx: tx.earlier(request))) is not None:
            return decode(Version, earlier)
        run = self._work.run if request.id else self._work.read
        asked = await run(lambda tx: begin_move(tx, model, number, move, request))
        standing = await self._moved(asked, move)

        def make(tx: RegistryWork) -> Version:
            version = known_version(tx, asked.model_id, number)
            shown = version if standing is None else show(tx, version, standing)
            return shown if move.condition is None else name_operation(tx, shown, move.condition)

        return await self._work.run(lambda tx: tx.once(request, Version, lambda: make(tx)))

    async def keep_standing(self, model_id: str, number: int, standing: Standing) -> None:
        """Show where a version is, as the lifecycle's coordinator says, unless something newer is shown.

        Raises:
            NotFound: VERSION_UNKNOWN.
        """
        await self._work.run(lambda tx: show(tx, known_version(tx, model_id, number), standing))

    async def untold_versions(self, states: frozenset[State], *, limit: int = 0) -> Sequence[Version]:
        """Versions of which no coordinator ever said anything; in those states, or in any if there are none.

        Args:
            limit: how many at most; 0 means 50, more than 1,000 is taken as 1,000.

        Raises:
            InvalidArgument: LIMIT_NEGATIVE.
        """
        if limit < 0:
            raise InvalidArgument("LIMIT_NEGATIVE", "limit is negative", field="limit", remedy="give 0 for 50, or up to 1000")
        most = min(limit or DEFAULT_SIZE, LARGEST_SIZE)
        return await self._work.read(lambda tx: tx.versions.untold(states, limit=most))

    async def upload(self, upload: Upload, chunks: AsyncIterator[bytes]) -> Version:
        """Store a version's artifact, checked, and have the lifecycle's coordinator take it.

        Repeating it changes nothing and does not read `chunks`.

        Raises:
            NotFound: MODEL_UNKNOWN or VERSION_UNKNOWN.
            AlreadyExists: ARTIFACT_UPLOADED, the version has another artifact.
            FailedPrecondition: ARTIFACT_NOT_ACCEPTED, by the version's state.
            InvalidArgument: the bytes are not what was declared: see `Arrival.checked`.
            ResourceExhausted: ARTIFACT_TOO_LARGE, STORAGE_FULL, or UPLOADS_BUSY with the time to come back.
            DeadlineExceeded: UPLOAD_STALLED.
            Unavailable: the coordinator does not answer; repeating the upload goes on from there.
        """
        upload.check_size(self._options.artifact_bytes)
        version = await self.version(upload.model, upload.number)
        if not upload.is_done(version):
            version = await self._arrived(upload, version, chunks)
        return await self._taken(version) if version.offered else version

    async def download(self, model: str, number: int) -> tuple[VersionArtifact, AsyncIterator[bytes]]:
        """A version's artifact and its bytes, verified as they pass.

        Raises:
            NotFound: MODEL_UNKNOWN or VERSION_UNKNOWN.
            FailedPrecondition: ARTIFACT_MISSING.
            DataLoss: ARTIFACT_CORRUPT, from the iterator before its last chunk; or ARTIFACT_LOST.
        """
        version = await self.version(model, number)
        artifact = present_artifact(version)
        return artifact, stored(self._artifacts, version, artifact)

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

    async def _arrived(self, upload: Upload, version: Version, chunks: AsyncIterator[bytes]) -> Version:
        """The version with the artifact that came; it may have changed meanwhile."""
        timeout = self._options.lifecycle_s
        if not await self._lifecycle.accepts_artifact(version.model_id, version.number, timeout=timeout):
            raise not_accepted(version)
        with self._slot():
            inspection = self._inspector.begin(upload.format, size=upload.size)
            arrival = Arrival(upload, inspection, declared=version.signature, pause=self._options.upload_chunk_s)
            await self._artifacts.write(arrival.checked(chunks), limit=upload.size)

        def offer(tx: RegistryWork) -> Version:
            old = known_version(tx, upload.model, upload.number)
            if upload.is_done(old):
                return old
            new = upload.offered(old, stated=arrival.signature, at=self._clock.now())
            tx.versions.replace(new)
            return new

        return await self._work.run(offer)

    async def _taken(self, version: Version) -> Version:
        """The version once the coordinator has taken its artifact."""
        model_id, number, sha256 = version.model_id, version.number, present_artifact(version).sha256

        async def ask() -> Standing | None:
            return await self._lifecycle.take_artifact(model_id, number, sha256, timeout=self._options.lifecycle_s)

        try:
            standing = await _again_if_changed(ask)
        except FailedPrecondition as refusal:
            if refusal.reason != "TRANSITION_NOT_ALLOWED":
                raise
            late = await self._work.run(lambda tx: settle(tx, known_version(tx, model_id, number), self._clock.now()))
            raise not_accepted(late) from refusal

        def keep(tx: RegistryWork) -> Version:
            current = known_version(tx, model_id, number)
            shown = current if standing is None else show(tx, current, standing)
            return settle(tx, shown, self._clock.now())

        return await self._work.run(keep)

    async def _moved(self, asked: Asked, move: Move) -> Standing | None:
        async def ask() -> Standing | None:
            return await self._lifecycle.move(asked, move, timeout=self._options.move_s)

        if not move.etag:
            return await _again_if_changed(ask)
        try:
            return await ask()
        except Aborted as error:
            if error.reason != "VERSION_CHANGED":
                raise
            version = await self._work.read(lambda tx: known_version(tx, asked.model_id, asked.number))
            raise version.changed_since(move.etag) from error

    async def _let_adopt(self, version: Version) -> None:
        """Let the coordinator hear of a new version; should it be away, it asks when it hears of it otherwise."""
        try:
            standing = await self._lifecycle.adopt(version.model_id, version.number, timeout=self._options.adoption_s)
            if standing is not None:
                await self.keep_standing(version.model_id, version.number, standing)
        except SynapseError as error:
            _log.info("version %s is not yet known to the lifecycle's coordinator: %s", version.title, error.public)


async def _again_if_changed(ask: Callable[[], Awaitable[Standing | None]]) -> Standing | None:
    """What `ask` gives; a wish that is based on nothing is as good on what the version is now."""
    for _ in range(_ATTEMPTS - 1):
        try:
            return await ask()
        except Aborted as error:
            if error.reason != "VERSION_CHANGED":
                raise
    return await ask()
