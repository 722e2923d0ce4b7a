"""What jobs may ask for: every field of the contract arrives, what is wrong or not there yet is refused by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from synapsenet.errors import FailedPrecondition, InvalidArgument, NotYetAvailable
from synapsenet.platform import records
from synapsenet.testing.clock import NOON
from synapsenet.testing.training import full_spec, job, spec
from synapsenet.training.availability import FUTURE_OPTIONS, refuse_what_is_to_come
from synapsenet.training.model import Failure, Job, JobState, Result
from synapsenet.training.run_logging import new_run
from synapsenet.training.spec import Checkpointing, Mode, Optimizer, Schedule, Topology, Workers
from synapsenet_api.training.v1 import job_pb2 as pb
from synapsenet_servers.not_yet_available.training import ROWS
from synapsenet_servers.translate.training import spec as from_message
from synapsenet_servers.translate.training import spec_message


def message(**changes: Any) -> pb.JobSpec:
    """The least that a job must say."""
    fields: dict[str, Any] = {
        "model": pb.ModelSource(entry_point="mlp"),
        "training_data": pb.DataSource(training_set=pb.TrainingSetSource(training_set_id="ts-1"), inputs=["g:x"], target="g:y"),
        "optimizer": pb.Optimizer(learning_rate=0.1),
        "batch_size": 4,
        "steps": 10,
    }
    return pb.JobSpec(**(fields | changes))


def test_a_mode_that_is_not_said_is_sync_with_one_worker() -> None:
    least = from_message(message())
    assert (least.mode, least.workers.count, least.parameter_server_shards) == (Mode.SYNC, 1, 1)
    refuse_what_is_to_come(least)


def test_a_spec_comes_back_as_it_was_asked_for() -> None:
    asked = message(
        seed=2**62,
        evaluate_every=5,
        evaluation_data=pb.DataSource(
            training_set=pb.TrainingSetSource(training_set_id="ts-2"), inputs=["g:x", "g:z"], target="g:y", input_scale=0.5
        ),
        experiment_id="exp-1",
        run_name="first",
        run_params={"note": "ü"},
        model_version=pb.ModelVersionTarget(model_id="digits", version=3),
    )
    asked.model.arguments.update({"inputs": 64, "hidden": [32, 16], "name": "small"})
    asked.optimizer.momentum = 0.9
    asked.workers.count = 4
    asked.workers.step_timeout.FromTimedelta(timedelta(seconds=2.5))
    asked.timeout.FromTimedelta(timedelta(minutes=3))
    told = spec_message(from_message(asked))
    assert from_message(told) == from_message(asked)
    for field, value in asked.ListFields():
        if field.name != "optimizer":
            assert getattr(told, field.name) == value, field.name
    assert (told.mode, told.optimizer.kind) == (pb.MODE_SYNC, pb.OPTIMIZER_KIND_SGD)


def test_every_field_survives_the_database() -> None:
    assert records.decode(Job, records.encode(replace(job(1), spec=full_spec()))).spec == full_spec()


ASKED = {
    "spec.mode=MODE_ASYNC": message(mode=pb.MODE_ASYNC),
    "spec.async_options": message(async_options=pb.AsyncOptions(max_staleness=0)),
    "spec.training_data.parquet": message(
        training_data=pb.DataSource(parquet=pb.FileSource(uri="x"), inputs=["x"], target="y")
    ),
    "spec.training_data.numpy": message(training_data=pb.DataSource(numpy=pb.FileSource(uri="x"), inputs=["x"], target="y")),
    "spec.optimizer.kind": message(optimizer=pb.Optimizer(learning_rate=1, kind=pb.OPTIMIZER_KIND_ADAMW)),
    "spec.optimizer.nesterov": message(optimizer=pb.Optimizer(learning_rate=1, nesterov=True)),
    "spec.optimizer.weight_decay": message(optimizer=pb.Optimizer(learning_rate=1, weight_decay=0.1)),
    "spec.optimizer.clip_norm": message(optimizer=pb.Optimizer(learning_rate=1, clip_norm=1)),
    "spec.schedule": message(schedule=pb.Schedule(warmup_steps=3)),
    "spec.workers.min": message(workers=pb.Workers(count=3, min=2)),
    "spec.workers.max": message(workers=pb.Workers(count=3, max=4)),
    "spec.workers.backup": message(workers=pb.Workers(count=3, backup=1)),
    "spec.compression": message(compression=pb.Compression(gradient_codec=pb.CODEC_FLOAT16)),
    "spec.checkpointing": message(checkpointing=pb.Checkpointing(every_steps=10)),
    "spec.topology=TOPOLOGY_RING": message(topology=pb.TOPOLOGY_RING),
    "spec.parameter_server_shards": message(parameter_server_shards=2),
    "spec.shared_memory": message(shared_memory=True),
}


@pytest.mark.parametrize("option", [future.option for future in FUTURE_OPTIONS])
def test_each_option_that_is_to_come_is_refused_by_its_name(option: str) -> None:
    with pytest.raises(NotYetAvailable) as raised:
        refuse_what_is_to_come(from_message(ASKED[option]))
    assert raised.value.reason == "NOT_YET_AVAILABLE"
    assert raised.value.field == option.partition("=")[0]


def test_the_table_of_what_is_to_come_has_every_option_and_no_other() -> None:
    assert {row.option for row in ROWS if row.option} == set(ASKED)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"steps": 0}, "spec.steps"),
        ({"batch_size": 0}, "spec.batch_size"),
        ({"seed": -1}, "spec.seed"),
        ({"evaluate_every": 5}, "spec.evaluation_data"),
        ({"timeout": 0.0}, "spec.timeout"),
    ],
)
def test_what_is_out_of_range_is_refused_by_its_name(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidArgument) as raised:
        replace(spec(), **changes)
    assert (raised.value.reason, raised.value.field) == ("JOB_SPEC_INVALID", field)


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), float("inf")])
def test_a_learning_rate_is_a_finite_number_above_0(rate: float) -> None:
    with pytest.raises(InvalidArgument, match="learning_rate"):
        Optimizer(learning_rate=rate)


@pytest.mark.parametrize("workers", [{"count": 0}, {"count": 2, "min": 3}, {"count": 2, "max": 1}, {"step_timeout": 0.0}])
def test_worker_counts_that_contradict_each_other_are_refused(workers: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument, match=r"spec\.workers\."):
        Workers(**workers)


def test_an_enum_number_of_a_later_contract_is_refused_not_ignored() -> None:
    with pytest.raises(InvalidArgument, match="17 is no topology"):
        from_message(message(topology=17))


def test_a_job_moves_only_forward() -> None:
    queued = job(1)
    running = queued.starting(NOON).running()
    result = Result(parameters_sha256="ab" * 32, parameters_size=1)
    done = running.succeeded(result, NOON)
    assert (done.state, done.result, done.finished_at) == (JobState.SUCCEEDED, result, NOON)
    moves: list[Callable[[], Job]] = [
        lambda: done.cancelled(NOON),
        done.running,
        lambda: queued.succeeded(result, NOON),
        queued.running,
    ]
    for move in moves:
        with pytest.raises(FailedPrecondition) as raised:
            move()
        assert raised.value.reason == "JOB_STATE_CONFLICT"
    failed = queued.failed(Failure(reason="INTERRUPTED", message="restarted"), NOON)
    assert failed.state.final


def test_the_hyperparameters_of_two_replicates_differ_in_nothing_but_the_seed() -> None:
    one, other = (new_run(replace(job(number), spec=replace(spec("exp-1"), seed=number))) for number in (1, 2))
    assert one.params == other.params
    assert (one.seed, other.seed) == (1, 2)
    assert one.request_id != other.request_id
    assert one.params["model.hidden"] == "[3.0]"


def test_defaults_ask_for_nothing_that_is_to_come() -> None:
    defaults = (Schedule(), Checkpointing(), Topology.PARAMETER_SERVER)
    assert (spec().schedule, spec().checkpointing, spec().topology) == defaults
    refuse_what_is_to_come(spec())
