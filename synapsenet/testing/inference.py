"""What inference's ports promise, and stand-ins for the world that unit tests need."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import TypeVar

import numpy as np
import pytest
from onnx import TensorProto

from synapsenet.errors import FailedPrecondition, InvalidArgument, NotFound, Unavailable
from synapsenet.inference.model import (
    BatchingPolicy,
    Condition,
    Deployment,
    DeploymentState,
    ElementType,
    ModelDeployed,
    Signature,
    Stage,
    TensorSpec,
    VersionKey,
)
from synapsenet.inference.ports import Executable, Executor, InferenceWork, RegisteredVersion, Registry, ReplicaReport, Runtime
from synapsenet.inference.routing import Routes
from synapsenet.inference.tensors import Array
from synapsenet.platform.paging import PageRequest
from synapsenet.platform.work import Request, WorkFactory
from synapsenet.testing.clock import NOON
from synapsenet.testing.onnx_models import exact_model, exact_weights, external_model, gathering_model, identity_model

T = TypeVar("T")

KEY = VersionKey("mdl-1", 1)


def deployment(key: VersionKey = KEY, *, state: DeploymentState = DeploymentState.SERVING, order: int = 1) -> Deployment:
    """A deployment of the exact model about which everything but a condition is said."""
    artifact = exact_model()
    return Deployment(
        key=key,
        model_name=f"name-of-{key.model_id}",
        state=state,
        artifact_sha256=hashlib.sha256(artifact).hexdigest(),
        artifact_size=len(artifact),
        artifact_format="onnx",
        batching=BatchingPolicy(max_batch_size=7, max_linger=timedelta(microseconds=1_500), max_queued_bytes=1 << 33),
        relaxed=True,
        pinned=True,
        order=order,
        deployed_at=NOON,
        stage=Stage.WARM,
        operation_id="op-1",
        attempt=7,
    )


CONDITION = Condition(reason="ARTIFACT_CORRUPT", message="the artifact is damaged", since=NOON)


class DeploymentsContract:
    """Run over every adapter by a class that provides the fixture `work`."""

    async def test_a_deployment_is_found_as_it_was_added_with_the_request_that_asked_for_it(
        self, work: WorkFactory[InferenceWork]
    ) -> None:
        made, request = deployment(), Request("wish", b"digest")
        await work.run(lambda tx: tx.deployments.add(made, request))
        assert await work.read(lambda tx: tx.deployments.find(KEY)) == made
        assert await work.read(lambda tx: tx.deployments.request(KEY)) == request
        assert await work.read(lambda tx: tx.deployments.find(VersionKey("mdl-1", 2))) is None

    async def test_an_update_keeps_state_and_condition_and_the_request_unless_another_is_given(
        self, work: WorkFactory[InferenceWork]
    ) -> None:
        first, second = Request("deploy", b"1"), Request("undeploy", b"2")
        await work.run(lambda tx: tx.deployments.add(deployment(), first))
        failed = replace(deployment(), state=DeploymentState.FAILED, condition=CONDITION)
        await work.run(lambda tx: tx.deployments.update(failed))
        assert await work.read(lambda tx: tx.deployments.find(KEY)) == failed
        assert await work.read(lambda tx: tx.deployments.request(KEY)) == first
        await work.run(lambda tx: tx.deployments.update(deployment(), second))
        assert await work.read(lambda tx: tx.deployments.find(KEY)) == deployment()
        assert await work.read(lambda tx: tx.deployments.request(KEY)) == second

    async def test_a_removed_deployment_is_gone_and_may_come_again(self, work: WorkFactory[InferenceWork]) -> None:
        for _ in range(2):
            await work.run(lambda tx: tx.deployments.add(deployment(), Request()))
            await work.run(lambda tx: tx.deployments.remove(KEY))
            assert await work.read(lambda tx: tx.deployments.all()) == []

    async def test_all_are_given_in_the_order_in_which_they_were_deployed(self, work: WorkFactory[InferenceWork]) -> None:
        made = [deployment(VersionKey(model, 1), order=order) for order, model in ((3, "a"), (1, "b"), (2, "c"))]
        await work.run(lambda tx: [tx.deployments.add(one, Request()) for one in made])
        stored = await work.read(lambda tx: tx.deployments.all())
        assert [one.key.model_id for one in stored] == ["b", "c", "a"]

    async def test_pages_are_ordered_by_model_and_version_and_may_be_of_one_model(
        self, work: WorkFactory[InferenceWork]
    ) -> None:
        keys = [VersionKey(model, version) for model in ("b", "a") for version in (10, 9, 1)]
        await work.run(lambda tx: [tx.deployments.add(deployment(key), Request()) for key in keys])
        seen: list[VersionKey] = []
        token = ""
        while True:
            wanted = PageRequest(size=4, token=token)
            page = await work.read(lambda tx, wanted=wanted: tx.deployments.page(wanted, model_id=""))  # type: ignore[misc]
            seen += [one.key for one in page.items]
            if not (token := page.next_token):
                break
        assert seen == sorted(keys)
        only = await work.read(lambda tx: tx.deployments.page(PageRequest(), model_id="b"))
        assert [one.key.version for one in only.items] == [1, 9, 10]

    async def test_a_failed_unit_of_work_leaves_neither_deployment_nor_event(self, work: WorkFactory[InferenceWork]) -> None:
        def fail(tx: InferenceWork) -> None:
            tx.deployments.add(deployment(), Request())
            tx.events.append(f"deployment/{KEY}", ModelDeployed(deployment=deployment()))
            raise KeyError("it changed its mind")

        with pytest.raises(KeyError):
            await work.run(fail)
        assert await work.read(lambda tx: tx.deployments.find(KEY)) is None


class RouteTableContract:
    """Run over every adapter by a class that provides the fixture `work`."""

    async def test_routes_are_found_as_they_were_put_and_replaced_as_a_whole(self, work: WorkFactory[InferenceWork]) -> None:
        first = Routes(model_id="mdl-1", generation=1, shares={1: 0.25, 20: 0.75}, operation_id="op-1")
        assert await work.read(lambda tx: tx.routes.find("mdl-1")) is None
        await work.run(lambda tx: tx.routes.put(first))
        assert await work.read(lambda tx: tx.routes.find("mdl-1")) == first
        second = replace(first, generation=2, shares={20: 1.0}, operation_id="op-2")
        other = Routes(model_id="mdl-0", generation=1, shares={})
        await work.run(lambda tx: (tx.routes.put(second), tx.routes.put(other)))
        assert await work.read(lambda tx: tx.routes.all()) == [other, second]


class ReplicaReportsContract:
    """Run over every adapter by a class that provides the fixture `work`."""

    async def test_the_newest_report_of_each_replica_is_kept_until_the_version_is_gone(
        self, work: WorkFactory[InferenceWork]
    ) -> None:
        def report(replica: str, attempt: int, key: VersionKey = KEY) -> ReplicaReport:
            return ReplicaReport(replica=replica, key=key, order=1, attempt=attempt, stage=Stage.FETCHED, generation=2)

        failed = replace(report("b", 1), stage=None, failure=("DataLoss", "ARTIFACT_CORRUPT", "it is damaged"))
        other = report("a", 1, VersionKey("mdl-1", 2))
        for one in (report("a", 1), report("a", 2), failed, other):
            await work.run(lambda tx, one=one: tx.reports.put(one))  # type: ignore[misc]
        assert await work.read(lambda tx: tx.reports.of(KEY)) == [report("a", 2), failed]
        await work.run(lambda tx: tx.reports.remove(KEY))
        assert await work.read(lambda tx: tx.reports.of(KEY)) == []
        assert await work.read(lambda tx: tx.reports.of(other.key)) == [other]


class RuntimeContract:
    """Run over every runtime for ONNX by a class that provides the fixture `runtime`."""

    def test_a_loaded_model_tells_its_signature_and_computes(self, runtime: Runtime) -> None:
        loaded = runtime.load(exact_model(), artifact_format="onnx")
        assert loaded.signature == Signature(
            inputs=(TensorSpec("pixels", ElementType.FLOAT32, (-1, 8)),),
            outputs=(TensorSpec("scores", ElementType.FLOAT32, (-1, 3)), TensorSpec("label", ElementType.INT64, (-1,))),
            batches=True,
        )
        pixels = np.arange(16, dtype=np.float32).reshape(2, 8)
        weights, bias = exact_weights()
        scores, label = loaded.compute([pixels])
        np.testing.assert_array_equal(scores, pixels @ weights + bias)
        np.testing.assert_array_equal(label, scores.argmax(axis=1))

    def test_a_model_of_fixed_extents_does_not_batch(self, runtime: Runtime) -> None:
        loaded = runtime.load(identity_model(TensorProto.DOUBLE, [1, 2]), artifact_format="onnx")
        assert loaded.signature.inputs == (TensorSpec("x", ElementType.FLOAT64, (1, 2)),)
        assert not loaded.signature.batches

    def test_texts_come_through(self, runtime: Runtime) -> None:
        loaded = runtime.load(identity_model(TensorProto.STRING, ["rows"]), artifact_format="onnx")
        (given,) = loaded.compute([np.array(["wörld", ""], dtype=object)])
        assert given.tolist() == ["wörld", ""]

    def test_inputs_that_the_model_cannot_take_are_its_callers_fault(self, runtime: Runtime) -> None:
        loaded = runtime.load(gathering_model(), artifact_format="onnx")
        with pytest.raises(InvalidArgument) as refusal:
            loaded.compute([np.array([99])])
        assert refusal.value.reason == "MODEL_FAILED"
        assert loaded.compute([np.array([3])])[0].tolist() == [3.0]

    @pytest.mark.parametrize(
        ("artifact", "reason"),
        [
            (b"no model at all", "ARTIFACT_NOT_ONNX"),
            (exact_model()[:-40], "ARTIFACT_NOT_ONNX"),
            (external_model(), "ARTIFACT_EXTERNAL_DATA"),
            (identity_model(TensorProto.BFLOAT16, ["rows"]), "MODEL_TYPE_UNSUPPORTED"),
        ],
        ids=["garbage", "truncated", "external data", "bfloat16"],
    )
    def test_what_cannot_be_run_is_refused(self, runtime: Runtime, artifact: bytes, reason: str) -> None:
        with pytest.raises(InvalidArgument) as refusal:
            runtime.load(artifact, artifact_format="onnx")
        assert refusal.value.reason == reason

    def test_another_format_is_refused_by_name(self, runtime: Runtime) -> None:
        with pytest.raises(FailedPrecondition, match="'safetensors'"):
            runtime.load(exact_model(), artifact_format="safetensors")


class Inline(Executor):
    """Runs work at once, on the loop; or holds it back until `release`, to see what happens meanwhile."""

    def __init__(self) -> None:
        self._open = asyncio.Event()
        self._open.set()

    def hold(self) -> None:
        self._open.clear()

    def release(self) -> None:
        self._open.set()

    async def run(self, work: Callable[[], T]) -> T:
        await self._open.wait()
        return work()


class Doubling(Executable):
    """`y` = 2 `x`, float32 [-1, 1]; refuses batches with a negative number in them. Remembers the rows of each batch."""

    runtime = "sample"
    signature = Signature(
        inputs=(TensorSpec("x", ElementType.FLOAT32, (-1, -1)),),
        outputs=(TensorSpec("y", ElementType.FLOAT32, (-1, -1)),),
        batches=True,
    )

    def __init__(self) -> None:
        self.batches: list[int] = []

    def compute(self, inputs: Sequence[Array]) -> Sequence[Array]:
        (x,) = inputs
        self.batches.append(len(x))
        if (x < 0).any():
            raise InvalidArgument("MODEL_FAILED", "a number is negative")
        return [2 * x]


class MemoryRegistry(Registry):
    """A registry of whatever `add` was given; away while `reachable` is False.

    Attributes:
        downloads: how often an artifact was asked for.
    """

    def __init__(self) -> None:
        self._artifacts: dict[VersionKey, bytes] = {}
        self.downloads = 0
        self.reachable = True

    def add(self, artifact: bytes, key: VersionKey = KEY) -> None:
        self._artifacts[key] = artifact

    async def find(self, model: str, version: int) -> RegisteredVersion:
        self._reach()
        key = VersionKey(model, version)
        if key not in self._artifacts:
            raise NotFound("VERSION_UNKNOWN", f"there is no version {version} of {model}")
        artifact = self._artifacts[key]
        return RegisteredVersion(
            key=key,
            model_name=f"name-of-{model}",
            artifact_sha256=hashlib.sha256(artifact).hexdigest() if artifact else "",
            artifact_size=len(artifact),
            artifact_format="onnx",
        )

    async def resolve(self, model: str, alias: str) -> int:
        self._reach()
        return max(key.version for key in self._artifacts if key.model_id == model)

    async def require(self, model: str) -> None:
        self._reach()
        if not any(key.model_id == model for key in self._artifacts):
            raise NotFound("MODEL_UNKNOWN", f"there is no model {model}")

    async def download(self, key: VersionKey) -> AsyncIterator[bytes]:
        self._reach()
        self.downloads += 1
        yield self._artifacts[key]

    async def newest(self, model: str) -> int | None:
        await self.require(model)
        return max((key.version for key in self._artifacts if key.model_id == model), default=None)

    def _reach(self) -> None:
        if not self.reachable:
            raise Unavailable("PEER_UNAVAILABLE", "registry does not answer", remedy="retry")


class RegistryContract:
    """Run over the peer and over `MemoryRegistry` by a class that provides the fixtures `registry` and `registered`.

    `registered` is a version in the registry, ready to be deployed, that has the exact model as its artifact.
    """

    async def test_a_registered_version_is_found_and_its_artifact_downloaded(
        self, registry: Registry, registered: RegisteredVersion
    ) -> None:
        assert await registry.find(registered.key.model_id, registered.key.version) == registered
        artifact = b"".join([chunk async for chunk in registry.download(registered.key)])
        assert hashlib.sha256(artifact).hexdigest() == registered.artifact_sha256
        assert len(artifact) == registered.artifact_size

    async def test_what_is_not_there_is_not_found(self, registry: Registry, registered: RegisteredVersion) -> None:
        await registry.require(registered.key.model_id)
        with pytest.raises(NotFound):
            await registry.require("mdl-nobody")
        with pytest.raises(NotFound):
            await registry.find(registered.key.model_id, 99)

    async def test_the_newest_version_that_may_be_deployed_is_known(
        self, registry: Registry, registered: RegisteredVersion
    ) -> None:
        assert await registry.newest(registered.key.model_id) == registered.key.version
        with pytest.raises(NotFound):
            await registry.newest("mdl-nobody")
