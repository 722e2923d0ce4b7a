"""A request id used again: the same body gets the same answer, another body is refused, for every RPC that takes one."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest
from google.protobuf.json_format import ParseDict

from synapsenet.testing.onnx_models import exact_model
from synapsenet_servers.not_yet_available.table import TABLE
from tests.integration.platform.contract_calls import BY_PATH, METHODS, Method, call, new, open_channel
from tests.live import LivePlatform

ABSENT = {row.method for row in TABLE if not row.option}
# An operation that can still be cancelled, or that needs attention, is there in the coordinator's own suite alone, which tries
# these three with request ids (`testing/lifecycle_sagas.py`).
OF_OPERATIONS = {"CancelOperation", "RetryCompensation", "ResolveOperation"}
CREATING = [
    method
    for method in METHODS
    if "request_id" in method.request.fields_by_name
    and not method.control
    and method.path not in ABSENT
    and method.path.rpartition("/")[2] not in OF_OPERATIONS
]
KEY = [{"name": "id", "type": "VALUE_TYPE_INT64"}]
FEATURE = [{"name": "x", "type": "VALUE_TYPE_DOUBLE"}]
SOURCE = {"training_set": {"training_set_id": "set-1"}, "inputs": ["kept:x"], "target": "kept:x"}
JOB = {
    "model": {"entry_point": "mlp", "arguments": {"inputs": 1, "hidden": [2], "classes": 2}},
    "training_data": SOURCE,
    "optimizer": {"learning_rate": 0.1},
    "batch_size": 8,
    "steps": 10,
}


class Ground:
    """What the requests below are about: a group, an experiment, and a model with one version, registered."""

    def __init__(self, channel: grpc.Channel) -> None:
        self.channel = channel
        self._made: set[str] = set()
        self.ask(
            "features.v1.FeatureService/CreateFeatureGroup", group={"name": "kept", "entity_keys": KEY, "features": FEATURE}
        )
        made = self.ask("experiments.v1.ExperimentService/CreateExperiment", name="request ids")
        self.experiment = made.experiment.id
        self.model = self.ask("models.v1.ModelService/CreateModel", name="kept").model.id
        self.ask("registry.v1.RegistryService/CreateVersion", model_id=self.model)
        self.upload()
        self.ask(
            "registry.v1.RegistryService/SetVersionState", model_id=self.model, version=1, state="VERSION_STATE_REGISTERED"
        )
        self.ask("registry.v1.RegistryService/CreateVersion", model_id=self.model)

    def ask(self, path: str, **body: Any) -> Any:
        method = BY_PATH[f"/synapsenet.{path}"]
        answer = call(self.channel, method, [ParseDict(body, new(method.request))])
        assert answer.code is grpc.StatusCode.OK, answer
        return answer.messages[0]

    def version(self, name: str, state: str = "created") -> dict[str, Any]:
        """The first version of a model of its own, brought to `state`."""
        if name not in self._made:
            self._made.add(name)
            self.ask("models.v1.ModelService/CreateModel", name=name)
            self.ask("registry.v1.RegistryService/CreateVersion", model_id=name)
            if state != "created":
                self.upload(name)
            if state in ("registered", "serving"):
                self.ask("lifecycle.v1.LifecycleService/TransitionVersion", model_id=name, version=1, event="approve")
            if state == "serving":
                self.deploy(name)
        return {"model_id": name, "version": 1}

    def rolled(self, name: str) -> dict[str, Any]:
        """A model whose first version served before its second."""
        if name in self._made:
            return {"model_id": name}
        self.version(name, "serving")
        self.ask("registry.v1.RegistryService/CreateVersion", model_id=name)
        self.upload(name, version=2)
        self.ask("lifecycle.v1.LifecycleService/TransitionVersion", model_id=name, version=2, event="approve")
        self.deploy(name, version=2)
        return {"model_id": name}

    def deploy(self, name: str, version: int = 1) -> None:
        begun = self.ask("lifecycle.v1.LifecycleService/DeployVersion", model_id=name, version=version)
        ended = self.ask("lifecycle.v1.LifecycleService/WaitOperation", operation_id=begun.operation.id)
        assert not ended.operation.HasField("error"), ended

    def upload(self, model: str = "kept", version: int = 1) -> None:
        method = BY_PATH["/synapsenet.registry.v1.RegistryService/UploadArtifact"]
        header, data = new(method.request), new(method.request)
        data.data = exact_model()
        digest = hashlib.sha256(data.data).hexdigest()
        facts = {"sha256": digest, "size_bytes": len(data.data), "format": "ARTIFACT_FORMAT_ONNX"}
        ParseDict({"header": {"model_id": model, "version": version, **facts}}, header)
        answer = call(self.channel, method, [header, data])
        assert answer.code is grpc.StatusCode.OK, answer


Body = Callable[[Ground], dict[str, Any]]

# A request that is carried out, and a change that makes another of it. A new RPC that takes a request id belongs here.
WISHES: dict[str, tuple[Body, dict[str, Any]]] = {
    "CreateFeatureGroup": (
        lambda _: {"group": {"name": "twice", "entity_keys": KEY, "features": FEATURE}},
        {"group": {"name": "other", "entity_keys": KEY, "features": FEATURE}},
    ),
    "UpdateFeatureGroup": (
        lambda _: {"group": {"name": "kept", "description": "one"}, "update_mask": "description"},
        {"group": {"name": "kept", "description": "two"}},
    ),
    "BuildTrainingSet": (
        lambda _: {"spine": {"rows": [{"id": 1, "instant": "2026-01-01T00:00:00Z"}]}, "features": ["kept:x"]},
        {"name": "other"},
    ),
    "CreateModel": (lambda _: {"name": "twice"}, {"name": "other"}),
    "UpdateModel": (
        lambda at: {"model_id": at.model, "description": "one", "update_mask": "description"},
        {"description": "two"},
    ),
    "CreateExperiment": (lambda _: {"name": "twice"}, {"name": "other"}),
    "CreateRun": (lambda at: {"experiment_id": at.experiment, "name": "one"}, {"name": "two"}),
    "CreateVersion": (lambda at: {"model_id": at.model}, {"description": "other"}),
    "UpdateVersion": (
        lambda at: {"model_id": at.model, "version": 1, "description": "one", "update_mask": "description"},
        {"description": "two"},
    ),
    "SetVersionState": (
        lambda at: {"model_id": at.model, "version": 2, "state": "VERSION_STATE_TRAINING"},
        {"state": "VERSION_STATE_VALIDATING"},
    ),
    "SetAlias": (lambda at: {"model_id": at.model, "alias": "best", "version": 1}, {"alias": "other"}),
    "DeployModel": (lambda at: {"model_id": at.model, "version": 1}, {"version": 2}),
    "UndeployModel": (lambda at: {"model_id": at.model, "version": 1}, {"version": 2}),
    "CreateJob": (lambda _: {"spec": JOB}, {"spec": JOB | {"steps": 11}}),
    "TransitionVersion": (lambda at: at.version("trained") | {"event": "train"}, {"event": "deprecate"}),
    "ValidateVersion": (lambda at: at.version("validated", "validating"), {"version": 2}),
    "DeployVersion": (lambda at: at.version("deployed", "registered"), {"version": 2}),
    "UndeployVersion": (lambda at: at.version("undeployed", "serving"), {"version": 2}),
    "RollBackModel": (lambda at: at.rolled("rolled"), {"version": 2}),
    "PromoteVersion": (lambda at: at.version("promoted", "serving"), {"version": 2}),
    "ArchiveVersion": (lambda at: at.version("archived"), {"version": 2}),
}


def wish(method: Method) -> tuple[Body, dict[str, Any]]:
    return WISHES[method.path.rpartition("/")[2]]


@pytest.fixture(scope="module")
def ground(platform: LivePlatform) -> Iterator[Ground]:
    with open_channel(platform.grpc) as channel:
        yield Ground(channel)


def test_every_rpc_that_takes_a_request_id_is_tried_below() -> None:
    assert {method.path.rpartition("/")[2] for method in CREATING} == set(WISHES)


@pytest.mark.parametrize("method", CREATING, ids=str)
def test_a_request_id_used_again_for_another_wish_is_refused_and_for_the_same_one_answered_again(
    method: Method, ground: Ground
) -> None:
    body, change = wish(method)
    first = body(ground) | {"request_id": f"wish-{method.path}"}
    made = call(ground.channel, method, [ParseDict(first, new(method.request))])
    assert made.code is grpc.StatusCode.OK, made
    again = call(ground.channel, method, [ParseDict(first, new(method.request))])
    assert again.code is grpc.StatusCode.OK, again
    assert identity(made.messages[0]) == identity(again.messages[0])
    other = call(ground.channel, method, [ParseDict(first | change, new(method.request))])
    assert (other.code, other.reason) == (grpc.StatusCode.ALREADY_EXISTS, "REQUEST_ID_REUSED"), other
    assert "request_id" in other.sentence
    assert "take a new one" in other.sentence


def identity(answer: Any) -> Any:
    """What the answer is about; a job, for one, goes on in the meantime."""
    (_, made), *_ = answer.ListFields()
    return getattr(made, "id", "") or getattr(made, "name", "") or made.SerializeToString(deterministic=True)


@pytest.mark.parametrize("method", CREATING, ids=str)
def test_a_request_id_that_is_too_long_is_refused(method: Method, ground: Ground) -> None:
    body, _ = wish(method)
    request = ParseDict(body(ground), new(method.request))
    request.request_id = "r" * 10_240
    answer = call(ground.channel, method, [request])
    assert (answer.code, answer.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "REQUEST_ID_TOO_LONG"), answer
