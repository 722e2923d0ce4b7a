"""All tables in one."""

from __future__ import annotations

from synapsenet_servers.not_yet_available import (
    experiments,
    features,
    inference,
    lifecycle,
    models,
    monitoring,
    registry,
    training,
)
from synapsenet_servers.not_yet_available.row import Row

TABLE: tuple[Row, ...] = (
    *features.ROWS,
    *monitoring.ROWS,
    *models.ROWS,
    *registry.ROWS,
    *lifecycle.ROWS,
    *inference.ROWS,
    *experiments.ROWS,
    *training.ROWS,
)
