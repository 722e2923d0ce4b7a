"""What the contracts of sagas promise and this release does not do yet."""

from __future__ import annotations

from synapsenet_servers.not_yet_available.row import Row

_PARTICIPANT = "/synapsenet.lifecycle.v1.ParticipantControlService"

ROWS: tuple[Row, ...] = (
    Row(method=f"{_PARTICIPANT}/PrepareStep", brings="services will take part in sagas"),
    Row(method=f"{_PARTICIPANT}/ExecuteStep", brings="services will take part in sagas"),
    Row(method=f"{_PARTICIPANT}/CompensateStep", brings="services will take part in sagas"),
)
