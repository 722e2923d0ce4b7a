"""Configurations: which runs are replicates of one another."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from synapsenet.experiments.model import Parameter, ParameterDefinition, ParameterRole

_SEED_NAMES = frozenset({"seed", "random_seed", "random_state"})
_EXACT_IN_DOUBLE = 2**53


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """The runs of one experiment that share their tuned parameters."""

    id: str
    experiment_id: str
    params: Mapping[str, Parameter]
    run_count: int

    @property
    def entry(self) -> str:
        """How a comparison names it."""
        return f"{self.experiment_id}@{self.id}"


def role_of(name: str, definitions: Iterable[ParameterDefinition]) -> ParameterRole:
    """What the parameter is for: as defined, else a seed by its (last) name, else tuned."""
    defined = next((known.role for known in definitions if known.name == name), ParameterRole.AUTO)
    if defined is not ParameterRole.AUTO:
        return defined
    return ParameterRole.SEED if name.rpartition(".")[2] in _SEED_NAMES else ParameterRole.TUNED


def tuned(params: Mapping[str, Parameter], definitions: Iterable[ParameterDefinition]) -> dict[str, Parameter]:
    """The parameters that make the configuration, ordered by name."""
    known = tuple(definitions)
    return {name: params[name] for name in sorted(params) if role_of(name, known) is ParameterRole.TUNED}


def configuration_id(params: Mapping[str, Parameter], definitions: Iterable[ParameterDefinition] = ()) -> str:
    """16 hexadecimal digits from the tuned parameters. Equal numbers give equal ids: 1 and 1.0, 1e-3 and 0.001."""
    spelled = [[name, *canonical(value)] for name, value in tuned(params, definitions).items()]
    return hashlib.sha256(json.dumps(spelled).encode()).hexdigest()[:16]


def seed_of(params: Mapping[str, Parameter], definitions: Iterable[ParameterDefinition] = ()) -> int | None:
    """The seed among the parameters, by role; None if there is no whole number in that role."""
    known = tuple(definitions)
    for name in sorted(params):
        value = params[name]
        if role_of(name, known) is ParameterRole.SEED and isinstance(value, int) and not isinstance(value, bool):
            return value
    return None


def canonical(value: Parameter) -> tuple[str, str]:
    """The type (`bool`, `number`, `text`) and a spelling that equal values share, so 1 and 1.0 are one and 1 and True two."""
    if isinstance(value, bool):
        return ("bool", str(value))
    if isinstance(value, str):
        return ("text", value)
    if isinstance(value, int) and abs(value) > _EXACT_IN_DOUBLE:
        return ("number", str(value))
    return ("number", repr(float(value) + 0.0))  # + 0.0 makes -0.0 and 0.0 the same
