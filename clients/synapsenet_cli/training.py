"""`synapsenet train`, also known as `synapsenet training`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from synapsenet_cli.inputs import structure, titled
from synapsenet_cli.session import Session, command

app = typer.Typer(help="Training jobs.", no_args_is_help=True)

Job = Annotated[str, typer.Argument(metavar="JOB")]


@command(app, "run")
def run(
    session: Session,
    model: Annotated[str, typer.Option(help="A model on the allow-list; `train models` lists them.")],
    training_set: Annotated[str, typer.Option(help="What to learn from.")],
    inputs: Annotated[list[str], typer.Option("--input", metavar="GROUP:FEATURE", help="An input column; may be repeated.")],
    label: Annotated[str, typer.Option(metavar="GROUP:FEATURE", help="The column with the label.")],
    learning_rate: Annotated[float, typer.Option(help="Above 0.")],
    arguments: Annotated[
        str, typer.Option(metavar="JSON", help='Of the model: \'{"inputs": 64, "classes": 10}\' or @FILE.')
    ] = "{}",
    evaluation_set: Annotated[str, typer.Option(help="Examples that are never trained on.")] = "",
    input_scale: Annotated[float | None, typer.Option(help="What every input is multiplied with.")] = None,
    steps: Annotated[int, typer.Option(min=1)] = 100,
    batch_size: Annotated[int, typer.Option(min=1)] = 32,
    workers: Annotated[int, typer.Option(min=1)] = 1,
    momentum: Annotated[float, typer.Option(help="Of SGD.")] = 0.0,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same bits.")] = 0,
    mode: Annotated[str, typer.Option(help="SYNC or ASYNC.")] = "",
    experiment: Annotated[str, typer.Option(help="Where the run is logged.")] = "",
    model_version: Annotated[
        str, typer.Option(metavar="NAME:VERSION", help="The created version that the job takes through training.")
    ] = "",
    detach: Annotated[bool, typer.Option("--detach", help="Return as soon as the job is accepted.")] = False,
) -> None:
    """Submit a job and follow it to its end; exit code 1 unless it succeeds."""
    from synapsenet_client import job_spec

    spec = job_spec(
        entry_point=model,
        arguments=structure("--arguments", arguments),
        training_set_id=training_set,
        evaluation_set_id=evaluation_set,
        inputs=inputs,
        target=label,
        input_scale=input_scale,
        steps=steps,
        batch_size=batch_size,
        learning_rate=learning_rate,
        momentum=momentum,
        seed=seed,
        workers=workers,
        mode=mode,
        experiment_id=experiment,
        model_version=titled(model_version, option="--model-version") if model_version else None,
    )
    job = session.client.training.create(spec)
    if not detach:
        job = _followed(session, job)
    session.out.record(job)
    _fail_unless_succeeded(job, allowed=detach)


@command(app, "list")
def list_jobs(
    session: Session,
    state: Annotated[
        list[str] | None, typer.Option(help="Only in this state: QUEUED, RUNNING, SUCCEEDED, FAILED …; may be repeated.")
    ] = None,
    experiment: Annotated[str, typer.Option(help="Only those that log to this experiment.")] = "",
) -> None:
    """List jobs, the newest first."""
    columns = {
        "JOB": lambda job: job.id,
        "STATE": _state,
        "MODEL": lambda job: job.spec.model.entry_point,
        "STEP": lambda job: f"{job.progress.step}/{job.spec.steps}",
        "WORKERS": lambda job: job.spec.workers.count,
        "CREATED": lambda job: job.create_time.ToJsonString(),
    }
    session.out.table("jobs", session.client.training.list(states=state or [], experiment_id=experiment), columns)


@command(app, "get")
def get(session: Session, job: Job) -> None:
    """Show a job."""
    session.out.record(session.client.training.get(job))


@command(app, "watch")
def watch(session: Session, job: Job) -> None:
    """Follow a job to its end; exit code 1 unless it succeeds."""
    last: Any = None
    with session.client.training.watch(job) as changes:
        for last in changes:
            session.out.line(last, _line(last))
    if last is not None:
        _fail_unless_succeeded(last)


@command(app, "cancel")
def cancel(session: Session, job: Job) -> None:
    """End a job."""
    session.out.record(session.client.training.cancel(job))


@command(app, "workers")
def workers(session: Session, job: Job) -> None:
    """List a job's workers."""
    columns = {
        "WORKER": lambda worker: worker.id,
        "STATE": _worker_state,
        "PID": lambda worker: worker.pid,
        "ACCEPTED": lambda worker: worker.accepted,
        "REJECTED": lambda worker: worker.rejected,
        "EXAMPLES": lambda worker: worker.examples,
        "EXIT": lambda worker: worker.exit,
    }
    session.out.table("workers", session.client.training.list_workers(job), columns)


@command(app, "download")
def download(
    session: Session, job: Job, file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to, as safetensors.")]
) -> None:
    """Download the parameters of a job that succeeded."""
    with session.out.bar(f"downloading {file.name}") as progress:
        path = session.client.training.download_parameters(job, file, progress=progress)
    session.out.said(f"wrote {path}", path=str(path), size_bytes=path.stat().st_size)


@command(app, "models")
def models(session: Session) -> None:
    """List the models that may be trained."""
    columns = {
        "MODEL": lambda model: model.entry_point,
        "DESCRIPTION": lambda model: model.description,
        "ARGUMENTS": lambda model: dict(model.arguments),
    }
    session.out.table("models", session.client.training.list_models(), columns)


def _followed(session: Session, job: Any) -> Any:
    with session.out.bar(f"training {job.id}") as progress, session.client.training.watch(job.id) as changes:
        for changed in changes:
            job = changed
            progress(job.progress.step, job.spec.steps)
    return job


def _fail_unless_succeeded(job: Any, *, allowed: bool = False) -> None:
    from synapsenet_cli.output import complain

    if not allowed and _state(job) != "SUCCEEDED":
        complain(f"{job.id} ended as {_state(job)}: {job.failure.message or 'see `synapsenet train get`'}")
        raise typer.Exit(1)


def _line(job: Any) -> str:
    facts = [f"{job.id} {_state(job)} {job.progress.step}/{job.spec.steps}"]
    if job.progress.HasField("loss"):
        facts.append(f"loss {job.progress.loss:.4f}")
    if job.progress.HasField("accuracy"):
        facts.append(f"accuracy {job.progress.accuracy:.4f}")
    return "  ".join(facts)


def _state(job: Any) -> str:
    from synapsenet_api.training.v1.job_pb2 import JobState
    from synapsenet_client import enum_name

    return enum_name(JobState, job.state)


def _worker_state(worker: Any) -> str:
    from synapsenet_api.training.v1.job_pb2 import WorkerState
    from synapsenet_client import enum_name

    return enum_name(WorkerState, worker.state)
