"""The contracts keep the house's conventions, and each rule refuses what it is for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from google.api import annotations_pb2, field_behavior_pb2, http_pb2
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorSet, MethodDescriptorProto

from tools import contract_rules as rules
from tools.contract_rules import Contracts
from tools.house import ROOT

STORED = rules.DESCRIPTORS.read_bytes()
Rule = Callable[[Contracts], Iterator[str]]
Plant = Callable[["Planted"], object]


class Planted:
    """The contracts as they are, open to change."""

    def __init__(self) -> None:
        self.descriptors = FileDescriptorSet.FromString(STORED)

    def message(self, name: str) -> DescriptorProto:
        area, _, message = name.partition(".")
        files = (file for file in self.descriptors.file if file.package == f"synapsenet.{area}.v1")
        return next(one for file in files for one in file.message_type if one.name == message)

    def field(self, name: str, field: str) -> FieldDescriptorProto:
        return next(one for one in self.message(name).field if one.name == field)

    def rpc(self, name: str) -> MethodDescriptorProto:
        services = (service for file in self.descriptors.file for service in file.service)
        service, _, rpc = name.partition(".")
        return next(one for found in services if found.name == service for one in found.method if one.name == rpc)

    def route(self, name: str) -> http_pb2.HttpRule:
        return self.rpc(name).options.Extensions[annotations_pb2.http]

    def rename(self, message: str, field: str, to: str) -> None:
        self.field(message, field).name = to

    def without(self, message: str, field: str) -> None:
        self.message(message).field.remove(self.field(message, field))

    def forget(self, message: str, field: str) -> None:
        """Take the field's behaviours away."""
        self.field(message, field).options.ClearExtension(field_behavior_pb2.field_behavior)

    def value(self, area: str, enum: str, value: str) -> Any:
        files = (file for file in self.descriptors.file if file.package == f"synapsenet.{area}.v1")
        values = (value for file in files for one in file.enum_type if one.name == enum for value in one.value)
        return next(one for one in values if one.name == value)


def number(planted: Planted, message: str, field: str, to: int) -> None:
    planted.field(message, field).number = to


def set_type(planted: Planted, message: str, field: str, kind: Any) -> None:
    planted.field(message, field).type = kind


def path(planted: Planted, rpc: str, to: str) -> None:
    route = planted.route(rpc)
    setattr(route, str(route.WhichOneof("pattern")), to)


def test_the_contracts_are_read_whole() -> None:
    contracts = Contracts.of(FileDescriptorSet.FromString(STORED))
    areas = {name.split(".")[2] for name in contracts.messages}
    assert areas == {folder.name for folder in (ROOT / "protos" / "synapsenet").iterdir()}
    assert ".synapsenet.experiments.v1.ComparedParameter.EntryValues" in contracts.messages
    assert {".synapsenet.registry.v1.ElementType", ".synapsenet.training.v1.JobState"} <= set(contracts.enums)
    assert {"FeatureControlService.StreamAges", "TrainingService.CreateJob"} <= {one.name for one in contracts.methods}


@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.__name__)
def test_every_contract_keeps_the_rule(rule: Rule) -> None:
    assert list(rule(Contracts.of(FileDescriptorSet.FromString(STORED)))) == []


PLANTS: tuple[tuple[Rule, Plant, str], ...] = (
    (rules.times, lambda it: it.rename("models.Model", "create_time", "created"), "models.v1.Model.created: a Timestamp"),
    (rules.times, lambda it: it.rename("registry.VersionCondition", "start_time", "since"), "since: a Timestamp ends in _time"),
    (rules.units, lambda it: it.rename("registry.Artifact", "size_bytes", "size"), "Artifact.size: say it with"),
    (rules.units, lambda it: it.rename("training.Job", "create_time", "created_at"), "created_at: say it with"),
    (rules.units, lambda it: it.rename("lifecycle.TrafficShare", "fraction", "traffic_percent"), "_fraction"),
    (
        rules.units,
        lambda it: set_type(it, "inference.LoadedModel", "load_ms", FieldDescriptorProto.TYPE_INT64),
        "what ends in _ms is double",
    ),
    (rules.ids, lambda it: it.rename("experiments.Run", "id", "run_id"), "Run.run_id: in its own message"),
    (
        rules.ids,
        lambda it: set_type(it, "training.GetJobRequest", "job_id", FieldDescriptorProto.TYPE_INT64),
        "an id is a string",
    ),
    (rules.given_by_the_platform, lambda it: it.forget("models.Model", "etag"), "Model.etag: what the platform gives"),
    (
        rules.presence,
        lambda it: setattr(it.field("registry.Version", "artifact"), "proto3_optional", True),
        "Version.artifact: a message needs no optional",
    ),
    (rules.paging, lambda it: it.without("models.ListModelsRequest", "page_size"), "ListModels: a list has page_size"),
    (rules.paging, lambda it: number(it, "training.ListJobsRequest", "states", 9), "ListJobs: int32 page_size and"),
    (rules.paging, lambda it: it.without("models.ListModelsResponse", "next_page_token"), "has next_page_token"),
    (rules.request_ids, lambda it: it.without("models.CreateModelRequest", "request_id"), "CreateModel: a creating call"),
    (rules.request_ids, lambda it: number(it, "training.CreateJobRequest", "spec", 7), "CreateJob: request_id is the last"),
    (rules.masks, lambda it: it.without("registry.UpdateVersionRequest", "update_mask"), "a REQUIRED update_mask"),
    (rules.masks, lambda it: it.forget("models.UpdateModelRequest", "update_mask"), "a REQUIRED update_mask"),
    (rules.states, lambda it: it.rename("experiments.Run", "state", "status"), "Run.status: a RunState is called state"),
    (
        rules.states,
        lambda it: setattr(it.field("training.ListJobsRequest", "states"), "label", FieldDescriptorProto.LABEL_OPTIONAL),
        "ListJobsRequest.states: a list takes repeated states",
    ),
    (
        rules.watches,
        lambda it: it.rename("training.ReadAuditRequest", "after_position", "after_entry"),
        "after_entry: one resumes with int64 after_position",
    ),
    (rules.watches, lambda it: it.without("monitoring.AlertEvent", "position"), "WatchAlerts: answers an event"),
    (rules.bulk, lambda it: number(it, "features.Columns", "data", 4), "Columns.data: has number 15"),
    (rules.bulk, lambda it: number(it, "inference.Tensor", "shape", 16), "Tensor.data: has number 15 and is the last"),
    (
        rules.enums,
        lambda it: setattr(it.value("training", "JobState", "JOB_STATE_UNSPECIFIED"), "name", "JOB_STATE_UNKNOWN"),
        "its zero is JOB_STATE_UNSPECIFIED",
    ),
    (
        rules.enums,
        lambda it: setattr(it.value("training", "ElementType", "ELEMENT_TYPE_FLOAT32"), "number", 1),
        "ELEMENT_TYPE_FLOAT32: has one number in",
    ),
    (rules.routes, lambda it: it.rpc("ModelService.GetModel").options.Clear(), "GetModel: has no route"),
    (
        rules.routes,
        lambda it: setattr(it.route("FeatureControlService.StreamAges"), "get", "/features/ages:stream"),
        "StreamAges: takes no route, it is mesh-only",
    ),
    (
        rules.routes,
        lambda it: setattr(it.route("ExperimentService.LogMetrics"), "post", "/experiments/metrics"),
        "LogMetrics: takes no route, HTTP has no client streams",
    ),
    (rules.routes, lambda it: path(it, "ModelService.ListModels", "/Models"), "lower-case words with hyphens"),
    (rules.routes, lambda it: path(it, "ModelService.GetModel", "/models/{model_id}/"), "lower-case words with hyphens"),
    (rules.routes, lambda it: path(it, "TrainingService.CancelJob", "/training/jobs/{job_id}:cancel-it"), "one camelCase word"),
    (rules.routes, lambda it: setattr(it.route("ModelService.CreateModel"), "body", ""), "GET and DELETE have no body"),
    (
        rules.routes,
        lambda it: setattr(it.route("ModelService.GetModel"), "response_body", "model"),
        "keeps Envoy from starting",
    ),
    (
        rules.routes,
        lambda it: path(it, "TrainingService.ReadAudit", "/training/jobs/{job_id}/audit"),
        "a stream ends in :watch",
    ),
    (rules.routes, lambda it: path(it, "LifecycleService.WatchEvents", "/lifecycle/events:stream"), "Watch… ends in :watch"),
    (rules.routes, lambda it: setattr(it.route("ModelService.UpdateModel"), "post", "/models/{model_id}"), "is a PATCH"),
    (rules.routes, lambda it: setattr(it.route("ModelService.DeleteModel"), "post", "/models/{model_id}:end"), "is a DELETE"),
    (rules.routes, lambda it: path(it, "ModelService.ListModels", "/models/{name_prefix}"), "get /models/{} is taken by"),
    (rules.path_parameters, lambda it: it.forget("training.GetJobRequest", "job_id"), "job_id in the path is a REQUIRED field"),
    (rules.path_parameters, lambda it: it.forget("features.WriteBatch", "group"), "batch.group in the path is a REQUIRED"),
    (
        rules.promised_paths,
        lambda it: path(it, "AnalysisService.SearchExperiments", "/search"),
        "GET /experiments/search: takes",
    ),
    (
        rules.promised_paths,
        lambda it: it.without("monitoring.GetFreshnessRequest", "entity"),
        "GET /features/freshness: takes entity",
    ),
)


@pytest.mark.parametrize(("rule", "plant", "sentence"), PLANTS, ids=[f"{rule.__name__}: {said}" for rule, _, said in PLANTS])
def test_a_planted_breach_is_refused(rule: Rule, plant: Plant, sentence: str) -> None:
    planted = Planted()
    plant(planted)
    found = list(rule(Contracts.of(planted.descriptors)))
    assert any(sentence in breach for breach in found), found


def test_every_rule_has_a_planted_breach() -> None:
    assert {rule for rule, _, _ in PLANTS} == set(rules.RULES)


def test_every_exemption_is_used_and_has_its_reason() -> None:
    contracts = Contracts.of(FileDescriptorSet.FromString(STORED))
    names = {one.name for _, _, one in contracts.fields()} | {message.name for message in contracts.messages.values()}
    exemptions = rules.MOMENTS | rules.WITHOUT_MASK | rules.OTHER_RESUMES | rules.GREW | rules.BY_NAME
    assert set(exemptions) <= names
    assert all(len(reason.split()) > 3 for reason in exemptions.values())
