"""What is deployed and what of it is in memory: found by model and version at every prediction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from synapsenet.errors import ResourceExhausted, Unavailable
from synapsenet.inference.batching import Batcher
from synapsenet.inference.model import Deployment, DeploymentState, Signature, VersionKey
from synapsenet.inference.ports import Executable
from synapsenet.inference.routing import Routes, Shares, Spread

_ENTERED = frozenset({DeploymentState.LOADING, DeploymentState.SERVING})


@dataclass(slots=True, kw_only=True)
class Resident:
    """A model version in memory.

    Attributes:
        leases: requests that use it now.
        load_s: seconds that its load took.
    """

    executable: Executable
    batcher: Batcher
    loaded_at: datetime
    load_s: float
    leases: int = 0
    last_used_at: datetime | None = None

    @property
    def signature(self) -> Signature:
        return self.executable.signature


class Residents:
    """The deployments of this replica, with the models of those that are loaded.

    Args:
        max_models: deployments held at once.
        max_bytes: bytes of their artifacts together.
    """

    def __init__(self, *, max_models: int, max_bytes: int) -> None:
        self._max_models = max_models
        self._max_bytes = max_bytes
        self._deployments: dict[VersionKey, Deployment] = {}
        self._loaded: dict[VersionKey, Resident] = {}
        self._routes: dict[str, Routes] = {}
        self._spreads: dict[str, Spread] = {}

    def __iter__(self) -> Iterator[tuple[Deployment, Resident | None]]:
        """The deployments by model id and version, each with its model if that is in memory."""
        for key in sorted(self._deployments):
            yield self._deployments[key], self._loaded.get(key)

    def note(self, deployment: Deployment, resident: Resident | None = None) -> None:
        """Remember how `deployment` stands; `resident` if it has just been loaded."""
        self._deployments[deployment.key] = deployment
        if resident is not None:
            self._loaded[deployment.key] = resident

    def unload(self, key: VersionKey) -> None:
        """Have its model in memory no more; it stays deployed."""
        self._loaded.pop(key, None)

    def forget(self, key: VersionKey) -> None:
        self._deployments.pop(key, None)
        self._loaded.pop(key, None)

    def route(self, routes: Routes) -> None:
        """Spread requests by `routes` from now on, unless newer ones are known."""
        known = self._routes.get(routes.model_id)
        if known is None or known.generation < routes.generation:
            self._routes[routes.model_id] = routes
            self._spreads[routes.model_id] = Spread(routes.shares)

    def generation(self, model_id: str) -> int:
        """Of the routes by which requests are spread here; 0: nobody ever set any."""
        known = self._routes.get(model_id)
        return known.generation if known else 0

    def share(self, deployment: Deployment) -> float:
        """The fraction of the requests that name no version which `deployment` gets."""
        model_id, version = deployment.key.model_id, deployment.key.version
        return self.shares(model_id).get(version, 0.0)

    def shares(self, model_id: str) -> Shares:
        """The fractions of a model's versions that serve; if no operation ever set any, all goes to the one deployed last."""
        serving = {
            one.key.version: one
            for one in self._deployments.values()
            if one.key.model_id == model_id and one.state is DeploymentState.SERVING
        }
        routes = self._routes.get(model_id)
        routed = {version: share for version, share in routes.shares.items() if version in serving} if routes else {}
        if routed or not serving:
            return routed
        return {max(serving.values(), key=lambda one: one.order).key.version: 1.0}

    def deployment(self, key: VersionKey) -> Deployment | None:
        return self._deployments.get(key)

    def resident(self, key: VersionKey) -> Resident | None:
        return self._loaded.get(key)

    def key(self, model: str, version: int) -> VersionKey | None:
        """The version of the model with that id or name, if it is deployed."""
        return next((key for key in self.keys(model) if key.version == version), None)

    def choose(self, model: str, version: int | None) -> tuple[Deployment, Resident] | None:
        """What answers a request for `model`, an id or a name: its `version`, or else the one whose turn it is.

        Raises:
            Unavailable: MODEL_LOADING or MODEL_RELOAD_FAILED, it is deployed and not in memory.
        """
        matching = [self._deployments[key] for key in self.keys(model) if version in (None, key.version)]
        if not matching:
            return None
        chosen = matching[0] if version is not None else self._next(matching)
        resident = self._loaded.get(chosen.key)
        if resident is not None and (chosen.state is DeploymentState.SERVING or self._is_routed(chosen)):
            return chosen, resident
        if chosen.state is DeploymentState.DRAINING:
            return None
        if chosen.condition is not None:
            raise Unavailable(
                "MODEL_RELOAD_FAILED",
                f"model {chosen.model_name} version {chosen.key.version} could not be loaded: {chosen.condition.message}",
                remedy="it is tried again; deploy another version if that does not help",
                retry_after=1.0,
            )
        raise Unavailable(
            "MODEL_LOADING",
            f"model {chosen.model_name} version {chosen.key.version} is being loaded",
            remedy="retry",
            retry_after=1.0,
        )

    def require_room(self, size: int, *, key: VersionKey | None = None) -> None:
        """Pass if another artifact of `size` bytes may be held, that of `key`, which may have its place already.

        Raises:
            ResourceExhausted: MODELS_FULL.
        """
        others = [one.artifact_size for one in self._deployments.values() if one.key != key]
        if len(others) >= self._max_models or sum(others) + size > self._max_bytes:
            raise ResourceExhausted(
                "MODELS_FULL",
                f"{len(others)} models with {sum(others)} bytes are deployed",
                remedy=f"undeploy one: there is room for {self._max_models} with {self._max_bytes} bytes",
            )

    def keys(self, model: str) -> list[VersionKey]:
        """The deployed versions of the model with that id or name."""
        return [key for key, held in self._deployments.items() if model in (key.model_id, held.model_name)]

    def _next(self, matching: Sequence[Deployment]) -> Deployment:
        """Whose turn it is among the versions of a model; one that has its turn and is not in memory gives it up."""
        if (spread := self._spreads.get(matching[0].key.model_id)) is not None:
            entered = {one.key.version: one for one in matching if one.state in _ENTERED}
            ready = [version for version, one in entered.items() if one.key in self._loaded]
            if (turn := spread.next(ready)) is not None or (turn := spread.next(entered)) is not None:
                return entered[turn]
        return max(matching, key=lambda one: (one.state is DeploymentState.SERVING, one.order))

    def _is_routed(self, deployment: Deployment) -> bool:
        """Whether requests are spread over it: it is to serve, even if the news that it does have not come yet."""
        routes = self._routes.get(deployment.key.model_id)
        share = routes.shares.get(deployment.key.version, 0.0) if routes else 0.0
        return share > 0 and deployment.state in _ENTERED
