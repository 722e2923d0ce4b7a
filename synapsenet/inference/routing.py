"""Routing: how the requests that name no version are spread over a model's versions."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from synapsenet.errors import FailedPrecondition, InvalidArgument

_TOLERANCE = 1e-6

Shares = Mapping[int, float]
"""Fractions of the requests that name no version, by version; they add up to 1. Versions left out get none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Routes:
    """The shares of a model's versions, replaced as a whole.

    Attributes:
        generation: grows with every change, from 1.
        operation_id: the lifecycle operation that made the last one.
    """

    model_id: str
    generation: int
    shares: Shares
    operation_id: str = ""


class Spread:
    """Says whose turn it is, so that after any number of requests each version had its share to within one request.

    Whoever is owed most is next (smooth weighted round robin, as in nginx's upstream module).
    """

    def __init__(self, shares: Shares) -> None:
        self._shares = {version: share for version, share in shares.items() if share > 0}
        self._owed = dict.fromkeys(self._shares, 0.0)

    def next(self, among: Collection[int]) -> int | None:
        """The version of `among` whose turn it is; None if none of them has a share."""
        sharing = [version for version in among if version in self._shares]
        if not sharing:
            return None
        for version in sharing:
            self._owed[version] += self._shares[version]
        chosen = max(sharing, key=lambda version: (self._owed[version], version))
        self._owed[chosen] -= sum(self._shares[version] for version in sharing)
        return chosen


def wished_shares(wished: Mapping[str, float], *, serving: Collection[int], title: str) -> Shares:
    """The shares that an operation asks for, those of `serving` versions alone.

    Raises:
        InvalidArgument: TRAFFIC_INVALID.
        FailedPrecondition: TRAFFIC_TO_NOWHERE.
    """
    shares = {int(version): float(fraction) for version, fraction in wished.items()}
    proper = all(math.isfinite(fraction) and 0 <= fraction <= 1 for fraction in shares.values())
    if not proper or not math.isclose(sum(shares.values()), 1.0, abs_tol=_TOLERANCE):
        raise InvalidArgument(
            "TRAFFIC_INVALID",
            f"the shares of model {title} do not add up to 1",
            field="traffic",
            remedy="give fractions from 0 to 1 that do",
        )
    if astray := sorted(set(shares) - set(serving)):
        raise FailedPrecondition(
            "TRAFFIC_TO_NOWHERE",
            f"version {astray[0]} of model {title} does not serve and can take no traffic",
            field="traffic",
            remedy="deploy it first, or leave it out",
        )
    return shares


def shares_without(version: int, shares: Shares, *, serving: Sequence[int]) -> Shares:
    """The shares once `version` is out of traffic: the others' grow alike.

    If none of the others has any, all goes to the last of `serving`, which stand in the order in which they were deployed.
    """
    others = [other for other in serving if other != version]
    left = sum(shares.get(other, 0.0) for other in others)
    if left > 0:
        return {other: shares.get(other, 0.0) / left for other in others if shares.get(other, 0.0) > 0}
    return {others[-1]: 1.0} if others else {}
