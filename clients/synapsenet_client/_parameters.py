"""Hyperparameters between Python's values and the contract's typed ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from synapsenet_api.experiments.v1.parameter_pb2 import ParameterValue
from synapsenet_client._errors import InvalidArgument
from synapsenet_client._values import is_array


def parameter_values(params: Mapping[str, Any], prefix: str = "") -> dict[str, ParameterValue]:
    """Typed hyperparameters from Python's, nested mappings under dotted names.

    Raises:
        InvalidArgument: a value is no number, text or truth value.
    """
    values: dict[str, ParameterValue] = {}
    for name, value in params.items():
        if isinstance(value, Mapping):
            values |= parameter_values(value, f"{prefix}{name}.")
        else:
            values[f"{prefix}{name}"] = _typed_value(f"{prefix}{name}", value.item() if is_array(value) else value)
    return values


def parameter_value(value: ParameterValue) -> float | int | str | bool | None:
    """The Python value of a typed hyperparameter."""
    kind = value.WhichOneof("kind")
    return getattr(value, kind) if kind else None


def _typed_value(name: str, value: object) -> ParameterValue:
    if isinstance(value, bool):
        return ParameterValue(bool_value=value)
    if isinstance(value, int):
        return ParameterValue(int_value=value)
    if isinstance(value, float):
        return ParameterValue(double_value=value)
    if isinstance(value, str):
        return ParameterValue(string_value=value)
    raise InvalidArgument(
        f"{name}: a hyperparameter is a number, a text or a truth value, no {type(value).__name__}: convert it",
        reason="PARAMETER_TYPE",
    )
