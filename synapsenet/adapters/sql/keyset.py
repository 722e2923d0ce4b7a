"""Keyset paging: rows after the last one seen, whatever was inserted meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, or_

from synapsenet.adapters.sql.tables import UtcDateTime
from synapsenet.platform.paging import Page, PageRequest


@dataclass(frozen=True, slots=True, eq=False)
class Key:
    """One criterion of an order; never NULL. The last key of an order is unique."""

    column: ColumnElement[Any]
    descending: bool = False

    @property
    def order(self) -> ColumnElement[Any]:
        return self.column.desc() if self.descending else self.column.asc()

    def beyond(self, value: Any) -> ColumnElement[bool]:
        further: ColumnElement[bool] = self.column < value if self.descending else self.column > value
        return further

    def to_token(self, value: Any) -> Any:
        return value.isoformat() if isinstance(value, datetime) else value

    def from_token(self, value: Any) -> Any:
        return datetime.fromisoformat(value) if isinstance(self.column.type, UtcDateTime) else value


def page_of(connection: Connection, wanted: Select[Any], keys: Sequence[Key], page: PageRequest) -> Page[Row[Any]]:
    """The page of `wanted` in the order of `keys`, which it selects besides as `key_0`, `key_1` …"""
    labels = [f"key_{number}" for number in range(len(keys))]
    rows = wanted.add_columns(*(key.column.label(label) for key, label in zip(keys, labels, strict=True)))
    if (after := page.after) is not None:
        rows = rows.where(_after(keys, [key.from_token(value) for key, value in zip(keys, after, strict=True)]))
    rows = rows.order_by(*(key.order for key in keys)).limit(page.limit + 1)

    def key_of(row: Row[Any]) -> list[Any]:
        return [key.to_token(row._mapping[label]) for key, label in zip(keys, labels, strict=True)]

    return page.page(connection.execute(rows).all(), key_of)


def _after(keys: Sequence[Key], values: Sequence[Any]) -> ColumnElement[bool]:
    """Lexicographic comparison with mixed directions."""
    return or_(
        *(
            and_(*(keys[same].column == values[same] for same in range(number)), keys[number].beyond(values[number]))
            for number in range(len(keys))
        )
    )
