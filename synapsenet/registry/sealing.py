"""The step `seal`: from then on no alias may point to a version, for its life is about to end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from synapsenet.errors import FailedPrecondition
from synapsenet.platform.participation import Json, StepCall, Turn
from synapsenet.platform.work import WorkFactory
from synapsenet.registry.lookup import known_version
from synapsenet.registry.model import Version
from synapsenet.registry.ports import RegistryWork

_SEALED = "sealed"


class Seal:
    """Seals a version in one commit; who points an alias to it meanwhile is either before that commit, or refused."""

    def __init__(self, work: WorkFactory[RegistryWork]) -> None:
        self._work = work

    async def prepare(self, call: StepCall) -> Json:
        """Whether it is sealed already: then undoing leaves it so.

        Raises:
            NotFound: VERSION_UNKNOWN.
        """
        version = await self._work.read(lambda tx: known_version(tx, call.model_id, call.version))
        return {_SEALED: version.sealed}

    async def execute(self, call: StepCall, turn: Turn) -> Callable[[RegistryWork], Json]:
        """Its commit raises NotFound, or FailedPrecondition VERSION_HAS_ALIASES."""

        def commit(tx: RegistryWork) -> Json:
            version = known_version(tx, call.model_id, call.version)
            if version.aliases:
                raise _pointed_to(version)
            tx.versions.replace(replace(version, sealed=True))
            return {}

        return commit

    async def compensate(self, call: StepCall, compensation_input: Json, turn: Turn) -> Callable[[RegistryWork], None]:
        """Let aliases point to it again, if they could before."""

        def commit(tx: RegistryWork) -> None:
            version = known_version(tx, call.model_id, call.version)
            tx.versions.replace(replace(version, sealed=bool(compensation_input.get(_SEALED, False))))

        return commit


def _pointed_to(version: Version) -> FailedPrecondition:
    return FailedPrecondition(
        "VERSION_HAS_ALIASES",
        f"version {version.title} cannot be archived while {', '.join(version.aliases)} points to it",
        field="state",
        remedy="move or delete the alias first",
    )
