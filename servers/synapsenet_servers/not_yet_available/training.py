"""What training promises and does not do yet."""

from __future__ import annotations

from synapsenet.training.availability import FUTURE_OPTIONS
from synapsenet_servers.not_yet_available.row import Row

_SERVICE = "/synapsenet.training.v1.TrainingService"

ROWS: tuple[Row, ...] = (
    Row(method=f"{_SERVICE}/ScaleJob", brings="Workers that join and leave a running job."),
    Row(method=f"{_SERVICE}/ListCheckpoints", brings="Checkpoints, from which a job can go on."),
    Row(method=f"{_SERVICE}/ReadAudit", brings="The verdict on every gradient that a job was offered."),
    *(Row(method=f"{_SERVICE}/CreateJob", option=future.option, brings=future.brings) for future in FUTURE_OPTIONS),
)
