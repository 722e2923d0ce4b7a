"""What a model of these tests is for, told by its id alone: so whoever meets it, in whatever process, plays the same part."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from synapsenet.lifecycle.audit import INTO_SERVICE
from synapsenet.lifecycle.conclusion import SERVING
from synapsenet.lifecycle.guards import VersionFacts
from synapsenet.lifecycle.model import Caller, Operation, OperationState, VersionStatus
from synapsenet.lifecycle.ports import Catalogue
from synapsenet.lifecycle.report import Comparator, Threshold
from synapsenet.lifecycle.table import MACHINE
from synapsenet.lifecycle.wishes import DeployWish, ValidationWish

FORMER, MOVED = 1, 2
ACCURACY, WANTED = 0.95, 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """A model whose version 2 a saga is to move; version 1 serves already if the saga brings something into service.

    Attributes:
        fails_at: the step that fails for good; empty: none does.
    """

    saga: str
    fails_at: str
    number: int

    @property
    def model_id(self) -> str:
        return f"mdl-{self.saga}-{self.fails_at}-{self.number}"

    @classmethod
    def of(cls, model_id: str) -> Script:
        _, saga, fails_at, number = model_id.split("-")
        return cls(saga=saga, fails_at=fails_at, number=int(number))

    @property
    def event(self) -> str:
        return _RULES[self.saga].event

    @property
    def states(self) -> Mapping[int, str]:
        """Where its versions begin."""
        former = {FORMER: SERVING} if self.saga in INTO_SERVICE else {}
        return former | {MOVED: _RULES[self.saga].source}

    @property
    def routes(self) -> Mapping[str, float]:
        """Traffic by version at the beginning."""
        first = next((version for version, state in self.states.items() if state == SERVING), None)
        return {} if first is None else {str(first): 1.0}

    def draft(self, operation_id: str, at: VersionStatus) -> Operation:
        """The operation that moves version 2 as `at` says it is."""
        return Operation(
            id=operation_id,
            saga=self.saga,
            saga_version=0,
            model_id=self.model_id,
            model_name=at.model_name,
            version=MOVED,
            event=self.event,
            source="",
            state=OperationState.WAITING,
            steps=(),
            input=_VALIDATION.input if self.saga == "validate" else DeployWish().input,
            caller=Caller(actor="ada"),
            created_at=at.updated_at,
            updated_at=at.updated_at,
        )


_RULES = {rule.saga: rule for rule in reversed(MACHINE.rules) if rule.saga}
_VALIDATION = ValidationWish(
    evaluation_set_id="set",
    label="truth:label",
    thresholds=(Threshold(metric="accuracy", comparator=Comparator.AT_LEAST, value=WANTED),),
)


class Library(Catalogue):
    """A registry of the models that scripts are about."""

    async def find(self, model: str, version: int) -> VersionFacts:
        return VersionFacts(
            model_id=model, model_name=model, version=version, state=Script.of(model).states[version], artifact_sha256="ab" * 32
        )

    async def model_id(self, model: str) -> str:
        return model

    async def keep(self, status: VersionStatus) -> None:
        return None
