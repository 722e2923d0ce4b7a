"""Columns: many values of a few types as numpy arrays, the form in which values pass through the feature store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synapsenet.errors import InvalidArgument
from synapsenet.features.model import ColumnType, ValueType

DTYPES: dict[ValueType, np.dtype[Any]] = {
    ValueType.BOOL: np.dtype("?"),
    ValueType.INT32: np.dtype("<i4"),
    ValueType.INT64: np.dtype("<i8"),
    ValueType.FLOAT: np.dtype("<f4"),
    ValueType.DOUBLE: np.dtype("<f8"),
    ValueType.STRING: np.dtype(object),
    ValueType.BYTES: np.dtype(object),
    ValueType.TIMESTAMP: np.dtype("<i8"),
}


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """The values of one column.

    Attributes:
        type: name and type.
        values: shape (rows,), or (rows, vector_length); dtype by `DTYPES`; `str` or `bytes` objects for STRING and BYTES.
        nulls: bool, shape (rows,), true where there is no value; None if every value is there.
    """

    type: ColumnType
    values: NDArray[Any]
    nulls: NDArray[np.bool_] | None = None

    @property
    def name(self) -> str:
        return self.type.name

    def null_mask(self) -> NDArray[np.bool_]:
        return np.zeros(len(self.values), dtype=bool) if self.nulls is None else self.nulls


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """Columns of equal length under unique names."""

    rows: int
    columns: tuple[Column, ...]

    def __post_init__(self) -> None:
        names = [column.name for column in self.columns]
        if len(set(names)) != len(names):
            raise InvalidArgument("COLUMN_TWICE", field="columns.columns", remedy="name each column once")

    def find(self, name: str) -> Column | None:
        return next((column for column in self.columns if column.name == name), None)

    def require(self, wanted: ColumnType, *, field: str) -> Column:
        """The column of that name and type, without nulls.

        Raises:
            InvalidArgument: COLUMN_MISSING, COLUMN_TYPE, or ENTITY_KEY_NULL; `field` is named.
        """
        column = self.find(wanted.name)
        if column is None:
            raise InvalidArgument(
                "COLUMN_MISSING", f"there is no column {wanted.name}", field=field, remedy=f"add column {wanted.name}"
            )
        check_type(column.type, wanted, field=field)
        if column.nulls is not None and column.nulls.any():
            raise InvalidArgument(
                "ENTITY_KEY_NULL",
                f"{wanted.name} of row {int(column.nulls.argmax())} is null",
                field=field,
                remedy="give every row its entity keys",
            )
        return column


def check_type(given: ColumnType, wanted: ColumnType, *, field: str) -> None:
    """Raises: InvalidArgument: COLUMN_TYPE, `given` is not of the type that `wanted` says."""
    if (given.type, given.vector_length) != (wanted.type, wanted.vector_length):
        raise InvalidArgument(
            "COLUMN_TYPE",
            f"column {wanted.name} is {_spelt(given)}, the group says {_spelt(wanted)}",
            field=field,
            remedy=f"send {wanted.name} as {_spelt(wanted)}",
        )


def column_of(kind: ColumnType, values: Sequence[Any]) -> Column:
    """A column from Python values, None for null; vectors are sequences.

    Raises:
        InvalidArgument: VALUE_TYPE, a value does not fit the type.
    """
    nulls = np.fromiter((value is None for value in values), dtype=bool, count=len(values))
    shape = (len(values), kind.vector_length) if kind.vector_length else (len(values),)
    array: NDArray[Any] = np.zeros(shape, dtype=DTYPES[kind.type])
    if not kind.type.sized:
        array[:] = "" if kind.type is ValueType.STRING else b""
    for index, value in enumerate(values):
        if value is not None:
            try:
                array[index] = value
            except (ValueError, TypeError, OverflowError) as error:
                raise InvalidArgument(
                    "VALUE_TYPE",
                    f"{kind.name} of row {index} is no {_spelt(kind)}",
                    field=kind.name,
                    remedy="correct the value",
                ) from error
    return Column(kind, array, nulls if nulls.any() else None)


def _spelt(kind: ColumnType) -> str:
    return f"{kind.type.value}[{kind.vector_length}]" if kind.vector_length else kind.type.value
