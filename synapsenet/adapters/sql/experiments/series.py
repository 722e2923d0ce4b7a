"""The tables `series` and `points`."""

from __future__ import annotations

from typing import Any

import numpy as np
from sqlalchemy import Connection, Row, insert, select, update

from synapsenet.adapters.sql.experiments.floats import FINITE, from_columns, to_columns
from synapsenet.adapters.sql.experiments.tables import points as table
from synapsenet.adapters.sql.experiments.tables import series
from synapsenet.experiments.model import MetricSummary
from synapsenet.experiments.ports import SeriesRecords, Window
from synapsenet.experiments.series import Int64s, Logged, Points, merge, summarize


class SqlSeriesRecords(SeriesRecords):
    """The series of one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, run_id: str, points: Points) -> Logged:
        offered, points = len(points), points.ordered()
        if not len(points):
            return Logged()
        known = self._connection.execute(
            select(series).where(series.c.run_id == run_id, series.c.metric == points.metric)
        ).one_or_none()
        if known is not None:
            points = points.without(self._taken(known, points))
        if len(points):
            self._connection.execute(insert(table), _rows(self._summarized(run_id, known, points), points))
        return Logged(stored=len(points), repeated=offered - len(points))

    def _taken(self, known: Row[Any], points: Points) -> Int64s:
        """Steps within the range of `points` that have a value."""
        first, last = int(points.steps[0]), int(points.steps[-1])
        if first > known.last_step:  # a run that goes on, mostly
            return np.empty(0, dtype=np.int64)
        taken = select(table.c.step).where(table.c.series_id == known.id, table.c.step.between(first, last))
        return np.array(self._connection.execute(taken).scalars().all(), dtype=np.int64)

    def _summarized(self, run_id: str, known: Row[Any] | None, points: Points) -> int:
        """Bring the summary up to the new `points`; the number of the series."""
        if known is None:
            row = {"run_id": run_id, "metric": points.metric, **_summary_to_row(summarize(points))}
            return int(self._connection.execute(insert(series).returning(series.c.id), row).scalar_one())
        summary = merge(summary_from_row(known), summarize(points))
        self._connection.execute(update(series).where(series.c.id == known.id), _summary_to_row(summary))
        return int(known.id)

    def read(self, run_id: str, metric: str, window: Window, *, limit: int) -> Points:
        wanted = (
            select(table.c.step, table.c.value, table.c.kind, table.c.time_us)
            .join(series, series.c.id == table.c.series_id)
            .where(series.c.run_id == run_id, series.c.metric == metric)
            .order_by(table.c.step)
            .limit(limit)
        )
        if window.start is not None:
            wanted = wanted.where(table.c.step >= window.start)
        if window.end is not None:
            wanted = wanted.where(table.c.step < window.end)
        rows = self._connection.execute(wanted).all()
        return Points(
            metric=metric,
            steps=np.array([row.step for row in rows], dtype=np.int64),
            values=np.array([from_columns(row.value, row.kind) for row in rows], dtype=np.float64),
            times_us=np.array([row.time_us for row in rows], dtype=np.int64),
        )


def summary_from_row(row: Row[Any]) -> MetricSummary:
    return MetricSummary(
        count=row._mapping["count"],  # Row is a tuple, with a method of that name
        nan_count=row.nan_count,
        infinite_count=row.infinite_count,
        first_step=row.first_step,
        last_step=row.last_step,
        last=from_columns(row.last, row.last_kind),
        min=row.min,
        min_step=row.min_step,
        max=row.max,
        max_step=row.max_step,
    )


def _summary_to_row(summary: MetricSummary) -> dict[str, Any]:
    last, kind = to_columns(summary.last)
    return {
        "count": summary.count,
        "nan_count": summary.nan_count,
        "infinite_count": summary.infinite_count,
        "first_step": summary.first_step,
        "last_step": summary.last_step,
        "last": last,
        "last_kind": kind,
        "min": summary.min,
        "min_step": summary.min_step,
        "max": summary.max,
        "max_step": summary.max_step,
    }


def _rows(series_id: int, points: Points) -> list[dict[str, Any]]:
    columns = zip(points.steps.tolist(), points.values.tolist(), points.times_us.tolist(), strict=True)
    if np.isfinite(points.values).all():
        return [
            {"series_id": series_id, "step": step, "value": value, "kind": FINITE, "time_us": time_us}
            for step, value, time_us in columns
        ]
    return [
        {"series_id": series_id, "step": step, "value": known, "kind": kind, "time_us": time_us}
        for step, value, time_us in columns
        for known, kind in [to_columns(value)]
    ]
