"""What happens to experiments and runs, as the area's events tell it."""

from __future__ import annotations

from dataclasses import dataclass

from synapsenet.experiments.model import RunState


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentCreated:
    experiment_id: str
    project: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentDeleted:
    experiment_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted:
    run_id: str
    experiment_id: str
    configuration_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnded:
    run_id: str
    experiment_id: str
    state: RunState


@dataclass(frozen=True, slots=True, kw_only=True)
class RunDeleted:
    run_id: str
    experiment_id: str
