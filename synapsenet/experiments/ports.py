"""What the area asks of the world: its records, inside one unit of work."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from synapsenet.experiments.configuration import Configuration
from synapsenet.experiments.filtering import Filter, Ordering
from synapsenet.experiments.model import Experiment, Run, RunState
from synapsenet.experiments.series import Logged, Points
from synapsenet.platform.paging import Page, PageRequest
from synapsenet.platform.work import UnitOfWork


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Steps in [start, end); None leaves a side open."""

    start: int | None = None
    end: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Which runs are wanted, and in which order.

    Attributes:
        filter: None for all.
        ordering: most important first; runs that lack the value come last, ties go by run id. Empty: newest first.
        project: empty for all.
    """

    filter: Filter | None = None
    ordering: tuple[Ordering, ...] = ()
    project: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """An experiment, how many of its runs match, and the first of them."""

    experiment: Experiment
    matching_runs: int
    runs: tuple[Run, ...]


class ExperimentRecords(ABC):
    """The experiments."""

    @abstractmethod
    def add(self, experiment: Experiment) -> None:
        """Keep a new experiment.

        Raises:
            AlreadyExists: EXPERIMENT_NAME_TAKEN, the project has another one of that name.
        """

    @abstractmethod
    def replace(self, experiment: Experiment) -> None:
        """Keep `experiment` in the place of the one with its id.

        Raises:
            AlreadyExists: EXPERIMENT_NAME_TAKEN.
        """

    @abstractmethod
    def find(self, ids: Collection[str]) -> dict[str, Experiment]:
        """Those that exist, by id."""

    @abstractmethod
    def page(self, project: str, page: PageRequest) -> Page[Experiment]:
        """Experiments of the project (of all, if it is empty), the newest first, ties by id."""

    @abstractmethod
    def delete(self, id: str) -> None:
        """Forget the experiment with its runs and their series."""


class RunRecords(ABC):
    """The runs, with their parameters, tags and metric summaries."""

    @abstractmethod
    def add(self, run: Run) -> None:
        """Keep a new run; its summaries are none of its own doing and are left out."""

    @abstractmethod
    def replace(self, run: Run) -> None:
        """Keep `run` in the place of the one with its id, again without its summaries."""

    @abstractmethod
    def find(self, id: str) -> Run | None: ...

    @abstractmethod
    def heard(self, id: str, at: datetime) -> RunState | None:
        """Note that the run was heard of; where it stands, None if there is no such run."""

    @abstractmethod
    def count(self, experiment_id: str) -> int: ...

    @abstractmethod
    def page(
        self, experiment_id: str, page: PageRequest, *, states: Collection[RunState] = (), configuration_id: str = ""
    ) -> Page[Run]:
        """Runs of the experiment, the newest first, ties by id; empty `states` and `configuration_id` take all."""

    @abstractmethod
    def of(self, experiment_ids: Collection[str], *, limit: int) -> dict[str, list[Run]]:
        """All runs of the experiments, by experiment, each ordered by id; at most `limit` in sum."""

    @abstractmethod
    def configurations(self, experiment_id: str, page: PageRequest) -> Page[Configuration]:
        """The configurations of the experiment, ordered by id, each with all parameters of one of its runs."""

    @abstractmethod
    def delete(self, id: str) -> None:
        """Forget the run and its series."""

    @abstractmethod
    def search(self, query: Query, page: PageRequest) -> Page[Run]:
        """The runs that match, in the order asked for."""

    @abstractmethod
    def search_by_experiment(self, query: Query, page: PageRequest, *, runs: int) -> Page[Match]:
        """Experiments with their matching runs, up to `runs` of each; an experiment stands where its first run does."""


class SeriesRecords(ABC):
    """The metric series of the runs."""

    @abstractmethod
    def add(self, run_id: str, points: Points) -> Logged:
        """Keep the points whose step has no value yet, and bring the series' summary up to them.

        The run exists. Non-finite values are kept as such. Of several points at one step the first stays.
        """

    @abstractmethod
    def read(self, run_id: str, metric: str, window: Window, *, limit: int) -> Points:
        """The first `limit` points of the window, ordered by step; none if there is no such series."""


class ExperimentsWork(UnitOfWork):
    """One transaction over experiments, runs and series."""

    experiments: ExperimentRecords
    runs: RunRecords
    series: SeriesRecords
