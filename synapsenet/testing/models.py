"""What every adapter of the models' records promises, and what the catalogue does with them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from synapsenet.errors import Aborted, AlreadyExists, FailedPrecondition, InvalidArgument, NotFound, Unavailable
from synapsenet.ids import SeededIds
from synapsenet.models.model import ID_KIND, Model, ModelChange, ModelQuery, ModelWish, Task
from synapsenet.models.options import ModelsOptions
from synapsenet.models.ports import ModelsWork, VersionRegistry
from synapsenet.models.service import ModelCatalogue
from synapsenet.platform.paging import PageRequest
from synapsenet.platform.work import ANONYMOUS, Request, WorkFactory
from synapsenet.testing.clock import NOON, FakeClock

ALL = ModelQuery()


def model(name: str, *, task: Task = Task.CLASSIFICATION) -> Model:
    wish = ModelWish(name=name, description="reads digits", labels={"team": "vision"}, task=task)
    return wish.granted(model_id=f"{ID_KIND}-{name}", at=NOON)


class ModelsContract:
    """Run over every adapter by a class that provides the fixture `work`."""

    async def add(self, work: WorkFactory[ModelsWork], *models: Model) -> None:
        def commit(tx: ModelsWork) -> None:
            for each in models:
                tx.models.add(each)

        await work.run(commit)

    async def names(self, work: WorkFactory[ModelsWork], query: ModelQuery, after: str = "", limit: int = 10) -> list[str]:
        return [found.name for found in await work.read(lambda tx: tx.models.page(query, after=after, limit=limit))]

    async def test_a_model_is_found_whole_by_its_id_and_by_its_name(self, work: WorkFactory[ModelsWork]) -> None:
        digits = model("digits")
        await self.add(work, digits)
        assert await work.read(lambda tx: tx.models.find(digits.id)) == digits
        assert await work.read(lambda tx: tx.models.find("digits")) == digits
        assert await work.read(lambda tx: tx.models.find("Digits")) is None

    async def test_a_replaced_model_is_read_as_it_is_now(self, work: WorkFactory[ModelsWork]) -> None:
        await self.add(work, model("digits"), model("other"))
        changed = replace(model("digits"), description="new", labels={}, task=Task.OTHER, revision=2)
        await work.run(lambda tx: tx.models.replace(changed))
        assert await work.read(lambda tx: tx.models.find("digits")) == changed
        assert await work.read(lambda tx: tx.models.find("other")) == model("other")

    async def test_a_removed_model_is_gone_and_removing_it_again_is_silent(self, work: WorkFactory[ModelsWork]) -> None:
        await self.add(work, model("digits"))
        for _ in range(2):
            await work.run(lambda tx: tx.models.remove("mdl-digits"))
        assert await work.read(lambda tx: tx.models.find("digits")) is None

    async def test_models_are_listed_by_name_from_after_a_name(self, work: WorkFactory[ModelsWork]) -> None:
        await self.add(work, *(model(name) for name in ("b", "d", "a", "c")))
        assert await self.names(work, ALL, after="a", limit=2) == ["b", "c"]

    async def test_a_prefix_matches_case_and_no_wildcard(self, work: WorkFactory[ModelsWork]) -> None:
        await self.add(work, *(model(name) for name in ("a_b", "aXb", "A_b", "ba_b")))
        assert await self.names(work, ModelQuery(prefix="a_")) == ["a_b"]

    async def test_a_task_selects_its_models(self, work: WorkFactory[ModelsWork]) -> None:
        await self.add(work, model("a"), model("b", task=Task.RANKING))
        assert await self.names(work, ModelQuery(task=Task.RANKING)) == ["b"]


class KnownVersions(VersionRegistry):
    """A registry in which some models have versions; others it closes."""

    def __init__(self, *with_versions: str) -> None:
        self.with_versions = set(with_versions)
        self.closed: list[str] = []
        self.away = False

    async def close(self, model_id: str, *, timeout: float) -> None:
        if self.away:
            raise Unavailable("PEER_UNAVAILABLE")
        if model_id in self.with_versions:
            raise FailedPrecondition("MODEL_HAS_VERSIONS", field="model_id")
        self.closed.append(model_id)


def catalogue(work: WorkFactory[ModelsWork], registry: VersionRegistry, clock: FakeClock) -> ModelCatalogue:
    return ModelCatalogue(work=work, registry=registry, clock=clock, ids=SeededIds(ID_KIND, 1), options=ModelsOptions())


class ModelCatalogueContract:
    """The use cases; run by a class that provides the fixtures `work`, `registry` and `clock`."""

    @pytest.fixture
    def models(self, work: WorkFactory[ModelsWork], registry: KnownVersions, clock: FakeClock) -> ModelCatalogue:
        return catalogue(work, registry, clock)

    async def test_a_created_model_is_there(self, models: ModelCatalogue) -> None:
        created = await models.create(ModelWish(name="digits", labels={"a": "b"}), ANONYMOUS)
        assert (created.created_at, created.updated_at, created.etag) == (NOON, NOON, "r1")
        assert await models.model("digits") == await models.model(created.id) == created

    async def test_a_name_is_given_once_and_the_refusal_names_who_has_it(self, models: ModelCatalogue) -> None:
        created = await models.create(ModelWish(name="digits"), ANONYMOUS)
        with pytest.raises(AlreadyExists) as refusal:
            await models.create(ModelWish(name="digits"), ANONYMOUS)
        assert (refusal.value.reason, refusal.value.metadata) == ("MODEL_NAME_TAKEN", {"model_id": created.id})

    async def test_a_retried_creation_answers_as_the_first_time(self, models: ModelCatalogue) -> None:
        request = Request("r", b"digest")
        first = await models.create(ModelWish(name="digits"), request)
        assert await models.create(ModelWish(name="digits"), request) == first
        with pytest.raises(AlreadyExists) as refusal:
            await models.create(ModelWish(name="other"), Request("r", b"another"))
        assert refusal.value.reason == "REQUEST_ID_REUSED"

    async def test_an_update_changes_only_what_it_names(self, models: ModelCatalogue, clock: FakeClock) -> None:
        created = await models.create(ModelWish(name="digits", description="old", labels={"a": "b"}), ANONYMOUS)
        await clock.advance(60)
        changed = await models.update("digits", ModelChange(description="new", etag=created.etag), ANONYMOUS)
        assert (changed.description, changed.labels, changed.etag) == ("new", {"a": "b"}, "r2")
        assert (changed.created_at, changed.updated_at) == (NOON, clock.now())

    async def test_an_update_based_on_an_older_state_is_refused(self, models: ModelCatalogue) -> None:
        created = await models.create(ModelWish(name="digits"), ANONYMOUS)
        await models.update("digits", ModelChange(description="one"), ANONYMOUS)
        with pytest.raises(Aborted) as refusal:
            await models.update("digits", ModelChange(description="two", etag=created.etag), ANONYMOUS)
        assert (refusal.value.reason, refusal.value.metadata["etag"]) == ("MODEL_CHANGED", "r2")
        assert (await models.model("digits")).description == "one"

    async def test_pages_join_into_the_whole_list(self, models: ModelCatalogue) -> None:
        for name in "edcba":
            await models.create(ModelWish(name=name), ANONYMOUS)
        seen, token = [], ""
        for _ in range(3):
            page = await models.models(ALL, PageRequest(2, token, "q"))
            seen += [found.name for found in page.items]
            token = page.next_token
        assert (seen, token) == (list("abcde"), "")

    async def test_a_token_of_another_query_is_refused(self, models: ModelCatalogue) -> None:
        for name in "ab":
            await models.create(ModelWish(name=name), ANONYMOUS)
        token = (await models.models(ALL, PageRequest(1, "", "one"))).next_token
        with pytest.raises(InvalidArgument) as refusal:
            await models.models(ALL, PageRequest(1, token, "other"))
        assert refusal.value.reason == "PAGE_TOKEN_INVALID"

    async def test_a_deleted_model_is_closed_in_the_registry_and_frees_its_name(
        self, models: ModelCatalogue, registry: KnownVersions
    ) -> None:
        created = await models.create(ModelWish(name="digits"), ANONYMOUS)
        await models.delete("digits", etag=created.etag)
        assert registry.closed == [created.id]
        with pytest.raises(NotFound) as refusal:
            await models.model("digits")
        assert (refusal.value.reason, refusal.value.metadata) == ("MODEL_UNKNOWN", {"model_id": "digits"})
        assert (await models.create(ModelWish(name="digits"), ANONYMOUS)).id != created.id

    async def test_a_model_with_versions_stays(self, models: ModelCatalogue, registry: KnownVersions) -> None:
        created = await models.create(ModelWish(name="digits"), ANONYMOUS)
        registry.with_versions.add(created.id)
        with pytest.raises(FailedPrecondition):
            await models.delete(created.id, etag="")
        assert await models.model("digits") == created

    async def test_a_deletion_that_the_registry_did_not_hear_is_finished_by_repeating_it(
        self, models: ModelCatalogue, registry: KnownVersions
    ) -> None:
        created = await models.create(ModelWish(name="digits"), ANONYMOUS)
        registry.away = True
        with pytest.raises(Unavailable):
            await models.delete("digits", etag="")
        assert await models.model("digits") == created
        registry.away = False
        await models.delete("digits", etag="")
        assert registry.closed == [created.id]
