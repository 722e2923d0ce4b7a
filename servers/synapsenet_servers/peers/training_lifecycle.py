"""What training asks of the coordinator and of the registry for the versions that its jobs make."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import grpc

from synapsenet.errors import FailedPrecondition, NotFound
from synapsenet.platform.artifacts import Artifact
from synapsenet.training.model import Failure
from synapsenet.training.options import TrainingOptions
from synapsenet.training.ports import VersionLife
from synapsenet.training.spec import ModelVersion
from synapsenet_api.lifecycle.v1 import lifecycle_service_pb2 as pb
from synapsenet_api.lifecycle.v1.lifecycle_service_pb2_grpc import LifecycleServiceStub
from synapsenet_api.lifecycle.v1.version_status_pb2 import Condition, VersionStatus
from synapsenet_api.registry.v1 import registry_service_pb2 as registry_pb
from synapsenet_api.registry.v1.artifact_pb2 import ARTIFACT_FORMAT_SAFETENSORS
from synapsenet_api.registry.v1.registry_service_pb2_grpc import RegistryServiceStub
from synapsenet_servers.peers.failures import asked
from synapsenet_servers.translate.times import to_duration

_LIFECYCLE = "lifecycle"
_TRAIN = "train"
_FAIL = "fail_training"


class GrpcVersionLife(VersionLife):
    """Versions through the coordinator's service and the registry's.

    Begin and end of a job's training have a request id each: a repetition is answered as it was at first, and does nothing.
    """

    def __init__(self, *, lifecycle: grpc.aio.Channel, registry: grpc.aio.Channel, options: TrainingOptions) -> None:
        self._lifecycle = LifecycleServiceStub(lifecycle)
        self._registry = RegistryServiceStub(registry)
        self._timeout = options.lifecycle_timeout_s
        self._patience = to_duration(timedelta(seconds=options.lifecycle_timeout_s / 2))
        self._delivery_timeout = options.delivery_timeout_s

    async def require(self, version: ModelVersion) -> None:
        request = pb.GetVersionStatusRequest(model_id=version.model_id, version=version.version)
        answer = await asked(self._lifecycle.GetVersionStatus(request, timeout=self._timeout), _LIFECYCLE)
        status: VersionStatus = answer.status
        if _TRAIN not in status.allowed_events:
            raise FailedPrecondition(
                "TRANSITION_NOT_ALLOWED",
                f"version {version.model_id}:{version.version} is {status.state}, where {_TRAIN} cannot happen",
                field="spec.model_version",
                remedy="create a new version",
                metadata={"state": status.state, "event": _TRAIN, "allowed": ",".join(status.allowed_events)},
            )

    async def begin(self, version: ModelVersion, job_id: str) -> None:
        request = pb.TransitionVersionRequest(
            model_id=version.model_id,
            version=version.version,
            event=_TRAIN,
            intent=pb.Intent(reason=f"trained by {job_id}", wait=self._patience),
            request_id=f"{job_id}/{_TRAIN}",
        )
        await asked(self._lifecycle.TransitionVersion(request, timeout=self._timeout), _LIFECYCLE)

    async def deliver(self, version: ModelVersion, artifact: Artifact, data: AsyncIterator[bytes]) -> None:
        header = registry_pb.UploadArtifactHeader(
            model_id=version.model_id,
            version=version.version,
            format=ARTIFACT_FORMAT_SAFETENSORS,
            sha256=artifact.sha256,
            size_bytes=artifact.size,
        )

        async def parts() -> AsyncIterator[registry_pb.UploadArtifactRequest]:
            yield registry_pb.UploadArtifactRequest(header=header)
            async for chunk in data:
                yield registry_pb.UploadArtifactRequest(data=chunk)

        await asked(self._registry.UploadArtifact(parts(), timeout=self._delivery_timeout), "registry")

    async def fail(self, version: ModelVersion, job_id: str, failure: Failure) -> None:
        request = pb.TransitionVersionRequest(
            model_id=version.model_id,
            version=version.version,
            event=_FAIL,
            condition=Condition(reason=failure.reason, message=failure.message),
            intent=pb.Intent(reason=f"{job_id} ended", wait=self._patience),
            request_id=f"{job_id}/{_FAIL}",
        )
        try:
            if await self._trains(version, job_id):
                await asked(self._lifecycle.TransitionVersion(request, timeout=self._timeout), _LIFECYCLE)
        except (FailedPrecondition, NotFound):
            return

    async def _trains(self, version: ModelVersion, job_id: str) -> bool:
        """Whether the last thing that happened to the version is that this job took it: another job's is not to be ended."""
        request = pb.ListTransitionsRequest(model_id=version.model_id, version=version.version, page_size=1)
        answer = await asked(self._lifecycle.ListTransitions(request, timeout=self._timeout), _LIFECYCLE)
        return any(last.request_id == f"{job_id}/{_TRAIN}" for last in answer.transitions)
