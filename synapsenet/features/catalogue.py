"""The groups in memory, so that serving asks no database. The service keeps it in step with what was committed."""

from __future__ import annotations

from collections.abc import Iterable

from synapsenet.errors import NotFound
from synapsenet.features.model import Feature, FeatureGroup
from synapsenet.features.rows import RowLayout


class Entry:
    """A group with what is derived from it once: its row layout and its features by name."""

    def __init__(self, group: FeatureGroup) -> None:
        self.group = group
        self.layout = RowLayout(group.features, group.schema_version)
        self._features = {feature.name: feature for feature in group.features}

    def named(self, name: str) -> Iterable[Feature]:
        """The feature of that name, or all for `*`.

        Raises:
            NotFound: FEATURE_UNKNOWN.
        """
        if name == "*":
            return self.group.features
        if (feature := self._features.get(name)) is None:
            raise NotFound(
                "FEATURE_UNKNOWN",
                f"group {self.group.name} has no feature {name}",
                field="features",
                remedy="see GetFeatureGroup for what it has",
                metadata={"feature": f"{self.group.name}:{name}"},
            )
        return [feature]


class Catalogue:
    """Groups by name and by id."""

    def __init__(self) -> None:
        self._by_name: dict[str, Entry] = {}
        self._by_id: dict[str, Entry] = {}

    def put(self, group: FeatureGroup) -> None:
        """Know `group`, unless a newer revision of it is known."""
        known = self._by_id.get(group.id)
        if known is None or known.group.revision < group.revision:
            self._by_name[group.name] = self._by_id[group.id] = Entry(group)

    def remove(self, group: FeatureGroup) -> None:
        self._by_id.pop(group.id, None)
        if (entry := self._by_name.get(group.name)) is not None and entry.group.id == group.id:
            del self._by_name[group.name]

    def get(self, name: str, *, field: str = "group") -> Entry:
        """The group of that name.

        Raises:
            NotFound: GROUP_UNKNOWN.
        """
        if (entry := self._by_name.get(name)) is None:
            raise group_unknown(name, field=field)
        return entry

    def by_id(self, group_id: str) -> Entry | None:
        """The group of that id; None if it was deleted."""
        return self._by_id.get(group_id)

    def all(self) -> list[Entry]:
        """Every group, by name."""
        return [self._by_name[name] for name in sorted(self._by_name)]


def group_unknown(name: str, *, field: str) -> NotFound:
    return NotFound(
        "GROUP_UNKNOWN",
        f"there is no feature group {name}",
        field=field,
        remedy="create it, or see ListFeatureGroups",
        metadata={"group": name},
    )
