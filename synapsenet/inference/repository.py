"""The repository of the Open Inference Protocol: models are loaded and unloaded by name, which here deploys and undeploys."""

from __future__ import annotations

from synapsenet.errors import AlreadyExists, FailedPrecondition
from synapsenet.inference.deploying import Deployer
from synapsenet.inference.ports import Registry
from synapsenet.inference.residents import Residents
from synapsenet.inference.wish import DeploymentWish
from synapsenet.platform.work import ANONYMOUS


class Repository:
    """Loads and unloads by lifecycle operations, and waits for them."""

    def __init__(self, *, registry: Registry, residents: Residents, deployer: Deployer) -> None:
        self._registry = registry
        self._residents = residents
        self._deployer = deployer

    async def load(self, model: str, version: int | None) -> None:
        """Have a version serve: `version`, or the newest that may; what serves already stays as it is.

        Raises:
            NotFound: there is no such model or version.
            FailedPrecondition: MODEL_NOT_DEPLOYABLE, no version of it may be deployed.
            SynapseError: as `Deployer.deploy`.
        """
        if version is None:
            version = await self._registry.newest(model)
        if version is None:
            raise FailedPrecondition(
                "MODEL_NOT_DEPLOYABLE",
                f"model {model} has no version that is registered",
                remedy="upload an artifact and validate it first",
                metadata={"model": model},
            )
        try:
            await self._deployer.deploy(DeploymentWish(model=model, version=version), ANONYMOUS)
        except AlreadyExists as standing:
            if standing.reason != "ALREADY_DEPLOYED":
                raise

    async def unload(self, model: str, version: int | None) -> None:
        """Let `version`, or every deployed one, finish what it accepted and serve no more.

        Raises:
            NotFound: DEPLOYMENT_UNKNOWN.
            SynapseError: as `Deployer.undeploy`.
        """
        await self._deployer.follower.hear(model)
        versions = [version] if version is not None else sorted(key.version for key in self._residents.keys(model))
        if not versions:
            await self._registry.require(model)
            raise FailedPrecondition(
                "MODEL_NOT_DEPLOYED",
                f"model {model} is not deployed",
                remedy="nothing is to be done",
                metadata={"model": model},
            )
        for one in versions:
            await self._deployer.undeploy(model, one, ANONYMOUS)
