"""Experiments, runs and series on the wire."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import numpy as np

from synapsenet.clock import micros
from synapsenet.errors import InvalidArgument
from synapsenet.experiments.configuration import Configuration
from synapsenet.experiments.model import (
    Direction,
    Experiment,
    MetricDefinition,
    MetricSummary,
    Parameter,
    ParameterDefinition,
    ParameterRole,
    ParameterScale,
    Reducer,
    Run,
    RunState,
)
from synapsenet.experiments.ports import Window
from synapsenet.experiments.series import Points
from synapsenet.experiments.wishes import Ending, ExperimentChange, ExperimentWish, RunChange, RunWish
from synapsenet_api.experiments.v1 import experiment_pb2, experiment_service_pb2, metric_pb2, parameter_pb2, run_pb2
from synapsenet_servers.translate.enums import Wire
from synapsenet_servers.translate.times import to_timestamp

STATES = Wire(RunState, run_pb2.RunState, "RUN_STATE_")
DIRECTIONS = Wire(Direction, metric_pb2.Direction, "DIRECTION_")
REDUCERS = Wire(Reducer, metric_pb2.Reducer, "REDUCER_")
_ROLES = Wire(ParameterRole, parameter_pb2.ParameterRole, "PARAMETER_ROLE_", unspecified=ParameterRole.AUTO)
SCALES = Wire(ParameterScale, parameter_pb2.ParameterScale, "PARAMETER_SCALE_", unspecified=ParameterScale.AUTO)


def experiment_wish(wire: experiment_service_pb2.CreateExperimentRequest) -> ExperimentWish:
    return ExperimentWish(
        name=wire.name,
        project=wire.project,
        description=wire.description,
        tags=dict(wire.tags),
        metric_definitions=tuple(_from_metric_definition(one, "metric_definitions") for one in wire.metric_definitions),
        parameter_definitions=tuple(map(_from_parameter_definition, wire.parameter_definitions)),
    )


def experiment_change(wire: experiment_service_pb2.UpdateExperimentRequest) -> ExperimentChange:
    return ExperimentChange(
        name=wire.name if wire.HasField("name") else None,
        description=wire.description if wire.HasField("description") else None,
        set_tags=dict(wire.set_tags),
        remove_tags=tuple(wire.remove_tags),
        metric_definitions=tuple(_from_metric_definition(one, "set_metric_definitions") for one in wire.set_metric_definitions),
    )


def run_wish(wire: experiment_service_pb2.CreateRunRequest) -> RunWish:
    return RunWish(
        experiment_id=wire.experiment_id,
        name=wire.name,
        seed=wire.seed if wire.HasField("seed") else None,
        params=_from_params(wire.params, "params"),
        tags=dict(wire.tags),
    )


def run_change(wire: experiment_service_pb2.UpdateRunRequest) -> RunChange:
    return RunChange(
        name=wire.name if wire.HasField("name") else None,
        params=_from_params(wire.add_params, "add_params"),
        set_tags=dict(wire.set_tags),
        remove_tags=tuple(wire.remove_tags),
    )


def ending(wire: experiment_service_pb2.FinishRunRequest) -> Ending:
    state = STATES.member(wire.state, field="state") if wire.state else RunState.FINISHED
    return Ending(state=state, reason=wire.reason)


def states(values: Iterable[int]) -> frozenset[RunState]:
    return frozenset(STATES.member(value, field="states") for value in values)


def window(wire: Any) -> Window:
    """The steps that `from_step` and `until_step` leave."""
    return Window(
        start=wire.from_step if wire.HasField("from_step") else None,
        end=wire.until_step if wire.HasField("until_step") else None,
    )


def from_points(wire: metric_pb2.MetricPoints, arrived: datetime) -> Points:
    """The columns; without times, all points are of the instant `arrived`."""
    steps = np.array(wire.steps, dtype=np.int64)
    times = np.array(wire.times_us, dtype=np.int64)
    if not len(times):
        times = np.full(len(steps), micros(arrived), dtype=np.int64)
    return Points(metric=wire.metric, steps=steps, values=np.array(wire.values, dtype=np.float64), times_us=times)


def to_points(points: Points) -> metric_pb2.MetricPoints:
    return metric_pb2.MetricPoints(
        metric=points.metric,
        steps=points.steps.tolist(),
        values=points.values.tolist(),
        times_us=points.times_us.tolist(),
    )


def to_history(metric: str, rows: Iterable[tuple[int, float, int]]) -> metric_pb2.MetricPoints:
    points = metric_pb2.MetricPoints(metric=metric)
    for step, value, time_us in rows:
        points.steps.append(step)
        points.values.append(value)
        points.times_us.append(time_us)
    return points


def to_experiment(experiment: Experiment) -> experiment_pb2.Experiment:
    return experiment_pb2.Experiment(
        id=experiment.id,
        project=experiment.project,
        name=experiment.name,
        description=experiment.description,
        tags=experiment.tags,
        metric_definitions=map(_to_metric_definition, experiment.metric_definitions),
        parameter_definitions=map(_to_parameter_definition, experiment.parameter_definitions),
        create_time=to_timestamp(experiment.create_time),
        update_time=to_timestamp(experiment.update_time),
    )


def to_configuration(configuration: Configuration) -> experiment_pb2.Configuration:
    return experiment_pb2.Configuration(
        id=configuration.id,
        entry=configuration.entry,
        params=to_params(configuration.params),
        run_count=configuration.run_count,
    )


def to_run(run: Run, *, stale: bool) -> run_pb2.Run:
    return run_pb2.Run(
        id=run.id,
        experiment_id=run.experiment_id,
        name=run.name,
        state=STATES[run.state],
        state_reason=run.state_reason,
        seed=run.seed,
        params=to_params(run.params),
        configuration_id=run.configuration_id,
        tags=run.tags,
        metrics={metric: _to_summary(summary) for metric, summary in run.metrics.items()},
        create_time=to_timestamp(run.create_time),
        end_time=None if run.end_time is None else to_timestamp(run.end_time),
        heartbeat_time=to_timestamp(run.heartbeat_time),
        stale=stale,
    )


def to_params(params: Mapping[str, Parameter]) -> dict[str, parameter_pb2.ParameterValue]:
    return {name: to_value(value) for name, value in params.items()}


def to_value(value: Parameter) -> parameter_pb2.ParameterValue:
    if isinstance(value, bool):
        return parameter_pb2.ParameterValue(bool_value=value)
    if isinstance(value, int):
        return parameter_pb2.ParameterValue(int_value=value)
    if isinstance(value, float):
        return parameter_pb2.ParameterValue(double_value=value)
    return parameter_pb2.ParameterValue(string_value=value)


def _from_params(wire: Mapping[str, parameter_pb2.ParameterValue], field: str) -> dict[str, Parameter]:
    return {name: _from_value(value, f"{field}.{name}") for name, value in wire.items()}


def _from_value(wire: parameter_pb2.ParameterValue, field: str) -> Parameter:
    kind = wire.WhichOneof("kind")
    if kind is None:
        raise InvalidArgument("PARAMETER_EMPTY", field=field, remedy="give it a number, a text or a truth value")
    value: Parameter = getattr(wire, kind)
    return value


def _to_summary(summary: MetricSummary) -> metric_pb2.MetricSummary:
    return metric_pb2.MetricSummary(
        count=summary.count,
        nan_count=summary.nan_count,
        infinite_count=summary.infinite_count,
        first_step=summary.first_step,
        last_step=summary.last_step,
        last=summary.last,
        min=summary.min,
        min_step=summary.min_step,
        max=summary.max,
        max_step=summary.max_step,
    )


def _from_metric_definition(wire: metric_pb2.MetricDefinition, field: str) -> MetricDefinition:
    return MetricDefinition(
        name=wire.name,
        direction=DIRECTIONS.asked(wire.direction, field=f"{field}.direction"),
        reducer=REDUCERS.asked(wire.reducer, field=f"{field}.reducer"),
        unit=wire.unit,
    )


def _to_metric_definition(definition: MetricDefinition) -> metric_pb2.MetricDefinition:
    return metric_pb2.MetricDefinition(
        name=definition.name,
        direction=to_direction(definition.direction),
        reducer=metric_pb2.REDUCER_UNSPECIFIED if definition.reducer is None else REDUCERS[definition.reducer],
        unit=definition.unit,
    )


def to_direction(direction: Direction | None) -> Any:
    return metric_pb2.DIRECTION_UNSPECIFIED if direction is None else DIRECTIONS[direction]


def _from_parameter_definition(wire: parameter_pb2.ParameterDefinition) -> ParameterDefinition:
    return ParameterDefinition(
        name=wire.name,
        scale=SCALES.member(wire.scale, field="parameter_definitions.scale"),
        role=_ROLES.member(wire.role, field="parameter_definitions.role"),
    )


def _to_parameter_definition(definition: ParameterDefinition) -> parameter_pb2.ParameterDefinition:
    return parameter_pb2.ParameterDefinition(name=definition.name, scale=SCALES[definition.scale], role=_ROLES[definition.role])
