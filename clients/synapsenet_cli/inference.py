"""`synapsenet inference`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from synapsenet_cli.inputs import pairs, structure
from synapsenet_cli.session import Session, command

app = typer.Typer(help="Predict, deploy, undeploy, and what is loaded.", no_args_is_help=True)

Model = Annotated[str, typer.Argument(metavar="MODEL", help="Id or name.")]
Version = Annotated[int, typer.Argument(metavar="VERSION", help="The version's number, from 1.")]


@command(app, "predict")
def predict(
    session: Session,
    model: Model,
    given: Annotated[
        list[str],
        typer.Option("--input", metavar="NAME[:TYPE]=JSON", help="Rows of an input as JSON or @FILE; may be repeated."),
    ],
    version: Annotated[int | None, typer.Option(help="Which version answers.")] = None,
    alias: Annotated[str, typer.Option(help="Which alias answers, e.g. champion.")] = "",
    output: Annotated[list[str] | None, typer.Option(help="An output wanted; by default all; may be repeated.")] = None,
) -> None:
    """Predict; an input's type (FLOAT32 …) is the loaded model's unless it is given."""
    from synapsenet_client import Typed

    inputs: dict[str, Any] = {}
    for target, text in pairs("--input", given).items():
        name, _, kind = target.partition(":")
        values = structure("--input", text)
        kind = kind or _declared(session, model, version, name)
        inputs[name] = Typed(values if isinstance(values, list) else [values], kind) if kind else values
    answer = session.client.inference.predict(model, inputs, version=version, alias=alias, outputs=output or [])
    session.out.record(
        {
            "model_id": answer.model_id,
            "version": answer.version,
            "outputs": dict(answer.outputs),
            "queue_ms": answer.queue_ms,
            "compute_ms": answer.compute_ms,
            "batch_rows": answer.batch_rows,
        }
    )


@command(app, "deploy")
def deploy(
    session: Session,
    model: Model,
    version: Version,
    determinism: Annotated[str, typer.Option(help="NATIVE, PADDED, ROW or RELAXED; by default the platform's.")] = "",
    pinned: Annotated[bool, typer.Option("--pinned", help="Never evict it.")] = False,
) -> None:
    """Load a registered version and serve it; returns when it serves."""
    identity = session.client.models.get(model).id
    session.out.record(session.client.inference.deploy(identity, version, determinism=determinism, pinned=pinned))


@command(app, "undeploy")
def undeploy(session: Session, model: Model, version: Version) -> None:
    """Stop serving a version; what was accepted is finished."""
    identity = session.client.models.get(model).id
    session.out.record(session.client.inference.undeploy(identity, version))


@command(app, "deployments")
def deployments(
    session: Session, watch: Annotated[bool, typer.Option("--watch", help="Changes as they happen, until Ctrl-C.")] = False
) -> None:
    """List the deployments."""
    if watch:
        with session.client.inference.watch_deployments() as events:
            for event in events:
                about = event.deployment
                session.out.line(event, f"{event.position} {event.type} {about.model_name} {about.version}")
        return
    columns = {
        "MODEL": lambda deployment: deployment.model_name,
        "VERSION": lambda deployment: deployment.version,
        "STATE": _deployment_state,
        "TRAFFIC": lambda deployment: deployment.traffic_fraction,
        "SINCE": lambda deployment: deployment.create_time.ToJsonString(),
    }
    session.out.table("deployments", session.client.inference.list_deployments(), columns)


@command(app, "loaded")
def loaded(session: Session) -> None:
    """List what is in memory."""
    columns = {
        "MODEL": lambda model: model.model_name,
        "VERSION": lambda model: model.version,
        "STATE": _residency,
        "BYTES": lambda model: model.resident_bytes,
        "QUEUED": lambda model: model.batcher.queued_rows,
        "ROWS": lambda model: model.totals.rows,
        "BATCHES": lambda model: model.totals.batches,
    }
    session.out.table("models", session.client.inference.list_loaded(), columns)


def _declared(session: Session, model: str, version: int | None, name: str) -> str:
    """The element type of an input of a loaded model; empty if it is not loaded or has no such input."""
    from synapsenet_api.inference.v1.tensor_pb2 import ElementType
    from synapsenet_client import enum_name

    for candidate in session.client.inference.list_loaded():
        if model in {candidate.model_id, candidate.model_name} and version in {None, candidate.version}:
            for tensor in candidate.inputs:
                if tensor.name == name:
                    return enum_name(ElementType, tensor.element_type)
    return ""


def _deployment_state(deployment: Any) -> str:
    from synapsenet_api.inference.v1.deployment_pb2 import DeploymentState
    from synapsenet_client import enum_name

    return enum_name(DeploymentState, deployment.state)


def _residency(model: Any) -> str:
    from synapsenet_api.inference.v1.loaded_model_pb2 import ResidencyState
    from synapsenet_client import enum_name

    return enum_name(ResidencyState, model.state)
