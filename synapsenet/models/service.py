"""The use cases of models."""

from __future__ import annotations

from synapsenet.clock import Clock
from synapsenet.errors import AlreadyExists, NotFound
from synapsenet.ids import IdSource
from synapsenet.models.events import ModelCreated, ModelDeleted, ModelUpdated, aggregate
from synapsenet.models.model import Model, ModelChange, ModelQuery, ModelWish
from synapsenet.models.options import ModelsOptions
from synapsenet.models.ports import ModelsWork, VersionRegistry
from synapsenet.platform.paging import Page, PageRequest
from synapsenet.platform.work import Request, WorkFactory


class ModelCatalogue:
    """Creates, finds, changes and deletes models."""

    def __init__(
        self, *, work: WorkFactory[ModelsWork], registry: VersionRegistry, clock: Clock, ids: IdSource, options: ModelsOptions
    ) -> None:
        self._work = work
        self._registry = registry
        self._clock = clock
        self._ids = ids
        self._options = options

    async def create(self, wish: ModelWish, request: Request) -> Model:
        """Let the model exist.

        Raises:
            AlreadyExists: MODEL_NAME_TAKEN, or the request id was used for another wish.
        """
        model = wish.granted(model_id=self._ids.next(), at=self._clock.now())

        def commit(tx: ModelsWork) -> Model:
            return tx.once(request, Model, lambda: _add(tx, model))

        return await self._work.run(commit)

    async def model(self, reference: str) -> Model:
        """The model of an id or a name.

        Raises:
            NotFound: MODEL_UNKNOWN.
        """
        return await self._work.read(lambda tx: _known(tx, reference))

    async def models(self, query: ModelQuery, page: PageRequest) -> Page[Model]:
        """Models in the order of their names.

        Raises:
            InvalidArgument: PAGE_TOKEN_INVALID.
        """
        after = page.after
        start = str(after[0]) if after else ""
        rows = await self._work.read(lambda tx: tx.models.page(query, after=start, limit=page.limit + 1))
        return page.page(rows, lambda model: [model.name])

    async def update(self, reference: str, change: ModelChange, request: Request) -> Model:
        """Change the model.

        Raises:
            NotFound: MODEL_UNKNOWN.
            Aborted: MODEL_CHANGED, the change is based on an older state.
            AlreadyExists: the request id was used for another change.
        """
        now = self._clock.now()

        def make(tx: ModelsWork) -> Model:
            model = change.applied(_known(tx, reference), now)
            tx.models.replace(model)
            tx.events.append(aggregate(model.id), ModelUpdated(model=model))
            return model

        return await self._work.run(lambda tx: tx.once(request, Model, lambda: make(tx)))

    async def delete(self, reference: str, *, etag: str) -> None:
        """Delete a model that has no versions.

        The registry closes the model first, for good: a version created meanwhile is found there, or refused there. A
        deletion that dies in between is finished by repeating it.

        Raises:
            NotFound: MODEL_UNKNOWN.
            Aborted: MODEL_CHANGED, `etag` is given and no longer the model's.
            FailedPrecondition: MODEL_HAS_VERSIONS.
            Unavailable: the registry does not answer.
        """
        model = await self.model(reference)
        model.expect(etag)
        await self._registry.close(model.id, timeout=self._options.registry_s)

        def commit(tx: ModelsWork) -> None:
            present = tx.models.find(model.id)
            if present is not None:
                tx.models.remove(present.id)
                tx.events.append(aggregate(present.id), ModelDeleted(model=present))

        await self._work.run(commit)


def _add(tx: ModelsWork, model: Model) -> Model:
    if (taken := tx.models.find(model.name)) is not None:
        raise AlreadyExists(
            "MODEL_NAME_TAKEN",
            f"a model named {model.name} exists already",
            field="name",
            remedy="choose another name, or use that model",
            metadata={"model_id": taken.id},
        )
    tx.models.add(model)
    tx.events.append(aggregate(model.id), ModelCreated(model=model))
    return model


def _known(tx: ModelsWork, reference: str) -> Model:
    if (model := tx.models.find(reference)) is None:
        raise NotFound(
            "MODEL_UNKNOWN",
            f"there is no model {reference}",
            field="model_id",
            remedy="list the models for the ids and names that there are",
            metadata={"model_id": reference},
        )
    return model
