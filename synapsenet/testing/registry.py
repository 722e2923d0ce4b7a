"""What every adapter of the registry's records promises, and pieces to build versions from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from synapsenet.errors import NotFound
from synapsenet.platform.work import WorkFactory
from synapsenet.registry.model import (
    Alias,
    Condition,
    Format,
    RegisteredModel,
    Source,
    State,
    Version,
    VersionArtifact,
    VersionWish,
)
from synapsenet.registry.ports import ModelDirectory, ModelIdentity, RegistryWork
from synapsenet.registry.signature import FREE, ElementType, Signature, TensorSpec
from synapsenet.testing.clock import NOON

DIGITS = ModelIdentity(id="mdl-digits", name="digits")
OTHER = ModelIdentity(id="mdl-other", name="other")

SIGNATURE = Signature(
    inputs=(TensorSpec(name="pixels", element_type=ElementType.FLOAT32, shape=(FREE, 64)),),
    outputs=(TensorSpec(name="label", element_type=ElementType.INT64, shape=None),),
)


class KnownModels(ModelDirectory):
    """The models that exist."""

    def __init__(self, *models: ModelIdentity) -> None:
        self._models = models

    async def find(self, reference: str, *, timeout: float) -> ModelIdentity:
        for model in self._models:
            if reference in (model.id, model.name):
                return model
        raise NotFound("MODEL_UNKNOWN", field="model_id", metadata={"model_id": reference})


def version(number: int = 1, *, model: ModelIdentity = DIGITS, state: State = State.CREATED) -> Version:
    """A version about which nothing more is said."""
    wish = VersionWish(model=model.id)
    return replace(wish.granted(model_id=model.id, model_name=model.name, number=number, at=NOON), state=state)


def artifact(sha256: str = "ab" * 32) -> VersionArtifact:
    return VersionArtifact(format=Format.ONNX, sha256=sha256, size=3 << 31, uploaded_at=NOON)


def full_version() -> Version:
    """A version about which everything is said."""
    return replace(
        version(state=State.SERVING),
        condition=Condition(reason="RELOAD_FAILED", message="no memory", operation_id="op-1", needs_attention=True, since=NOON),
        description="reads digits",
        source=Source(run_id="run-1", job_id="job-1", training_set_id="set-1", reference="commit 5f0c"),
        signature=SIGNATURE,
        metrics={"accuracy": 0.97, "loss": 1e-300},
        labels={"stage": "trial"},
        artifact=artifact(),
        revision=7,
        updated_at=NOON + timedelta(microseconds=1),
    )


def keep(tx: RegistryWork, *versions: Version) -> None:
    """Keep the versions with the models that they are of."""
    for each in versions:
        known = tx.models.find(each.model_id)
        count = max(each.number, known.versions if known else 0)
        tx.models.put(RegisteredModel(id=each.model_id, name=each.model_name, versions=count))
        tx.versions.add(each)


class RegistryRecordsContract:
    """Run over every adapter by a class that provides the fixture `work`."""

    async def numbers(
        self, work: WorkFactory[RegistryWork], *states: State, below: int | None = None, limit: int = 10
    ) -> Sequence[int]:
        found = await work.read(lambda tx: tx.versions.page(DIGITS.id, frozenset(states), below=below, limit=limit))
        return [each.number for each in found]

    async def test_a_version_is_found_whole(self, work: WorkFactory[RegistryWork]) -> None:
        for each in (version(2), full_version()):
            await work.run(lambda tx, each=each: keep(tx, each))  # type: ignore[misc]  # mypy infers no default argument
            assert await work.read(lambda tx, each=each: tx.versions.find(DIGITS.id, each.number)) == each  # type: ignore[misc]  # as above
        assert await work.read(lambda tx: tx.versions.find(DIGITS.id, 3)) is None

    async def test_a_replaced_version_is_read_as_it_is_now(self, work: WorkFactory[RegistryWork]) -> None:
        await work.run(lambda tx: keep(tx, version(1), version(2)))
        await work.run(lambda tx: tx.versions.replace(full_version()))
        assert await work.read(lambda tx: tx.versions.find(DIGITS.id, 1)) == full_version()
        await work.run(lambda tx: tx.versions.replace(version(1)))
        assert await work.read(lambda tx: tx.versions.find(DIGITS.id, 1)) == version(1)
        assert await work.read(lambda tx: tx.versions.find(DIGITS.id, 2)) == version(2)

    async def test_versions_are_listed_from_the_newest_on(self, work: WorkFactory[RegistryWork]) -> None:
        await work.run(lambda tx: keep(tx, *(version(number) for number in range(1, 13)), version(1, model=OTHER)))
        assert await self.numbers(work, limit=3) == [12, 11, 10]
        assert await self.numbers(work, below=10, limit=2) == [9, 8]

    async def test_states_select_their_versions(self, work: WorkFactory[RegistryWork]) -> None:
        states = [State.CREATED, State.SERVING, State.ARCHIVED, State.SERVING]
        await work.run(lambda tx: keep(tx, *(version(at, state=state) for at, state in enumerate(states, start=1))))
        assert await self.numbers(work, State.SERVING, State.CREATED) == [4, 2, 1]

    async def test_versions_are_found_of_which_no_coordinator_said_anything(self, work: WorkFactory[RegistryWork]) -> None:
        told = replace(version(3, state=State.DEPLOYING), sequence=7)
        left = [version(2, state=State.DEPLOYING), version(1, model=OTHER, state=State.DEPLOYING), version(1)]
        await work.run(lambda tx: keep(tx, told, *left))

        async def untold(*states: State, limit: int = 10) -> list[tuple[str, int]]:
            found = await work.read(lambda tx: tx.versions.untold(frozenset(states), limit=limit))
            return [(one.model_id, one.number) for one in found]

        assert await untold(State.DEPLOYING) == [(DIGITS.id, 2), (OTHER.id, 1)]
        assert await untold(State.DEPLOYING, limit=1) == [(DIGITS.id, 2)]
        assert await untold() == [(DIGITS.id, 1), (DIGITS.id, 2), (OTHER.id, 1)]

    async def test_whatever_is_read_carries_its_aliases_in_order(self, work: WorkFactory[RegistryWork]) -> None:
        def commit(tx: RegistryWork) -> None:
            keep(tx, version(1), version(2), version(1, model=OTHER))
            for name, number in (("b", 1), ("a", 1), ("c", 2)):
                tx.aliases.put(Alias(model_id=DIGITS.id, name=name, number=number, updated_at=NOON))

        await work.run(commit)
        found = await work.read(lambda tx: tx.versions.page(DIGITS.id, frozenset(), below=None, limit=9))
        assert [each.aliases for each in found] == [("c",), ("a", "b")]
        other = await work.read(lambda tx: tx.versions.find(OTHER.id, 1))
        assert other is not None
        assert other.aliases == ()

    async def test_an_alias_moves_and_goes(self, work: WorkFactory[RegistryWork]) -> None:
        await work.run(lambda tx: keep(tx, version(1), version(2)))
        for number in (1, 2):
            alias = Alias(model_id=DIGITS.id, name="champion", number=number, updated_at=NOON)
            await work.run(lambda tx, alias=alias: tx.aliases.put(alias))  # type: ignore[misc]  # mypy infers no default argument
            assert await work.read(lambda tx: tx.aliases.find(DIGITS.id, "champion")) == alias
        for _ in range(2):
            await work.run(lambda tx: tx.aliases.remove(DIGITS.id, "champion"))
        assert await work.read(lambda tx: tx.aliases.find(DIGITS.id, "champion")) is None

    async def test_aliases_are_listed_by_name_from_after_a_name(self, work: WorkFactory[RegistryWork]) -> None:
        def commit(tx: RegistryWork) -> None:
            keep(tx, version(1))
            for name in "dbca":
                tx.aliases.put(Alias(model_id=DIGITS.id, name=name, number=1, updated_at=NOON))

        await work.run(commit)
        found = await work.read(lambda tx: tx.aliases.page(DIGITS.id, after="a", limit=2))
        assert [alias.name for alias in found] == ["b", "c"]

    async def test_a_model_is_found_by_name_until_it_is_closed_and_by_id_always(self, work: WorkFactory[RegistryWork]) -> None:
        model = RegisteredModel(id=DIGITS.id, name=DIGITS.name, versions=3)
        await work.run(lambda tx: tx.models.put(model))
        assert await work.read(lambda tx: tx.models.find("digits")) == model
        closed = replace(model, closed=True)
        successor = RegisteredModel(id="mdl-next", name="digits")
        await work.run(lambda tx: tx.models.put(closed))
        assert await work.read(lambda tx: tx.models.find("digits")) is None
        await work.run(lambda tx: tx.models.put(successor))
        assert await work.read(lambda tx: tx.models.find("digits")) == successor
        assert await work.read(lambda tx: tx.models.find(DIGITS.id)) == closed
