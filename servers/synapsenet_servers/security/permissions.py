"""Which call needs which permission: the one table, by the first word of the RPC's name.

A name that the table does not know needs `admin`, so that a new RPC is closed until somebody has thought about it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

from synapsenet.errors import InvalidArgument
from synapsenet.platform.scopes import ANY_AREA, Level, Scope, parse_scope


class Access(Enum):
    """How a method is guarded."""

    OPEN = "anybody may call it"
    MESH = "only the platform itself may call it"
    SCOPED = "a caller needs a scope"


@dataclass(frozen=True, slots=True)
class Need:
    """What a call of one method takes; `scope` where access is SCOPED."""

    access: Access
    scope: Scope


PLATFORM = "platform"
"""Stands for an area in the scopes of what belongs to none: tokens, the state of connections."""

AREAS = ("features", "monitoring", "models", "registry", "lifecycle", "inference", "experiments", "training", PLATFORM)

_VERBS = {
    Level.READ: "Check Compare Download Get Index Infer List Model Predict Read Repository Search Server Wait Watch",
    Level.WRITE: "Archive Build Cancel Create Delete Deploy Expire Finish Heartbeat Log Promote Roll Run Scale Set Stream "
    "Transition Undeploy Update Upload Validate Write",
    Level.ADMIN: "Load Resolve Retry Unload",
}

LEVELS: Mapping[str, Level] = {verb: level for level, verbs in _VERBS.items() for verb in verbs.split()}
"""Predicting reads: it changes nothing. The names of the Open Inference Protocol begin with a noun."""

EXCEPTIONS: Mapping[str, Level] = {
    "/synapsenet.features.v1.FeatureService/StreamOnlineFeatures": Level.READ,
    "/synapsenet.experiments.v1.ExperimentService/StreamMetricHistory": Level.READ,
    "/inference.GRPCInferenceService/RepositoryModelLoad": Level.ADMIN,
    "/inference.GRPCInferenceService/RepositoryModelUnload": Level.ADMIN,
}

OPEN = frozenset({"grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"})
"""Health is asked by load balancers, and reflection tells no more than the published contracts."""

_METHOD = re.compile(r"/(?:synapsenet\.)?(?:(?P<area>[a-z_]+)\.)?(?:v\d+\.)?(?P<service>[A-Z]\w*)/(?P<verb>[A-Z][a-z]*)\w*")
_MESH_ONLY = frozenset({"synapsenet.training.v1.ParameterServerService"})


@lru_cache(maxsize=1_024)
def need(method: str) -> Need:
    """What a call of `method`, `/package.Service/Method`, takes."""
    service = method[1:].rpartition("/")[0]
    if service in OPEN:
        return Need(Access.OPEN, _admin())
    if service.endswith("ControlService") or service in _MESH_ONLY:
        return Need(Access.MESH, _admin())
    named = _METHOD.fullmatch(method)
    if named is None or named["area"] not in AREAS:
        return Need(Access.SCOPED, _admin())
    level = EXCEPTIONS.get(method) or LEVELS.get(named["verb"], Level.ADMIN)
    return Need(Access.SCOPED, Scope(named["area"], level))


def known_scope(text: str) -> Scope:
    """The scope that `text` spells, of an area that there is.

    Raises:
        InvalidArgument: SCOPE_INVALID; SCOPE_OF_NO_AREA.
    """
    scope = parse_scope(text)
    if scope.area not in (ANY_AREA, *AREAS):
        raise InvalidArgument(
            "SCOPE_OF_NO_AREA", f"there is no area {scope.area!r}", field="scope", remedy=f"choose of *, {', '.join(AREAS)}"
        )
    return scope


def _admin() -> Scope:
    return Scope(PLATFORM, Level.ADMIN)
