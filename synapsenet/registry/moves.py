"""Moves: states that somebody wants versions to be in. Whether one is made is the lifecycle coordinator's to say."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from synapsenet.errors import InvalidArgument
from synapsenet.platform.work import ANONYMOUS, Request
from synapsenet.registry.lookup import known_version
from synapsenet.registry.model import Condition, State
from synapsenet.registry.ports import RegistryWork

_REASON_CHARACTERS = 1_024


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """A state that somebody wants a version to be in.

    Attributes:
        condition: what is wrong from then on; None: nothing.
        reason: why, for the record.
        etag: what the move is based on; empty: whatever the version is.

    Raises:
        InvalidArgument: REASON_TOO_LONG.
    """

    to: State
    condition: Condition | None = None
    reason: str = ""
    etag: str = ""

    def __post_init__(self) -> None:
        if len(self.reason) > _REASON_CHARACTERS:
            raise InvalidArgument("REASON_TOO_LONG", field="reason", remedy=f"shorten it to {_REASON_CHARACTERS:,} characters")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the coordinator is asked, the same for every retry of a request.

    Attributes:
        sequence: of what the coordinator said of the version when the move was found to be based on it; None: whatever it is.
        request_id: by which the coordinator knows a retry; empty: it does not.
    """

    model_id: str
    number: int
    sequence: int | None
    request_id: str


def begin_move(tx: RegistryWork, model: str, number: int, move: Move, request: Request) -> Asked:
    """What to ask the coordinator; it is remembered, for a retry finds the version changed by its own first attempt.

    Raises:
        NotFound: VERSION_UNKNOWN.
        Aborted: VERSION_CHANGED, the move is based on an older state.
    """
    noted = ANONYMOUS
    if request.id:
        noted = Request("move/" + hashlib.sha256(request.id.encode()).hexdigest(), request.digest)

    def make() -> Asked:
        version = known_version(tx, model, number)
        version.expect(move.etag)
        sequence = version.sequence if move.etag and version.sequence else None
        return Asked(model_id=version.model_id, number=number, sequence=sequence, request_id=noted.id)

    return tx.once(noted, Asked, make)
