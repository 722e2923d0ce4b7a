"""What is intended with a registered version, before anything of it is recorded."""

from __future__ import annotations

from datetime import datetime

from synapsenet.errors import FailedPrecondition
from synapsenet.inference.model import Deployment, DeploymentState, Stage
from synapsenet.inference.ports import RegisteredVersion
from synapsenet.inference.run_options import RunOptions


def intended(registered: RegisteredVersion, options: RunOptions, *, at: datetime) -> Deployment:
    """The deployment that it is to become; its order is given when it is recorded."""
    return Deployment(
        key=registered.key,
        model_name=registered.model_name,
        state=DeploymentState.LOADING,
        artifact_sha256=registered.artifact_sha256,
        artifact_size=registered.artifact_size,
        artifact_format=registered.artifact_format,
        batching=options.batching,
        relaxed=options.relaxed,
        pinned=options.pinned,
        order=0,
        deployed_at=at,
        stage=Stage.RESERVED,
    )


def artifact_missing(registered: RegisteredVersion) -> FailedPrecondition:
    """There is nothing to load."""
    return FailedPrecondition(
        "ARTIFACT_MISSING",
        f"model {registered.model_name} version {registered.key.version} has no artifact",
        remedy="upload one to the registry first",
    )
