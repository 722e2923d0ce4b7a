"""What a job shall do, as a message and as the domain's spec."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, TypeVar

from google.protobuf import json_format
from google.protobuf.duration_pb2 import Duration
from google.protobuf.struct_pb2 import Struct

from synapsenet.errors import InvalidArgument
from synapsenet.training import spec as domain
from synapsenet_api.training.v1 import job_pb2 as pb

E = TypeVar("E", bound=StrEnum)


def spec(message: pb.JobSpec) -> domain.JobSpec:
    """The spec that `message` asks for, with what is absent at its default.

    Raises:
        InvalidArgument: JOB_SPEC_INVALID.
    """
    return domain.JobSpec(
        mode=_member(pb.Mode, "MODE_", message.mode, domain.Mode.SYNC),
        model=domain.ModelSource(
            entry_point=message.model.entry_point, arguments=json_format.MessageToDict(message.model.arguments)
        ),
        training_data=_source(message.training_data, "spec.training_data"),
        evaluation_data=_source(message.evaluation_data, "spec.evaluation_data")
        if message.HasField("evaluation_data")
        else None,
        optimizer=_optimizer(message.optimizer),
        schedule=domain.Schedule(
            kind=_member(pb.ScheduleKind, "SCHEDULE_KIND_", message.schedule.kind, domain.ScheduleKind.CONSTANT),
            warmup_steps=message.schedule.warmup_steps,
            factor=message.schedule.factor,
            every_steps=message.schedule.every_steps,
        ),
        batch_size=message.batch_size,
        steps=message.steps,
        seed=message.seed,
        evaluate_every=_optional(message, "evaluate_every"),
        workers=_workers(message.workers),
        async_options=_async_options(message.async_options) if message.HasField("async_options") else None,
        compression=_compression(message.compression),
        checkpointing=_checkpointing(message.checkpointing),
        topology=_member(pb.Topology, "TOPOLOGY_", message.topology, domain.Topology.PARAMETER_SERVER),
        parameter_server_shards=message.parameter_server_shards or 1,
        experiment_id=message.experiment_id,
        run_name=message.run_name,
        run_params=dict(message.run_params),
        timeout=_seconds(message, "timeout"),
        shared_memory=message.shared_memory,
        model_version=domain.ModelVersion(model_id=message.model_version.model_id, version=message.model_version.version)
        if message.HasField("model_version")
        else None,
    )


def spec_message(given: domain.JobSpec) -> pb.JobSpec:
    """The spec on the wire."""
    message = pb.JobSpec(
        mode=_number(pb.Mode, "MODE_", given.mode),
        model=pb.ModelSource(entry_point=given.model.entry_point),
        training_data=_source_message(given.training_data),
        optimizer=pb.Optimizer(
            kind=_number(pb.OptimizerKind, "OPTIMIZER_KIND_", given.optimizer.kind),
            learning_rate=given.optimizer.learning_rate,
            momentum=given.optimizer.momentum,
        ),
        batch_size=given.batch_size,
        steps=given.steps,
        seed=given.seed,
        evaluate_every=given.evaluate_every,
        workers=pb.Workers(count=given.workers.count, min=given.workers.min, max=given.workers.max),
        topology=_number(pb.Topology, "TOPOLOGY_", given.topology),
        parameter_server_shards=given.parameter_server_shards,
        experiment_id=given.experiment_id,
        run_name=given.run_name,
        run_params=given.run_params,
    )
    if given.model.arguments:
        message.model.arguments.CopyFrom(json_format.ParseDict(dict(given.model.arguments), Struct()))
    if given.evaluation_data:
        message.evaluation_data.CopyFrom(_source_message(given.evaluation_data))
    if given.timeout is not None:
        message.timeout.CopyFrom(seconds(given.timeout))
    if given.workers.step_timeout is not None:
        message.workers.step_timeout.CopyFrom(seconds(given.workers.step_timeout))
    if (made := given.model_version) is not None:
        message.model_version.CopyFrom(pb.ModelVersionTarget(model_id=made.model_id, version=made.version))
    return message


def seconds(span: float) -> Duration:
    """A span in seconds on the wire, to the millisecond."""
    duration = Duration()
    duration.FromMilliseconds(round(span * 1000))
    return duration


def _source(message: pb.DataSource, path: str) -> domain.DataSource:
    kind = message.WhichOneof("source")
    if kind is None:
        raise InvalidArgument("JOB_SPEC_INVALID", f"{path} has no source", field=path, remedy="name a training set")
    location = message.training_set.training_set_id if kind == "training_set" else getattr(message, kind).uri
    return domain.DataSource(
        kind=domain.SourceKind(kind),
        location=location,
        inputs=tuple(message.inputs),
        target=message.target,
        input_scale=_optional(message, "input_scale"),
    )


def _source_message(given: domain.DataSource) -> pb.DataSource:
    message = pb.DataSource(inputs=given.inputs, target=given.target, input_scale=given.input_scale)
    if given.kind is domain.SourceKind.TRAINING_SET:
        message.training_set.training_set_id = given.location
    else:
        getattr(message, given.kind.value).uri = given.location
    return message


def _optimizer(message: pb.Optimizer) -> domain.Optimizer:
    return domain.Optimizer(
        kind=_member(pb.OptimizerKind, "OPTIMIZER_KIND_", message.kind, domain.OptimizerKind.SGD),
        learning_rate=message.learning_rate,
        momentum=message.momentum,
        nesterov=message.nesterov,
        weight_decay=message.weight_decay,
        clip_norm=_optional(message, "clip_norm"),
        beta1=_optional(message, "beta1"),
        beta2=_optional(message, "beta2"),
        epsilon=_optional(message, "epsilon"),
    )


def _workers(message: pb.Workers) -> domain.Workers:
    return domain.Workers(
        count=message.count or 1,
        min=_optional(message, "min"),
        max=_optional(message, "max"),
        backup=message.backup,
        step_timeout=_seconds(message, "step_timeout"),
    )


def _async_options(message: pb.AsyncOptions) -> domain.AsyncOptions:
    return domain.AsyncOptions(
        max_staleness=_optional(message, "max_staleness"),
        policy=_member(pb.StalenessPolicy, "STALENESS_POLICY_", message.policy, domain.StalenessPolicy.INVERSE)
        if message.policy
        else None,
        exponent=_optional(message, "exponent"),
        delay_compensation=_optional(message, "delay_compensation"),
        buffer=_optional(message, "buffer"),
        max_worker_lead=_optional(message, "max_worker_lead"),
    )


def _compression(message: pb.Compression) -> domain.Compression:
    return domain.Compression(
        gradient_codec=_member(pb.Codec, "CODEC_", message.gradient_codec, domain.Codec.FLOAT32),
        parameter_codec=_member(pb.Codec, "CODEC_", message.parameter_codec, domain.Codec.FLOAT32),
        top_k_share=_optional(message, "top_k_share"),
        block=_optional(message, "block"),
    )


def _checkpointing(message: pb.Checkpointing) -> domain.Checkpointing:
    return domain.Checkpointing(
        durability=_member(pb.Durability, "DURABILITY_", message.durability, domain.Durability.NONE),
        every_steps=_optional(message, "every_steps"),
        every=_seconds(message, "every"),
        keep=_optional(message, "keep"),
        resume_from=message.resume_from,
    )


def _optional(message: Any, field: str) -> Any:
    return getattr(message, field) if message.HasField(field) else None


def _seconds(message: Any, field: str) -> float | None:
    return getattr(message, field).ToMilliseconds() / 1000 if message.HasField(field) else None


def _member(enum: Any, prefix: str, number: int, absent: E) -> E:
    """The domain's member for an enum number; what this release does not know is refused."""
    if number == 0:
        return absent
    if number not in enum.values():
        raise InvalidArgument(
            "JOB_SPEC_INVALID", f"{number} is no {prefix.lower().rstrip('_')}", remedy="take one that the contract names"
        )
    return type(absent)(enum.Name(number).removeprefix(prefix).lower())


def _number(enum: Any, prefix: str, member: StrEnum) -> Any:
    return enum.Value(prefix + member.value.upper())
