"""The platform of before its migrations, replayed: whatever stands behind the contracts now answers as that one did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from synapsenet.training.aggregation import Gradient, mean_gradient
from synapsenet.training.schema import FLOAT32
from synapsenet_servers.not_yet_available.table import TABLE
from tests.golden.contracts import Contracts
from tests.golden.conversations import read_conversation, talk
from tests.golden.files import CONVERSATIONS, DESCRIPTORS, PRE_MIGRATION, SCHEMAS, TRAJECTORIES
from tests.golden.replay import Replay
from tests.golden.schemas import AREAS, migrated
from tests.golden.stage import open_stage
from tests.golden.trajectories import Course, Mean, read_trajectory, replay_in_domain, replay_on_stream

CONVERSED = sorted((PRE_MIGRATION / CONVERSATIONS).glob("*.json"))
COURSES = sorted((PRE_MIGRATION / TRAJECTORIES).glob("*.json"))


def name(path: Path) -> str:
    return path.stem


async def test_every_recorded_call_is_answered_as_it_was_to_the_last_bit(tmp_path: Path) -> None:
    contracts = Contracts.read(PRE_MIGRATION / DESCRIPTORS)
    async with open_stage(tmp_path) as stage:
        replay = Replay(PRE_MIGRATION, contracts, stage, absent=TABLE)
        await replay.run()
    assert replay.differences == []
    assert replay.made > 300


@pytest.mark.parametrize("path", CONVERSED, ids=name)
def test_a_worker_that_offers_nothing_newer_hears_the_same_bytes(path: Path) -> None:
    recorded = read_conversation(path)
    assert talk(recorded.setting, recorded.turns) == recorded.turns


@pytest.mark.parametrize("path", COURSES, ids=name)
def test_barrier_mean_and_optimizer_come_to_the_same_parameters(path: Path) -> None:
    course, recorded = read_trajectory(path)
    parameters, losses = replay_in_domain(course)
    assert parameters.tobytes() == recorded.tobytes()
    assert losses == [step.mean_loss for step in course.steps]


@pytest.mark.parametrize("path", COURSES, ids=name)
def test_a_parameter_server_sends_the_same_parameters_to_every_worker(path: Path) -> None:
    course, recorded = read_trajectory(path)
    assert replay_on_stream(course).tobytes() == recorded.tobytes()


@pytest.mark.parametrize("path", COURSES, ids=name)
def test_the_order_in_which_gradients_arrive_changes_no_bit(path: Path) -> None:
    course, recorded = read_trajectory(path)
    for shift in range(1, course.workers):
        assert replay_in_domain(_rotated(course, shift))[0].tobytes() == recorded.tobytes()
    assert replay_on_stream(_rotated(course, course.workers // 2)).tobytes() == recorded.tobytes()


def in_order_of_arrival(gradients: Mapping[int, Gradient]) -> Gradient:
    return mean_gradient(dict(enumerate(gradients.values())))


def in_double_precision(gradients: Mapping[int, Gradient]) -> Gradient:
    examples = sum(gradient.examples for gradient in gradients.values())
    parts = [gradient.values.astype(np.float64) * gradient.examples / examples for gradient in gradients.values()]
    return replace(mean_gradient(gradients), values=np.sum(parts, axis=0).astype(FLOAT32))


def unweighted(gradients: Mapping[int, Gradient]) -> Gradient:
    return mean_gradient({worker: replace(gradient, examples=1) for worker, gradient in gradients.items()})


@pytest.mark.parametrize("mean", [in_order_of_arrival, in_double_precision, unweighted])
@pytest.mark.parametrize("stem", ["edges", "uneven", "many"])
def test_another_arithmetic_is_noticed(mean: Mean, stem: str) -> None:
    course, recorded = read_trajectory(PRE_MIGRATION / TRAJECTORIES / f"{stem}.json")
    assert replay_in_domain(course, mean=mean)[0].tobytes() != recorded.tobytes()


@pytest.mark.parametrize("area", AREAS)
def test_the_migrations_of_that_day_make_the_schema_of_that_day(area: str, tmp_path: Path) -> None:
    recorded = (PRE_MIGRATION / SCHEMAS / f"{area}.sql").read_text("utf-8")
    assert migrated(area, recorded, tmp_path / f"{area}.sqlite") == recorded


def _rotated(course: Course, shift: int) -> Course:
    steps = [replace(step, order=[*step.order[shift:], *step.order[:shift]]) for step in course.steps]
    return replace(course, steps=steps)
