"""The table `experiments`."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from synapsenet.adapters.sql.experiments.tables import experiments
from synapsenet.adapters.sql.keyset import Key, page_of
from synapsenet.errors import AlreadyExists
from synapsenet.experiments.model import Experiment, MetricDefinition, ParameterDefinition
from synapsenet.experiments.ports import ExperimentRecords
from synapsenet.platform.paging import Page, PageRequest
from synapsenet.platform.records import decode, encode

_NEWEST_FIRST = (Key(experiments.c.create_time, descending=True), Key(experiments.c.id))


class SqlExperimentRecords(ExperimentRecords):
    """The experiments of one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, experiment: Experiment) -> None:
        self._refuse_taken(experiment)
        self._connection.execute(insert(experiments), _to_row(experiment))

    def replace(self, experiment: Experiment) -> None:
        self._refuse_taken(experiment)
        self._connection.execute(update(experiments).where(experiments.c.id == experiment.id), _to_row(experiment))

    def find(self, ids: Collection[str]) -> dict[str, Experiment]:
        rows = self._connection.execute(select(experiments).where(experiments.c.id.in_(ids)))
        return {row.id: _from_row(row) for row in rows}

    def page(self, project: str, page: PageRequest) -> Page[Experiment]:
        wanted = select(experiments)
        if project:
            wanted = wanted.where(experiments.c.project == project)
        found = page_of(self._connection, wanted, _NEWEST_FIRST, page)
        return Page(tuple(map(_from_row, found.items)), found.next_token)

    def delete(self, id: str) -> None:
        self._connection.execute(delete(experiments).where(experiments.c.id == id))

    def _refuse_taken(self, experiment: Experiment) -> None:
        taken = select(experiments.c.id).where(
            experiments.c.project == experiment.project,
            experiments.c.name == experiment.name,
            experiments.c.id != experiment.id,
        )
        if (other := self._connection.execute(taken).scalar()) is not None:
            raise AlreadyExists(
                "EXPERIMENT_NAME_TAKEN",
                f"project {experiment.project} has an experiment {experiment.name!r} already",
                field="name",
                remedy=f"use {other}, or take another name",
                metadata={"experiment_id": other},
            )


def _to_row(experiment: Experiment) -> dict[str, Any]:
    return {
        "id": experiment.id,
        "project": experiment.project,
        "name": experiment.name,
        "description": experiment.description,
        "tags": dict(experiment.tags),
        "metric_definitions": encode(experiment.metric_definitions).decode(),
        "parameter_definitions": encode(experiment.parameter_definitions).decode(),
        "create_time": experiment.create_time,
        "update_time": experiment.update_time,
    }


def _from_row(row: Row[Any]) -> Experiment:
    return Experiment(
        id=row.id,
        project=row.project,
        name=row.name,
        description=row.description,
        tags=row.tags,
        metric_definitions=decode(tuple[MetricDefinition, ...], row.metric_definitions.encode()),
        parameter_definitions=decode(tuple[ParameterDefinition, ...], row.parameter_definitions.encode()),
        create_time=row.create_time,
        update_time=row.update_time,
    )
