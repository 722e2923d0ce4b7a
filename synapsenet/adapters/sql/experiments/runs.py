"""The tables `runs`, `params` and `tags`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from synapsenet.adapters.sql.experiments.conditions import condition
from synapsenet.adapters.sql.experiments.experiments import SqlExperimentRecords
from synapsenet.adapters.sql.experiments.ordering import ordered
from synapsenet.adapters.sql.experiments.series import summary_from_row
from synapsenet.adapters.sql.experiments.tables import experiments, params, runs, series, tags
from synapsenet.adapters.sql.keyset import Key, page_of
from synapsenet.experiments.configuration import Configuration
from synapsenet.experiments.model import MetricSummary, Parameter, Run, RunState
from synapsenet.experiments.ports import Match, Query, RunRecords
from synapsenet.platform.paging import Page, PageRequest

_NEWEST_FIRST = (Key(runs.c.create_time, descending=True), Key(runs.c.id))
_BATCH = 1000  # ids in one statement


class SqlRunRecords(RunRecords):
    """The runs of one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, run: Run) -> None:
        self._connection.execute(insert(runs), _to_row(run))
        self._label(run)

    def replace(self, run: Run) -> None:
        self._connection.execute(update(runs).where(runs.c.id == run.id), _to_row(run))
        self._connection.execute(delete(params).where(params.c.run_id == run.id))
        self._connection.execute(delete(tags).where(tags.c.run_id == run.id))
        self._label(run)

    def _label(self, run: Run) -> None:
        if run.params:
            rows = [{"run_id": run.id, "name": name, **_to_columns(value)} for name, value in run.params.items()]
            self._connection.execute(insert(params), rows)
        if run.tags:
            rows = [{"run_id": run.id, "name": name, "text": text} for name, text in run.tags.items()]
            self._connection.execute(insert(tags), rows)

    def find(self, id: str) -> Run | None:
        found = self._filled(self._connection.execute(select(runs).where(runs.c.id == id)).all())
        return found[0] if found else None

    def heard(self, id: str, at: datetime) -> RunState | None:
        heard = update(runs).where(runs.c.id == id).values(heartbeat_time=at).returning(runs.c.state)
        state = self._connection.execute(heard).scalar()
        return None if state is None else RunState(state)

    def count(self, experiment_id: str) -> int:
        counted = select(func.count()).where(runs.c.experiment_id == experiment_id)
        return int(self._connection.execute(counted).scalar_one())

    def page(
        self, experiment_id: str, page: PageRequest, *, states: Collection[RunState] = (), configuration_id: str = ""
    ) -> Page[Run]:
        wanted = select(runs).where(runs.c.experiment_id == experiment_id)
        if states:
            wanted = wanted.where(runs.c.state.in_([state.value for state in states]))
        if configuration_id:
            wanted = wanted.where(runs.c.configuration_id == configuration_id)
        found = page_of(self._connection, wanted, _NEWEST_FIRST, page)
        return Page(self._filled(found.items), found.next_token)

    def of(self, experiment_ids: Collection[str], *, limit: int) -> dict[str, list[Run]]:
        wanted = select(runs).where(runs.c.experiment_id.in_(experiment_ids)).order_by(runs.c.id).limit(limit)
        grouped: dict[str, list[Run]] = defaultdict(list)
        for run in self._filled(self._connection.execute(wanted).all()):
            grouped[run.experiment_id].append(run)
        return dict(grouped)

    def configurations(self, experiment_id: str, page: PageRequest) -> Page[Configuration]:
        grouped = (
            select(runs.c.configuration_id, func.count().label("run_count"), func.min(runs.c.id).label("example"))
            .where(runs.c.experiment_id == experiment_id)
            .group_by(runs.c.configuration_id)
        )
        found = page_of(self._connection, grouped, (Key(runs.c.configuration_id),), page)
        labels = self._params([row.example for row in found.items])
        return Page(
            tuple(
                Configuration(
                    id=row.configuration_id,
                    experiment_id=experiment_id,
                    params=labels[row.example],
                    run_count=row.run_count,
                )
                for row in found.items
            ),
            found.next_token,
        )

    def delete(self, id: str) -> None:
        self._connection.execute(delete(runs).where(runs.c.id == id))

    def search(self, query: Query, page: PageRequest) -> Page[Run]:
        source, keys = ordered(query.ordering)
        wanted = select(runs).select_from(source).where(*_wanted(query))
        found = page_of(self._connection, wanted, keys, page)
        return Page(self._filled(found.items), found.next_token)

    def search_by_experiment(self, query: Query, page: PageRequest, *, runs: int) -> Page[Match]:
        ranked, keys = _ranked(query)
        leaders = select(ranked.c.experiment_id, ranked.c.matching).where(ranked.c.place == 1)
        found = page_of(self._connection, leaders, keys, page)
        ids = [row.experiment_id for row in found.items]
        listed = select(ranked.c.id).where(ranked.c.experiment_id.in_(ids), ranked.c.place <= runs).order_by(ranked.c.place)
        by_experiment = self._in_order(self._connection.execute(listed).scalars().all())
        known = SqlExperimentRecords(self._connection).find(ids)
        return Page(
            tuple(
                Match(
                    experiment=known[row.experiment_id],
                    matching_runs=row.matching,
                    runs=tuple(by_experiment[row.experiment_id]),
                )
                for row in found.items
            ),
            found.next_token,
        )

    def _in_order(self, ids: Sequence[str]) -> dict[str, list[Run]]:
        """The runs by experiment, in the order of `ids`."""
        grouped: dict[str, list[Run]] = defaultdict(list)
        for batch in _batches(ids):
            rows = {row.id: row for row in self._connection.execute(select(runs).where(runs.c.id.in_(batch)))}
            for run in self._filled([rows[run_id] for run_id in batch]):
                grouped[run.experiment_id].append(run)
        return grouped

    def _filled(self, rows: Sequence[Row[Any]]) -> tuple[Run, ...]:
        """The runs of `rows`, in their order, with all that hangs on them."""
        filled: list[Run] = []
        for batch in _batches(rows):
            ids = [row.id for row in batch]
            labels, texts, summaries = self._params(ids), self._tags(ids), self._summaries(ids)
            filled.extend(_from_row(row, labels[row.id], texts[row.id], summaries[row.id]) for row in batch)
        return tuple(filled)

    def _params(self, ids: Sequence[str]) -> dict[str, dict[str, Parameter]]:
        labels: dict[str, dict[str, Parameter]] = defaultdict(dict)
        for row in self._connection.execute(select(params).where(params.c.run_id.in_(ids)).order_by(params.c.name)):
            labels[row.run_id][row.name] = _from_columns(row.number, row.whole, row.text)
        return labels

    def _tags(self, ids: Sequence[str]) -> dict[str, dict[str, str]]:
        texts: dict[str, dict[str, str]] = defaultdict(dict)
        for row in self._connection.execute(select(tags).where(tags.c.run_id.in_(ids)).order_by(tags.c.name)):
            texts[row.run_id][row.name] = row.text
        return texts

    def _summaries(self, ids: Sequence[str]) -> dict[str, dict[str, MetricSummary]]:
        summaries: dict[str, dict[str, MetricSummary]] = defaultdict(dict)
        for row in self._connection.execute(select(series).where(series.c.run_id.in_(ids)).order_by(series.c.metric)):
            summaries[row.run_id][row.metric] = summary_from_row(row)
        return summaries


def _wanted(query: Query) -> list[Any]:
    wanted = [] if query.filter is None else [condition(query.filter)]
    return [*wanted, experiments.c.project == query.project] if query.project else wanted


def _ranked(query: Query) -> tuple[Any, list[Key]]:
    """Matching runs with their place in their experiment and their number there; the keys are those of this subquery."""
    source, keys = ordered(query.ordering)
    labels = [f"sort_{number}" for number in range(len(keys))]
    ranked = (
        select(
            runs.c.id,
            runs.c.experiment_id,
            *(key.column.label(label) for key, label in zip(keys, labels, strict=True)),
            func.row_number().over(partition_by=runs.c.experiment_id, order_by=[key.order for key in keys]).label("place"),
            func.count().over(partition_by=runs.c.experiment_id).label("matching"),
        )
        .select_from(source)
        .where(*_wanted(query))
        .subquery()
    )
    return ranked, [Key(ranked.c[label], key.descending) for key, label in zip(keys, labels, strict=True)]


def _batches(items: Sequence[Any]) -> list[Sequence[Any]]:
    return [items[start : start + _BATCH] for start in range(0, len(items), _BATCH)]


def _to_columns(value: Parameter) -> dict[str, Any]:
    if isinstance(value, str):
        return {"number": None, "whole": None, "text": value}
    if isinstance(value, bool):
        return {"number": None, "whole": int(value), "text": None}
    return {"number": float(value), "whole": value if isinstance(value, int) else None, "text": None}


def _from_columns(number: float | None, whole: int | None, text: str | None) -> Parameter:
    if text is not None:
        return text
    if number is None:
        return bool(whole)
    return number if whole is None else whole


def _to_row(run: Run) -> dict[str, Any]:
    return {
        "id": run.id,
        "experiment_id": run.experiment_id,
        "name": run.name,
        "state": run.state.value,
        "state_reason": run.state_reason,
        "seed": run.seed,
        "configuration_id": run.configuration_id,
        "create_time": run.create_time,
        "end_time": run.end_time,
        "heartbeat_time": run.heartbeat_time,
    }


def _from_row(row: Row[Any], labels: dict[str, Parameter], texts: dict[str, str], summaries: dict[str, MetricSummary]) -> Run:
    return Run(
        id=row.id,
        experiment_id=row.experiment_id,
        name=row.name,
        state=RunState(row.state),
        state_reason=row.state_reason,
        seed=row.seed,
        params=labels,
        configuration_id=row.configuration_id,
        tags=texts,
        metrics=summaries,
        create_time=row.create_time,
        end_time=row.end_time,
        heartbeat_time=row.heartbeat_time,
    )
