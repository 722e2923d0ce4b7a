"""What callers ask to be recorded or changed, before it has an id and a time."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from synapsenet.errors import FailedPrecondition, InvalidArgument
from synapsenet.experiments.configuration import canonical, configuration_id, seed_of
from synapsenet.experiments.model import (
    DEFAULT_PROJECT,
    Experiment,
    MetricDefinition,
    Parameter,
    ParameterDefinition,
    Run,
    RunState,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentWish:
    """A new experiment."""

    name: str
    project: str = ""
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    metric_definitions: tuple[MetricDefinition, ...] = ()
    parameter_definitions: tuple[ParameterDefinition, ...] = ()

    def created(self, at: datetime, *, id: str) -> Experiment:
        return Experiment(
            id=id,
            project=self.project or DEFAULT_PROJECT,
            name=self.name,
            description=self.description,
            tags=self.tags,
            metric_definitions=self.metric_definitions,
            parameter_definitions=self.parameter_definitions,
            create_time=at,
            update_time=at,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentChange:
    """A change of an experiment; None leaves as it is."""

    name: str | None = None
    description: str | None = None
    set_tags: Mapping[str, str] = field(default_factory=dict)
    remove_tags: Collection[str] = ()
    metric_definitions: tuple[MetricDefinition, ...] = ()

    def applied(self, experiment: Experiment, at: datetime) -> Experiment:
        definitions = {definition.name: definition for definition in experiment.metric_definitions}
        definitions.update((definition.name, definition) for definition in self.metric_definitions)
        return replace(
            experiment,
            name=experiment.name if self.name is None else self.name,
            description=experiment.description if self.description is None else self.description,
            tags=_changed(experiment.tags, self.set_tags, self.remove_tags),
            metric_definitions=tuple(definitions.values()),
            update_time=at,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RunWish:
    """A new run."""

    experiment_id: str
    name: str = ""
    seed: int | None = None
    params: Mapping[str, Parameter] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)

    def started(self, at: datetime, experiment: Experiment, *, id: str) -> Run:
        run = Run(
            id=id,
            experiment_id=experiment.id,
            name=self.name,
            seed=self.seed,
            params=self.params,
            tags=self.tags,
            create_time=at,
            heartbeat_time=at,
        )
        return _configured(run, experiment)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunChange:
    """A change of a run; None leaves as it is."""

    name: str | None = None
    params: Mapping[str, Parameter] = field(default_factory=dict)
    set_tags: Mapping[str, str] = field(default_factory=dict)
    remove_tags: Collection[str] = ()

    def applied(self, run: Run, experiment: Experiment) -> Run:
        """The changed run.

        Raises:
            FailedPrecondition: PARAMETER_FIXED, the run has one of the parameters with another value.
        """
        for name, value in self.params.items():
            if name in run.params and canonical(run.params[name]) != canonical(value):
                raise FailedPrecondition(
                    "PARAMETER_FIXED",
                    f"{name} of {run.id} is {run.params[name]!r} already",
                    field=f"add_params.{name}",
                    remedy="start another run for other hyperparameters",
                )
        changed = replace(
            run,
            name=run.name if self.name is None else self.name,
            params={**self.params, **run.params},
            tags=_changed(run.tags, self.set_tags, self.remove_tags),
        )
        return _configured(changed, experiment)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a run ended."""

    state: RunState = RunState.FINISHED
    reason: str = ""

    def applied(self, run: Run, at: datetime) -> Run:
        """The ended run; itself, if it ended so before.

        Raises:
            FailedPrecondition: RUN_ENDED, it ended in another way before.
            InvalidArgument: RUN_NOT_ENDED, RUNNING is no ending.
        """
        if self.state is RunState.RUNNING:
            raise InvalidArgument(
                "RUN_NOT_ENDED", field="state", remedy="give FINISHED, FAILED or CANCELLED; a heartbeat says that it runs"
            )
        if run.state is self.state:
            return run
        if run.state is not RunState.RUNNING:
            raise FailedPrecondition(
                "RUN_ENDED", f"{run.id} is {run.state.value} already", field="state", remedy="start another run"
            )
        return replace(run, state=self.state, state_reason=self.reason, end_time=at, heartbeat_time=at)


def _configured(run: Run, experiment: Experiment) -> Run:
    definitions = experiment.parameter_definitions
    return replace(
        run,
        configuration_id=configuration_id(run.params, definitions),
        seed=seed_of(run.params, definitions) if run.seed is None else run.seed,
    )


def _changed(tags: Mapping[str, str], changes: Mapping[str, str], removed: Collection[str]) -> dict[str, str]:
    return {name: text for name, text in {**tags, **changes}.items() if name not in removed}
