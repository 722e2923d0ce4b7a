"""References to features, `group:feature` or `group:*`, as reads and training sets name them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from synapsenet.errors import InvalidArgument
from synapsenet.features.catalogue import Entry
from synapsenet.features.model import MOST_FEATURES, Feature, check_count


@dataclass(frozen=True, slots=True)
class Selection:
    """Features of one group, in the order in which they are wanted."""

    entry: Entry
    features: tuple[Feature, ...]

    @property
    def names(self) -> list[str]:
        return [feature.name for feature in self.features]


def resolve(references: Sequence[str], find: Callable[[str], Entry]) -> tuple[Selection, ...]:
    """What `references` name, by group, in the order in which they first name it.

    Raises:
        InvalidArgument: COUNT_INVALID, REFERENCE_INVALID, or REFERENCE_TWICE.
        NotFound: GROUP_UNKNOWN or FEATURE_UNKNOWN.
    """
    check_count(len(references), MOST_FEATURES, field="features")
    wanted: dict[str, tuple[Entry, dict[str, Feature]]] = {}
    for reference in references:
        group, colon, name = reference.partition(":")
        if not colon or not group or not name:
            raise InvalidArgument(
                "REFERENCE_INVALID", f"{reference!r} is no reference", field="features", remedy="write group:feature or group:*"
            )
        entry, features = wanted.setdefault(group, (find(group), {}))
        for feature in entry.named(name):
            if feature.name in features:
                raise InvalidArgument(
                    "REFERENCE_TWICE", f"{group}:{feature.name} is asked for twice", field="features", remedy="ask once"
                )
            features[feature.name] = feature
    return tuple(Selection(entry, tuple(features.values())) for entry, features in wanted.values())
