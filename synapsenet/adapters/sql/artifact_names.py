"""Which artifacts the records of areas name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from sqlalchemy import Connection, select

from synapsenet.adapters.sql.features import training_sets
from synapsenet.adapters.sql.registry import versions
from synapsenet.adapters.sql.training import jobs
from synapsenet.features.model import TrainingSet
from synapsenet.platform.records import decode
from synapsenet.training.model import Job

_BATCH = 500


def _of_versions(connection: Connection) -> set[str]:
    stored = connection.execute(select(versions.c.artifact_sha256).where(versions.c.artifact_sha256.is_not(None)))
    return set(stored.scalars())


def _of_training_sets(connection: Connection) -> set[str]:
    stored = connection.execution_options(yield_per=_BATCH).execute(select(training_sets.c.record))
    return {decode(TrainingSet, record).sha256 for record in stored.scalars()}


def _of_jobs(connection: Connection) -> set[str]:
    stored = connection.execution_options(yield_per=_BATCH).execute(select(jobs.c.record))
    results = (decode(Job, record).result for record in stored.scalars())
    return {result.parameters_sha256 for result in results if result is not None}


_NAMING: Mapping[str, Callable[[Connection], set[str]]] = {
    "registry": _of_versions,
    "features": _of_training_sets,
    "training": _of_jobs,
}


def artifacts_named(area: str, connection: Connection) -> Sequence[str]:
    """The SHA-256 of every artifact that `area`'s records name on `connection`'s snapshot, each once, in order."""
    naming = _NAMING.get(area)
    return [] if naming is None else sorted(naming(connection))
