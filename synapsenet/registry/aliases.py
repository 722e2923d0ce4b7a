"""Aliases: names that point to one version of a model and can be moved."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from synapsenet.errors import Aborted, FailedPrecondition, NotFound
from synapsenet.registry.events import AliasDeleted, AliasSet, aggregate
from synapsenet.registry.lookup import known_version
from synapsenet.registry.model import Alias, check_alias
from synapsenet.registry.ports import RegistryWork


@dataclass(frozen=True, slots=True, kw_only=True)
class AliasWish:
    """An alias that somebody wants to point to a version.

    Attributes:
        model: the model's id or name.
        number: the version to point to.
        expected: the version that it must point to now, 0 for none yet; None: whatever it is.

    Raises:
        InvalidArgument: ALIAS_INVALID.
    """

    model: str
    name: str
    number: int
    expected: int | None = None

    def __post_init__(self) -> None:
        check_alias(self.name)


def set_alias(tx: RegistryWork, wish: AliasWish, at: datetime) -> Alias:
    """Let the alias point where the wish says; pointing there already is no change."""
    version = known_version(tx, wish.model, wish.number)
    if version.sealed:
        raise FailedPrecondition(
            "VERSION_ARCHIVED",
            f"version {version.title} is archived and takes no alias",
            field="version",
            remedy="point the alias to a version that is not archived",
        )
    present = tx.aliases.find(version.model_id, wish.name)
    points_to = 0 if present is None else present.number
    if wish.expected is not None and wish.expected != points_to:
        raise Aborted(
            "ALIAS_MOVED",
            f"alias {wish.name} points to version {points_to}, not to {wish.expected}"
            if points_to
            else f"alias {wish.name} does not exist yet",
            remedy="read it again and decide anew",
            metadata={"version": str(points_to)},
        )
    if present is not None and present.number == wish.number:
        return present
    alias = Alias(model_id=version.model_id, name=wish.name, number=wish.number, updated_at=at)
    tx.aliases.put(alias)
    tx.events.append(aggregate(alias.model_id), AliasSet(alias=alias))
    return alias


def known_alias(tx: RegistryWork, model: str, name: str) -> Alias:
    """One alias of the model of that id or name.

    Raises:
        NotFound: ALIAS_UNKNOWN.
    """
    registered = tx.models.find(model)
    alias = tx.aliases.find(registered.id, name) if registered is not None else None
    if alias is None:
        raise NotFound(
            "ALIAS_UNKNOWN",
            f"model {model} has no alias {name}",
            field="alias",
            remedy="list the model's aliases for those that there are",
            metadata={"model_id": model, "alias": name},
        )
    return alias


def delete_alias(tx: RegistryWork, model: str, name: str) -> None:
    """Remove one alias of the model of that id or name."""
    alias = known_alias(tx, model, name)
    tx.aliases.remove(alias.model_id, alias.name)
    tx.events.append(aggregate(alias.model_id), AliasDeleted(alias=alias))
