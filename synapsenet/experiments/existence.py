"""What a request names must exist, before anything else is asked about it."""

from __future__ import annotations

from synapsenet.errors import NotFound
from synapsenet.experiments.model import Experiment, Run
from synapsenet.experiments.ports import ExperimentsWork


def existing(tx: ExperimentsWork, experiment_id: str) -> Experiment:
    """The experiment. Raises NotFound EXPERIMENT_UNKNOWN."""
    experiment = tx.experiments.find([experiment_id]).get(experiment_id)
    if experiment is None:
        raise NotFound(
            "EXPERIMENT_UNKNOWN",
            f"there is no experiment {experiment_id}",
            field="experiment_id",
            remedy="list the experiments for those that there are",
            metadata={"experiment_id": experiment_id},
        )
    return experiment


def existing_run(tx: ExperimentsWork, run_id: str) -> Run:
    """The run. Raises NotFound RUN_UNKNOWN."""
    run = tx.runs.find(run_id)
    if run is None:
        raise unknown_run(run_id)
    return run


def unknown_run(run_id: str) -> NotFound:
    """What to raise for a run that does not exist."""
    remedy = "list an experiment's runs for those that there are"
    return NotFound("RUN_UNKNOWN", f"there is no run {run_id}", field="run_id", remedy=remedy, metadata={"run_id": run_id})
