"""What experiments promise and do not do yet."""

from __future__ import annotations

from synapsenet.experiments.availability import FUTURE_OPTIONS
from synapsenet_servers.not_yet_available.row import Row

_SERVICE = "/synapsenet.experiments.v1.AnalysisService"

ROWS: tuple[Row, ...] = (
    Row(method=f"{_SERVICE}/CompareTrajectories", brings="How a metric evolved over steps, compared between experiments."),
    Row(method=f"{_SERVICE}/SearchExperiments", option="filter=at()", brings="Filters on a metric's value at a step."),
    Row(method=f"{_SERVICE}/SearchExperiments", option="order_by=at()", brings="Orders by a metric's value at a step."),
    *(Row(method=f"{_SERVICE}/CompareExperiments", option=future.option, brings=future.brings) for future in FUTURE_OPTIONS),
    Row(
        method=f"{_SERVICE}/GetHyperparameterImportance",
        option="interactions",
        brings="Which pairs of hyperparameters matter together.",
    ),
)
