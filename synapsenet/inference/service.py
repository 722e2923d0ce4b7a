"""Inference: what callers, operators and the public protocol ask of deployed models."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from synapsenet.clock import Clock
from synapsenet.errors import FailedPrecondition, InvalidArgument, SynapseError, Unavailable
from synapsenet.inference.availability import refuse_priority
from synapsenet.inference.batching import Answer
from synapsenet.inference.deploying import deployment_unknown
from synapsenet.inference.following import Follower
from synapsenet.inference.model import CHANGES, Deployment, DeploymentState, VersionKey
from synapsenet.inference.options import InferenceOptions
from synapsenet.inference.ports import InferenceWork, Registry
from synapsenet.inference.residency import Residency
from synapsenet.inference.residents import Resident, Residents
from synapsenet.inference.streaming import answer_each
from synapsenet.inference.tensors import Tensor, check_inputs, check_outputs, travelling
from synapsenet.platform.events import Event, EventFeed
from synapsenet.platform.paging import Page, PageRequest
from synapsenet.platform.work import WorkFactory

_CHANGES = frozenset(kind.__name__ for kind in CHANGES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Selector:
    """Which model version answers: `model` is an id or a name; without version and alias the one whose turn it is."""

    model: str
    version: int | None = None
    alias: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """The outputs of one request, and how it came by them (seconds)."""

    deployment: Deployment
    outputs: tuple[Tensor, ...]
    queue_s: float
    compute_s: float
    batch_rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamItem:
    """One item of a stream; `timeout` in seconds from its arrival."""

    id: str
    inputs: tuple[Tensor, ...]
    timeout: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamResult:
    """What became of an item: a prediction, or why not."""

    id: str
    outcome: Prediction | SynapseError


class PredictionStream:
    """A stream of items to one model version.

    Attributes:
        credits: items that may be unanswered.
    """

    def __init__(
        self, inference: Inference, deployment: Deployment, output_names: Sequence[str], *, granted: int, ordered: bool
    ) -> None:
        self._inference = inference
        self._output_names = output_names
        self._ordered = ordered
        self._unanswered: set[str] = set()
        self.deployment = deployment
        self.credits = granted

    async def answers(self, items: AsyncIterator[StreamItem]) -> AsyncIterator[StreamResult]:
        """The results of all `items`, each with its own outcome."""
        answers = answer_each(items, self._answer, unanswered=self.credits, ordered=self._ordered)
        async for result in answers:
            yield result

    async def _answer(self, item: StreamItem) -> StreamResult:
        if item.id in self._unanswered:
            twice = InvalidArgument(
                "ITEM_ID_TWICE", f"item {item.id!r} is unanswered yet", field="item.id", remedy="give each item its own id"
            )
            return StreamResult(id=item.id, outcome=twice)
        self._unanswered.add(item.id)
        try:
            key = self.deployment.key
            selector = Selector(model=key.model_id, version=key.version)
            outcome = await self._inference.predict(selector, item.inputs, self._output_names, timeout=item.timeout)
            return StreamResult(id=item.id, outcome=outcome)
        except SynapseError as error:
            return StreamResult(id=item.id, outcome=error)
        finally:
            self._unanswered.discard(item.id)


class Inference:
    """Predictions from deployed models, and the deployments themselves."""

    def __init__(
        self,
        *,
        work: WorkFactory[InferenceWork],
        feed: EventFeed,
        registry: Registry,
        follower: Follower,
        residency: Residency,
        residents: Residents,
        clock: Clock,
        options: InferenceOptions,
    ) -> None:
        self._work = work
        self._feed = feed
        self._registry = registry
        self._follower = follower
        self._residency = residency
        self._residents = residents
        self._clock = clock
        self._options = options

    @property
    def ready(self) -> bool:
        """Every deployment of an earlier run was loaded, or failed to be."""
        return self._residency.restored

    def require_ready(self) -> None:
        """Pass if `ready`.

        Raises:
            Unavailable: MODELS_LOADING.
        """
        if not self.ready:
            raise Unavailable("MODELS_LOADING", "deployed models are being loaded", remedy="retry", retry_after=1.0)

    async def predict(
        self,
        selector: Selector,
        tensors: Sequence[Tensor],
        output_names: Sequence[str] = (),
        *,
        timeout: float | None = None,
        priority: int = 0,
    ) -> Prediction:
        """What the model gives for `tensors`, which are checked against it before they wait; `timeout` in seconds.

        Raises:
            NotYetAvailable: a priority is given.
            NotFound: there is no such model, version or alias.
            FailedPrecondition: MODEL_NOT_DEPLOYED.
            Unavailable: MODEL_LOADING or MODEL_RELOAD_FAILED.
            InvalidArgument: as `check_inputs` and `check_outputs`; MODEL_FAILED.
            ResourceExhausted, DeadlineExceeded: as `Batcher.answer`.
        """
        refuse_priority(priority, field="priority")
        deployment, resident = await self.choose(selector)
        inputs = check_inputs(resident.signature, tensors, max_rows=self._options.max_request_rows)
        places = check_outputs(resident.signature, output_names)
        async with self._leased(resident):
            answer = await resident.batcher.answer(inputs, timeout=timeout)
        return _prediction(deployment, resident, answer, places)

    async def open_stream(
        self,
        selector: Selector,
        output_names: Sequence[str] = (),
        *,
        wanted_credits: int = 0,
        ordered: bool = False,
        priority: int = 0,
    ) -> PredictionStream:
        """A stream to the version that `selector` means now.

        Raises:
            NotFound, FailedPrecondition, Unavailable: as `predict`.
            InvalidArgument: OUTPUT_UNKNOWN, or CREDITS_NEGATIVE.
        """
        refuse_priority(priority, field="start.priority")
        if wanted_credits < 0:
            raise InvalidArgument("CREDITS_NEGATIVE", field="start.wanted_credits", remedy="give 0 for the server's choice")
        deployment, resident = await self.choose(selector)
        check_outputs(resident.signature, output_names, field="start.output_names")
        granted = min(wanted_credits or self._options.stream_credits, self._options.stream_credits)
        return PredictionStream(self, deployment, output_names, granted=granted, ordered=ordered)

    async def choose(self, selector: Selector) -> tuple[Deployment, Resident]:
        """The loaded model that `selector` means.

        Raises:
            NotFound, FailedPrecondition, Unavailable: as `predict`.
        """
        version = selector.version
        if selector.alias:
            version = await self._registry.resolve(selector.model, selector.alias)
        if (chosen := self._here(selector.model, version)) is not None:
            return chosen
        await self._follower.hear(selector.model)
        if (chosen := self._residents.choose(selector.model, version)) is not None:
            return chosen
        await self._require_known(selector.model, version)
        asked = selector.model if version is None else f"{selector.model} version {version}"
        raise FailedPrecondition(
            "MODEL_NOT_DEPLOYED",
            f"model {asked} is not deployed",
            remedy="deploy it, or ask for a version that is",
            metadata={"model": selector.model},
        )

    def deployment(self, model: str, version: int) -> Deployment:
        """The deployment of a version as it stands here; `model` is an id or a name.

        Raises:
            NotFound: DEPLOYMENT_UNKNOWN.
        """
        key = self._residents.key(model, version)
        if key is None or (found := self._residents.deployment(key)) is None:
            raise deployment_unknown(model, version)
        return found

    def share(self, deployment: Deployment) -> float:
        """The fraction of the requests that name no version which `deployment` gets, 0 to 1."""
        return self._residents.share(deployment)

    async def model_ready(self, selector: Selector) -> bool:
        """Whether what `selector` means would be predicted from now.

        Raises:
            NotFound: there is no such model or version.
        """
        try:
            await self.choose(selector)
        except (FailedPrecondition, Unavailable):
            return False
        return True

    async def deployments(self, page: PageRequest, *, model_id: str = "") -> Page[Deployment]:
        """A page of deployments, ordered by model id and version."""
        return await self._work.read(lambda tx: tx.deployments.page(page, model_id=model_id))

    async def watch(self, *, after: int) -> AsyncIterator[Event]:
        """Changes of deployments with positions above `after`.

        Raises:
            OutOfRange: EVENTS_TRIMMED.
        """
        async for event in self._feed.watch(after=after):
            if event.type in _CHANGES:
                yield event

    def loaded(self, page: PageRequest) -> Page[tuple[Deployment, Resident | None]]:
        """A page of what is deployed here with what of it is in memory, ordered by model id and version."""
        after = None if page.after is None else VersionKey(*page.after)
        rows = [one for one in self._residents if after is None or one[0].key > after]
        return page.page(rows[: page.limit + 1], key=lambda one: (one[0].key.model_id, one[0].key.version))

    def versions(self, model: str) -> list[VersionKey]:
        """The deployed versions of the model with that id or name."""
        return [one.key for one, _ in self._residents if model in (one.key.model_id, one.model_name)]

    def standing(self, *, serving_only: bool) -> list[Deployment]:
        """The deployments, ordered by model id and version."""
        return [one for one, _ in self._residents if one.state is DeploymentState.SERVING or not serving_only]

    def _here(self, model: str, version: int | None) -> tuple[Deployment, Resident] | None:
        """What answers, if it is in memory; None also for what another replica deployed and is being loaded here too."""
        try:
            return self._residents.choose(model, version)
        except Unavailable:
            if not self._follower.is_following(model):
                raise
            return None

    async def _require_known(self, model: str, version: int | None) -> None:
        if version is None:
            await self._registry.require(model)
        else:
            await self._registry.find(model, version)

    @asynccontextmanager
    async def _leased(self, resident: Resident) -> AsyncIterator[None]:
        resident.leases += 1
        resident.last_used_at = self._clock.now()
        try:
            yield
        finally:
            resident.leases -= 1


def _prediction(deployment: Deployment, resident: Resident, answer: Answer, places: Sequence[int]) -> Prediction:
    specs = resident.signature.outputs
    return Prediction(
        deployment=deployment,
        outputs=tuple(travelling(specs[place], answer.outputs[place]) for place in places),
        queue_s=answer.queue_s,
        compute_s=answer.compute_s,
        batch_rows=answer.batch_rows,
    )
