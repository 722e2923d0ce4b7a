"""What the coordinator asks of the world: its records, what the registry knows, and those who carry out steps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from synapsenet.lifecycle.guards import VersionFacts
from synapsenet.lifecycle.model import Json, Operation, OperationState, Transition, VersionStatus
from synapsenet.lifecycle.report import ValidationReport
from synapsenet.platform.work import UnitOfWork


class Versions(ABC):
    """The versions that the coordinator knows, inside one unit of work."""

    @abstractmethod
    def find(self, model_id: str, version: int) -> VersionStatus | None: ...

    @abstractmethod
    def of(self, model_id: str) -> Sequence[VersionStatus]:
        """All of a model, ordered by number."""

    @abstractmethod
    def add(self, status: VersionStatus) -> None: ...

    @abstractmethod
    def replace(self, status: VersionStatus, *, sequence: int) -> bool:
        """Keep `status` if the one that is kept still has the number `sequence`; whether it had (compare and set)."""

    @abstractmethod
    def overdue(self, state: str, *, before: datetime, limit: int) -> Sequence[VersionStatus]:
        """Versions that entered `state` before then and that no operation is at work on, the oldest first."""


class Fences(ABC):
    """The highest token that ever wrote for a model, inside one unit of work."""

    @abstractmethod
    def claim(self, model_id: str, token: int) -> bool:
        """Note `token` as the model's unless a higher one was noted; whether it was not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationQuery:
    """Which operations; empty: any."""

    model_id: str = ""
    states: frozenset[OperationState] = frozenset()
    saga: str = ""


class Operations(ABC):
    """The operations, inside one unit of work."""

    @abstractmethod
    def add(self, operation: Operation) -> None: ...

    @abstractmethod
    def find(self, operation_id: str) -> Operation | None: ...

    @abstractmethod
    def replace(self, operation: Operation, *, revision: int) -> bool:
        """Keep `operation` if the one that is kept still has the number `revision`; whether it had (compare and set)."""

    @abstractmethod
    def at_work(self, model_id: str) -> Operation | None:
        """The operation of a model that has begun and not ended; there is at most one."""

    @abstractmethod
    def unended(self) -> Sequence[Operation]:
        """Every operation that has not ended, the oldest first."""

    @abstractmethod
    def page(self, query: OperationQuery, *, before: int | None, limit: int) -> Sequence[tuple[int, Operation]]:
        """Operations with their ordinal, the newest first, of those with an ordinal below `before` if that is given."""

    @abstractmethod
    def trim(self, *, ended_before: datetime, limit: int) -> int:
        """Forget up to `limit` operations that ended before then; how many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryQuery:
    """Which transitions of a model; empty: any."""

    model_id: str
    version: int | None = None
    since: datetime | None = None
    actor: str = ""


class History(ABC):
    """What happened to versions, inside one unit of work; it is never trimmed."""

    @abstractmethod
    def add(self, transition: Transition) -> None: ...

    @abstractmethod
    def page(self, query: HistoryQuery, *, before: int | None, limit: int) -> Sequence[Transition]:
        """The newest first, of those with a sequence below `before` if that is given."""

    @abstractmethod
    def last_serving(self, model_id: str, *, but: frozenset[int]) -> int | None:
        """The version that came to `serving` last, leaving those of `but` out; None: none ever did."""


class Reports(ABC):
    """What validations found, inside one unit of work."""

    @abstractmethod
    def put(self, report: ValidationReport) -> None:
        """Keep it; the same operation's again takes its place."""

    @abstractmethod
    def newest(self, model_id: str, version: int) -> ValidationReport | None: ...


class Marks(ABC):
    """How far readers of the log came, by name, inside one unit of work."""

    @abstractmethod
    def position(self, name: str) -> int:
        """0 for one that never moved."""

    @abstractmethod
    def move(self, name: str, position: int) -> None: ...


class LifecycleWork(UnitOfWork):
    """One transaction over the coordinator's records and their events."""

    versions: Versions
    fences: Fences
    operations: Operations
    history: History
    reports: Reports
    marks: Marks


class Catalogue(ABC):
    """What the registry knows of versions. Every call has a deadline and raises Unavailable if it is away."""

    @abstractmethod
    async def find(self, model: str, version: int) -> VersionFacts:
        """The version of the model with that id or name.

        Raises:
            NotFound: MODEL_UNKNOWN or VERSION_UNKNOWN.
        """

    @abstractmethod
    async def model_id(self, model: str) -> str:
        """The id of the model with that id or name.

        Raises:
            NotFound: MODEL_UNKNOWN.
        """

    async def untold(self, states: frozenset[str], *, limit: int) -> Sequence[VersionFacts]:
        """Up to `limit` versions in one of `states` of which it was never told; none, if all that it has came from here."""
        return ()

    @abstractmethod
    async def keep(self, status: VersionStatus) -> None:
        """Have the registry show `status`, unless it shows a later one already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepCall:
    """One step of one operation on one version.

    Attributes:
        input: the operation's input, and what earlier steps gave.
    """

    operation_id: str
    step: str
    saga: str
    saga_version: int
    model_id: str
    version: int
    input: Json = field(default_factory=dict)


class Participant(ABC):
    """Carries out steps, each once per operation and step, however often it is asked; a repetition gives the first outcome.

    It keeps the highest fence of each model, and refuses a lower one with FailedPrecondition, FENCED.
    """

    @abstractmethod
    async def prepare(self, call: StepCall, *, fence: int, timeout: float) -> Json:
        """What undoing the step will need; changes nothing."""

    @abstractmethod
    async def execute(self, call: StepCall, *, fence: int, timeout: float) -> Json:
        """Carry the step out; what later steps may need, by name."""

    @abstractmethod
    async def compensate(self, call: StepCall, compensation_input: Json, *, fence: int, timeout: float) -> None:
        """Undo the step, whether it happened whole, in part or not at all."""
