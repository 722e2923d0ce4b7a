"""Standing: where a version is in its life, as the lifecycle's coordinator says; the registry only shows it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from synapsenet.registry.events import ArtifactUploaded, VersionMoved, aggregate
from synapsenet.registry.model import Condition, State, Version
from synapsenet.registry.ports import RegistryWork


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One word of the coordinator about a version.

    Attributes:
        condition: what is wrong; None: nothing.
        sequence: of its event; what is older than that changes nothing any more.
        changed_at: when the state or the condition last changed.
        reason: why, as far as it is known.
    """

    state: State
    condition: Condition | None = None
    sequence: int
    changed_at: datetime
    reason: str = ""


def show(tx: RegistryWork, version: Version, standing: Standing) -> Version:
    """`version` as it stands now; itself, if something newer was said of it.

    With its state an artifact that came becomes part of it: both are one update.
    """
    if standing.sequence <= version.sequence:
        return version
    heard = replace(version, sequence=standing.sequence)
    condition = _worded(standing.condition, version.condition)
    if (standing.state, condition) != (version.state, version.condition):
        heard = _changed(tx, heard, replace(standing, condition=condition))
    tx.versions.replace(heard)
    return heard


def settle(tx: RegistryWork, version: Version, at: datetime) -> Version:
    """`version` with the artifact that came, of which the coordinator made nothing else."""
    if not version.offered:
        return version
    settled = replace(version, offered=False, revision=version.revision + 1, updated_at=at)
    tx.versions.replace(settled)
    _record_upload(tx, settled)
    return settled


def name_operation(tx: RegistryWork, version: Version, wished: Condition) -> Version:
    """`version`, whose condition is the `wished` one, with the operation that whoever wished it has named."""
    shown = version.condition
    if shown is None or replace(shown, operation_id=wished.operation_id, since=None) != wished:
        return version
    named = replace(version, condition=replace(shown, operation_id=wished.operation_id))
    tx.versions.replace(named)
    return named


def _worded(told: Condition | None, shown: Condition | None) -> Condition | None:
    """`told` as this contract always had it: operations of the coordinator's own are its to tell, and stand in its answers."""
    if told is None:
        return None
    bare = replace(told, operation_id="")
    return shown if shown is not None and replace(shown, operation_id="") == bare else bare


def _changed(tx: RegistryWork, old: Version, standing: Standing) -> Version:
    stays = standing.state is old.state
    new = replace(
        old,
        state=standing.state,
        condition=standing.condition,
        offered=old.offered and stays,
        revision=old.revision + 1,
        updated_at=max(old.updated_at, standing.changed_at),
    )
    if old.offered and not stays:
        _record_upload(tx, new)
    moved = VersionMoved(
        model_id=new.model_id,
        number=new.number,
        old=old.state,
        new=new.state,
        condition=new.condition,
        reason=standing.reason,
    )
    tx.events.append(aggregate(new.model_id), moved)
    return new


def _record_upload(tx: RegistryWork, version: Version) -> None:
    if version.artifact is not None:
        uploaded = ArtifactUploaded(model_id=version.model_id, number=version.number, artifact=version.artifact)
        tx.events.append(aggregate(version.model_id), uploaded)
