"""`synapsenet experiments`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from synapsenet_cli.inputs import pairs, scalars
from synapsenet_cli.session import Session, command

app = typer.Typer(help="Experiments and runs: record, search, compare, rank.", no_args_is_help=True)
runs = typer.Typer(help="Runs of an experiment.", no_args_is_help=True)
app.add_typer(runs, name="runs")

Experiment = Annotated[str, typer.Argument(metavar="EXPERIMENT")]
Run = Annotated[str, typer.Argument(metavar="RUN")]
Metric = Annotated[str, typer.Option(help="By default the one that all have.")]
Tags = Annotated[list[str] | None, typer.Option(metavar="KEY=VALUE", help="A tag; may be repeated.")]


@command(app, "create")
def create(
    session: Session,
    name: Annotated[str, typer.Argument(help="Unique in the project.")],
    project: Annotated[str, typer.Option(help="By default `default`.")] = "",
    description: Annotated[str, typer.Option(help="For people.")] = "",
    maximize: Annotated[list[str] | None, typer.Option(metavar="METRIC", help="More of it is better; may be repeated.")] = None,
    minimize: Annotated[list[str] | None, typer.Option(metavar="METRIC", help="Less of it is better; may be repeated.")] = None,
    tag: Tags = None,
) -> None:
    """Create an experiment."""
    created = session.client.experiments.create(
        name,
        project=project,
        description=description,
        tags=pairs("--tag", tag or []),
        maximize=maximize or [],
        minimize=minimize or [],
    )
    session.out.record(created)


@command(app, "get")
def get(session: Session, experiment: Experiment) -> None:
    """Show an experiment."""
    session.out.record(session.client.experiments.get(experiment))


@command(app, "list")
def list_experiments(session: Session, project: Annotated[str, typer.Option(help="Only of this project.")] = "") -> None:
    """List experiments, the newest first."""
    columns = {
        "ID": lambda experiment: experiment.id,
        "PROJECT": lambda experiment: experiment.project,
        "NAME": lambda experiment: experiment.name,
        "CREATED": lambda experiment: experiment.create_time.ToJsonString(),
    }
    session.out.table("experiments", session.client.experiments.list(project=project), columns)


@command(app, "delete")
def delete(
    session: Session,
    experiment: Experiment,
    force: Annotated[bool, typer.Option("--force", help="Delete its runs as well.")] = False,
) -> None:
    """Delete an experiment; it cannot be undone."""
    session.client.experiments.delete(experiment, force=force)
    session.out.said(f"deleted {experiment}", deleted=experiment)


@command(app, "configurations")
def configurations(session: Session, experiment: Experiment) -> None:
    """List the configurations of an experiment; ENTRY is how `compare` takes them."""
    columns = {
        "ENTRY": lambda configuration: configuration.entry,
        "RUNS": lambda configuration: configuration.run_count,
        "PARAMS": lambda configuration: _params(configuration.params),
    }
    session.out.table("configurations", session.client.experiments.list_configurations(experiment), columns)


@command(app, "search")
def search(
    session: Session,
    filter: Annotated[str, typer.Argument(help="E.g. 'learning_rate>=0.001 AND metrics.accuracy>0.9'; empty: all.")] = "",
    order_by: Annotated[str, typer.Option(help="E.g. 'metrics.accuracy desc'.")] = "",
    project: Annotated[str, typer.Option(help="Only of this project.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="Runs shown at most.")] = 50,
) -> None:
    """Find runs by their hyperparameters and metrics."""
    from itertools import islice

    found = session.client.experiments.search_runs(filter, order_by=order_by, project=project, page_size=min(limit, 1000))
    session.out.table("runs", islice(found, limit), _RUN_COLUMNS)


@command(app, "compare")
def compare(
    session: Session,
    entry: Annotated[list[str], typer.Argument(metavar="ID[@CONFIGURATION]…")],
    metric: Metric = "",
    at_step: Annotated[int | None, typer.Option(help="The value at this step.")] = None,
    direction: Annotated[str, typer.Option(help="MAXIMIZE or MINIMIZE.")] = "",
    correction: Annotated[str, typer.Option(help="HOLM, BENJAMINI_HOCHBERG or NONE.")] = "",
) -> None:
    """Compare experiments or configurations by a metric, with p-values for every pair."""
    answer = session.client.experiments.compare(
        entry, metric=metric, at_step=at_step, direction=direction, correction=correction
    )
    if session.out.as_json:
        session.out.record(answer)
        return
    columns = {
        "ENTRY": lambda line: line.entry,
        "N": lambda line: line.statistics.n,
        "MEAN": lambda line: line.statistics.mean,
        "SD": lambda line: line.statistics.sd,
        "LOW": lambda line: line.statistics.ci_low,
        "HIGH": lambda line: line.statistics.ci_high,
        "PARAMS": lambda line: _params(line.params),
    }
    session.out.table("entries", answer.entries, columns, extra={"metric": answer.metric})
    pairs_columns = {
        "FIRST": lambda pair: pair.first,
        "SECOND": lambda pair: pair.second,
        "DIFFERENCE": lambda pair: pair.difference,
        "P (ADJUSTED)": lambda pair: pair.adjusted_p_value if pair.HasField("adjusted_p_value") else _pair_status(pair),
    }
    if answer.pairs:
        session.out.table("pairs", answer.pairs, pairs_columns)


@command(app, "importance")
def importance(session: Session, experiment: Experiment, metric: Metric = "") -> None:
    """Rank hyperparameters by how much of a metric's variance they explain."""
    answer = session.client.experiments.importance(experiment, metric=metric)
    if session.out.as_json:
        session.out.record(answer)
        return
    columns = {
        "RANK": lambda parameter: parameter.rank,
        "PARAMETER": lambda parameter: parameter.name,
        "IMPORTANCE": lambda parameter: parameter.importance,
        "LOW": lambda parameter: parameter.low,
        "HIGH": lambda parameter: parameter.high,
        "P (ADJUSTED)": lambda parameter: parameter.adjusted_p_value,
    }
    extra = {"metric": answer.metric, "verdict": answer.verdict_reason}
    session.out.table("parameters", answer.parameters, columns, extra=extra)


@command(app, "history")
def history(session: Session, run: Run, metric: Annotated[str, typer.Argument(metavar="METRIC")]) -> None:
    """Show the points of one metric of one run."""
    found = session.client.experiments.history(run, metric)
    if session.out.as_json:
        session.out.record({"metric": found.metric, "steps": found.steps, "values": found.values, "times_us": found.times_us})
        return
    points = list(zip(found.steps, found.values, strict=True))
    session.out.table("points", points, {"STEP": lambda point: point[0], "VALUE": lambda point: point[1]})


@command(runs, "list")
def list_runs(
    session: Session,
    experiment: Experiment,
    state: Annotated[list[str] | None, typer.Option(help="RUNNING, FINISHED, FAILED or CANCELLED; may be repeated.")] = None,
) -> None:
    """List an experiment's runs, the newest first."""
    session.out.table("runs", session.client.experiments.list_runs(experiment, states=state or []), _RUN_COLUMNS)


@command(runs, "get")
def get_run(session: Session, run: Run) -> None:
    """Show a run with the summaries of its metrics."""
    session.out.record(session.client.experiments.get_run(run))


@command(runs, "create")
def create_run(
    session: Session,
    experiment: Experiment,
    param: Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help="A hyperparameter; may be repeated.")] = None,
    seed: Annotated[int | None, typer.Option(help="What tells replicates apart.")] = None,
    name: Annotated[str, typer.Option(help="For people.")] = "",
    tag: Tags = None,
) -> None:
    """Start a run."""
    params, tags = scalars("--param", param or []), pairs("--tag", tag or [])
    session.out.record(session.client.experiments.create_run(experiment, params=params, seed=seed, name=name, tags=tags))


@command(runs, "finish")
def finish_run(
    session: Session,
    run: Run,
    state: Annotated[str, typer.Option(help="FINISHED, FAILED or CANCELLED.")] = "FINISHED",
    reason: Annotated[str, typer.Option(help="Why.")] = "",
) -> None:
    """End a run."""
    session.out.record(session.client.experiments.finish_run(run, state=state, reason=reason))


@command(runs, "delete")
def delete_run(session: Session, run: Run) -> None:
    """Delete a run and its metrics; it cannot be undone."""
    session.client.experiments.delete_run(run)
    session.out.said(f"deleted {run}", deleted=run)


def _params(values: Any) -> str:
    from synapsenet_client import parameter_value

    return " ".join(f"{name}={parameter_value(value)}" for name, value in sorted(values.items()))


def _metrics(run: Any) -> str:
    return " ".join(f"{name}={summary.last:.6g}" for name, summary in sorted(run.metrics.items()))


def _state(run: Any) -> str:
    from synapsenet_api.experiments.v1.run_pb2 import RunState
    from synapsenet_client import enum_name

    return enum_name(RunState, run.state)


def _pair_status(pair: Any) -> str:
    from synapsenet_api.experiments.v1.comparison_pb2 import PairStatus
    from synapsenet_client import enum_name

    return enum_name(PairStatus, pair.status)


_RUN_COLUMNS = {
    "RUN": lambda run: run.id,
    "EXPERIMENT": lambda run: run.experiment_id,
    "STATE": _state,
    "SEED": lambda run: run.seed if run.HasField("seed") else "",
    "PARAMS": lambda run: _params(run.params),
    "METRICS": _metrics,
}
