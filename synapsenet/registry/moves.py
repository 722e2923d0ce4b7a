"""Moves: the registry's own table of which state may follow which."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from synapsenet.errors import FailedPrecondition, InvalidArgument
from synapsenet.registry.model import Condition, State, Version

MOVES: Mapping[State, frozenset[State]] = {
    State.CREATED: frozenset({State.TRAINING, State.VALIDATING, State.ARCHIVED}),
    State.TRAINING: frozenset({State.CREATED, State.VALIDATING, State.ARCHIVED}),
    State.VALIDATING: frozenset({State.REGISTERED, State.ARCHIVED}),
    State.REGISTERED: frozenset({State.DEPLOYING, State.DEPRECATED, State.ARCHIVED}),
    State.DEPLOYING: frozenset({State.SERVING, State.REGISTERED}),
    State.SERVING: frozenset({State.REGISTERED, State.DEPRECATED}),
    State.DEPRECATED: frozenset({State.REGISTERED, State.ARCHIVED}),
    State.ARCHIVED: frozenset(),
}

NEEDS_ARTIFACT = frozenset({State.VALIDATING, State.REGISTERED, State.DEPLOYING, State.SERVING})

_REASON_CHARACTERS = 1_024


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """A state that somebody wants a version to be in.

    Attributes:
        condition: what is wrong from then on; None: nothing.
        reason: why, for the record.
        etag: what the move is based on; empty: whatever the version is.
    """

    to: State
    condition: Condition | None = None
    reason: str = ""
    etag: str = ""

    def __post_init__(self) -> None:
        if len(self.reason) > _REASON_CHARACTERS:
            raise InvalidArgument("REASON_TOO_LONG", field="reason", remedy=f"shorten it to {_REASON_CHARACTERS:,} characters")

    def applied(self, version: Version, at: datetime) -> Version:
        """`version` in the new state, or `version` itself if nothing would change.

        Raises:
            Aborted: VERSION_CHANGED, the move is based on an older state.
            FailedPrecondition: MOVE_NOT_ALLOWED, ARTIFACT_MISSING or VERSION_HAS_ALIASES.
        """
        version.expect(self.etag)
        condition = self._condition(version, at)
        if version.state is self.to and version.condition == condition:
            return version
        if version.state is not self.to:
            self._check(version)
        return replace(version, state=self.to, condition=condition, revision=version.revision + 1, updated_at=at)

    def _condition(self, version: Version, at: datetime) -> Condition | None:
        """The wished condition, since now, or since when the version has had it."""
        if self.condition is None:
            return None
        old = version.condition
        same = old is not None and replace(old, since=None) == replace(self.condition, since=None)
        return old if same else replace(self.condition, since=at)

    def _check(self, version: Version) -> None:
        allowed = sorted(MOVES[version.state])
        if self.to not in MOVES[version.state]:
            raise FailedPrecondition(
                "MOVE_NOT_ALLOWED",
                f"version {version.title} is {version.state} and cannot become {self.to}",
                field="state",
                remedy=f"from {version.state} it can become {', '.join(allowed)}" if allowed else "create a new version",
                metadata={"state": version.state, "allowed": ",".join(allowed)},
            )
        if self.to in NEEDS_ARTIFACT and version.artifact is None:
            raise FailedPrecondition(
                "ARTIFACT_MISSING",
                f"version {version.title} has no artifact and cannot become {self.to}",
                field="state",
                remedy="upload its artifact first",
            )
        if self.to is State.ARCHIVED and version.aliases:
            raise FailedPrecondition(
                "VERSION_HAS_ALIASES",
                f"version {version.title} cannot be archived while {', '.join(version.aliases)} points to it",
                field="state",
                remedy="move or delete the alias first",
            )
