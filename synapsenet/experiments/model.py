"""What is recorded: experiments and their runs, with what is said of metrics and hyperparameters."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import TypeAlias

from synapsenet.errors import InvalidArgument

Parameter: TypeAlias = bool | int | float | str

EXPERIMENT_IDS = "exp"
RUN_IDS = "run"
DEFAULT_PROJECT = "default"
LONGEST_NAME = 250
LONGEST_TEXT = 4096
MOST_LABELS = 1000
LARGEST_INTEGER = 2**63 - 1


class RunState(Enum):
    """Where a run stands."""

    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Direction(Enum):
    """Which values of a metric are the better ones."""

    MAXIMIZE = "maximize"
    MINIMIZE = "minimize"


class Reducer(Enum):
    """How a series becomes the one number that stands for its run; BEST is MIN or MAX by the direction."""

    LAST = "last"
    MIN = "min"
    MAX = "max"
    BEST = "best"


class ParameterScale(Enum):
    """On which scale a parameter's values lie; AUTO takes it from the values."""

    AUTO = "auto"
    LINEAR = "linear"
    LOG = "log"


class ParameterRole(Enum):
    """What a parameter is for; AUTO takes it from the name."""

    AUTO = "auto"
    TUNED = "tuned"
    SEED = "seed"
    IGNORED = "ignored"


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricDefinition:
    """What an experiment says of one of its metrics; None leaves it to the name or the request."""

    name: str
    direction: Direction | None = None
    reducer: Reducer | None = None
    unit: str = ""

    def __post_init__(self) -> None:
        check_name(self.name, "metric_definitions.name")


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterDefinition:
    """What an experiment says of one of its hyperparameters."""

    name: str
    scale: ParameterScale = ParameterScale.AUTO
    role: ParameterRole = ParameterRole.AUTO

    def __post_init__(self) -> None:
        check_name(self.name, "parameter_definitions.name")


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """A question put to training, answered by runs. Its name is unique in its project."""

    id: str
    project: str
    name: str
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    metric_definitions: tuple[MetricDefinition, ...] = ()
    parameter_definitions: tuple[ParameterDefinition, ...] = ()
    create_time: datetime
    update_time: datetime

    def __post_init__(self) -> None:
        check_name(self.name, "name")
        check_name(self.project, "project")
        check_text(self.description, "description")
        check_tags(self.tags)
        _check_unique([definition.name for definition in self.metric_definitions], "metric_definitions")
        _check_unique([definition.name for definition in self.parameter_definitions], "parameter_definitions")

    def definition_of(self, metric: str) -> MetricDefinition | None:
        """What is said of `metric`; None if nothing is."""
        return next((known for known in self.metric_definitions if known.name == metric), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricSummary:
    """What is known of one metric of one run without reading its points.

    Attributes:
        count: points, of which `nan_count` are no numbers and `infinite_count` infinite.
        last: the value at `last_step`, possibly non-finite.
        min: the lowest finite value and the lowest step that has it; None if there is none. `max` alike.
    """

    count: int
    nan_count: int
    infinite_count: int
    first_step: int
    last_step: int
    last: float
    min: float | None
    min_step: int | None
    max: float | None
    max_step: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One training with one set of hyperparameters and one seed.

    Attributes:
        configuration_id: hash of the tuned parameters; the same for all replicates.
        end_time: None while it runs.
        heartbeat_time: when it was last heard of.
    """

    id: str
    experiment_id: str
    name: str = ""
    state: RunState = RunState.RUNNING
    state_reason: str = ""
    seed: int | None = None
    params: Mapping[str, Parameter] = field(default_factory=dict)
    configuration_id: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, MetricSummary] = field(default_factory=dict)
    create_time: datetime
    end_time: datetime | None = None
    heartbeat_time: datetime

    def __post_init__(self) -> None:
        if self.name:
            check_name(self.name, "name")
        check_text(self.state_reason, "reason")
        check_params(self.params)
        check_tags(self.tags)

    def silent_for(self, now: datetime) -> float:
        """Seconds since it was last heard of; 0 once it has ended."""
        return 0.0 if self.state is not RunState.RUNNING else (now - self.heartbeat_time).total_seconds()


def check_name(name: str, path: str) -> None:
    """Refuse a name that people could not read or tell apart.

    Raises:
        InvalidArgument: NAME_INVALID, it is empty, too long, unprintable or padded with blanks.
    """
    if not name or len(name) > LONGEST_NAME or not name.isprintable() or name != name.strip():
        raise InvalidArgument(
            "NAME_INVALID",
            f"{path}: {name[:40]!r} is no name",
            field=path,
            remedy=f"give 1 to {LONGEST_NAME} printable characters without blanks around them",
        )


def check_text(text: str, path: str) -> None:
    """Refuse a text that is too long (TEXT_TOO_LONG), or has a null character, which a database may refuse (TEXT_INVALID)."""
    if "\0" in text:
        raise InvalidArgument("TEXT_INVALID", f"{path} has a null character", field=path, remedy="leave it out")
    if len(text) > LONGEST_TEXT:
        raise InvalidArgument("TEXT_TOO_LONG", field=path, remedy=f"keep it within {LONGEST_TEXT} characters")


def check_tags(tags: Mapping[str, str]) -> None:
    """Refuse too many labels (TOO_MANY_LABELS), a bad name (NAME_INVALID) or a long text (TEXT_TOO_LONG)."""
    _check_count(len(tags), "tags")
    for name, text in tags.items():
        check_name(name, "tags")
        check_text(text, f"tags.{name}")


def check_params(params: Mapping[str, Parameter]) -> None:
    """Refuse hyperparameters that could not be stored and compared.

    Raises:
        InvalidArgument: TOO_MANY_LABELS, NAME_INVALID, TEXT_TOO_LONG, or PARAMETER_NOT_FINITE for NaN, an infinity or an
            integer outside 64 bits.
    """
    _check_count(len(params), "params")
    for name, value in params.items():
        check_name(name, "params")
        if isinstance(value, str):
            check_text(value, f"params.{name}")
        elif not math.isfinite(value) or (abs(value) > LARGEST_INTEGER and isinstance(value, int)):
            raise InvalidArgument("PARAMETER_NOT_FINITE", field=f"params.{name}", remedy="give a finite number, or a text")


def _check_count(count: int, path: str) -> None:
    if count > MOST_LABELS:
        raise InvalidArgument("TOO_MANY_LABELS", field=path, remedy=f"keep to {MOST_LABELS}")


def _check_unique(names: list[str], path: str) -> None:
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InvalidArgument("DEFINED_TWICE", f"{path}: {twice} is defined twice", field=path, remedy="define it once")
