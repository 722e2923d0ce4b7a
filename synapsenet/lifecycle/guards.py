"""Guards: what must be true of a version before a rule is taken, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from synapsenet.errors import FailedPrecondition
from synapsenet.lifecycle.machine import Rule


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionFacts:
    """What the registry knows of a version.

    Attributes:
        state: where the registry has it; what the coordinator begins with for a version that it never heard of.
        artifact_sha256: empty if no artifact was uploaded.
        aliases: the names that point to it.
    """

    model_id: str
    model_name: str
    version: int
    state: str
    artifact_sha256: str = ""
    aliases: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """How people call it, `digits:3`."""
        return f"{self.model_name}:{self.version}"


def check_guards(rule: Rule, facts: VersionFacts) -> None:
    """Pass if all guards of `rule` hold.

    Raises:
        FailedPrecondition: ARTIFACT_MISSING or VERSION_HAS_ALIASES.
    """
    for name in rule.guards:
        GUARDS[name](rule, facts)


def _artifact_present(rule: Rule, facts: VersionFacts) -> None:
    if not facts.artifact_sha256:
        raise FailedPrecondition(
            "ARTIFACT_MISSING",
            f"version {facts.title} has no artifact and cannot become {rule.target}",
            field="event",
            remedy="upload its artifact first",
        )


def _no_alias(rule: Rule, facts: VersionFacts) -> None:
    if facts.aliases:
        raise FailedPrecondition(
            "VERSION_HAS_ALIASES",
            f"version {facts.title} cannot be {rule.target} while {', '.join(facts.aliases)} points to it",
            field="event",
            remedy="move or delete the alias first",
        )


GUARDS: Mapping[str, Callable[[Rule, VersionFacts], None]] = {
    "artifact_present": _artifact_present,
    "no_alias": _no_alias,
}
