"""`synapsenet lifecycle`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from synapsenet_cli import operations
from synapsenet_cli.following import begun
from synapsenet_cli.inputs import instant, seconds, shares, structure
from synapsenet_cli.session import Session, command

app = typer.Typer(help="The life of model versions: validate, deploy, roll back, watch operations.", no_args_is_help=True)
app.add_typer(operations.app, name="operations")

Model = Annotated[str, typer.Argument(metavar="MODEL", help="Id or name.")]
Version = Annotated[int, typer.Argument(metavar="VERSION", help="The version's number, from 1.")]
Reason = Annotated[str, typer.Option(help="Why, for the record.")]
Wait = Annotated[
    str, typer.Option(metavar="DURATION", help="How long to wait for another operation on the model, e.g. 30s; else fail.")
]
Watched = Annotated[bool, typer.Option("--watch", help="Follow the steps; the exit code is 0 only if it succeeded.")]
Traffic = Annotated[
    list[str] | None,
    typer.Option("--traffic", metavar="VERSION=FRACTION", help="A share of the traffic afterwards; may be repeated."),
]


@command(app, "status")
def status(session: Session, model: Model, version: Version) -> None:
    """Show where a version is, and what may happen to it."""
    session.out.record(session.client.lifecycle.status(model, version))


@command(app, "transition")
def transition(
    session: Session,
    model: Model,
    version: Version,
    event: Annotated[str, typer.Argument(help="An event of the state machine, e.g. train.")],
    reason: Reason = "",
    wait: Wait = "",
) -> None:
    """Let an event happen to a version."""
    session.out.record(session.client.lifecycle.transition(model, version, event, intent=_intent(reason, wait)))


@command(app, "validate")
def validate(
    session: Session,
    model: Model,
    version: Version,
    on: Annotated[str, typer.Option("--on", metavar="SET", help="The training set to evaluate on.")] = "",
    label: Annotated[str, typer.Option(metavar="GROUP:FEATURE", help="The column with the truth; needed with --on.")] = "",
    threshold: Annotated[
        list[str] | None, typer.Option(metavar="METRIC>=VALUE", help="What must hold, e.g. 'accuracy>=0.95'; may be repeated.")
    ] = None,
    reason: Reason = "",
    wait: Wait = "",
    watch: Watched = False,
) -> None:
    """Check a version's artifact, evaluate it and apply thresholds; only then it is registered."""
    lifecycle, intent = session.client.lifecycle, _intent(reason, wait)
    operation = lifecycle.validate(model, version, evaluation_set_id=on, label=label, thresholds=threshold or [], intent=intent)
    begun(session, operation, watch=watch)


@command(app, "report")
def report(session: Session, model: Model, version: Version) -> None:
    """Show what the newest validation of a version found."""
    session.out.record(session.client.lifecycle.validation_report(model, version))


@command(app, "deploy")
def deploy(
    session: Session,
    model: Model,
    version: Version,
    replicas: Annotated[int, typer.Option(min=0, help="On how many replicas; 0: on all.")] = 0,
    traffic: Traffic = None,
    keep_previous: Annotated[
        bool, typer.Option("--keep-previous", help="Versions without traffic stay deployed, to be reached by their number.")
    ] = False,
    options: Annotated[
        str, typer.Option(metavar="JSON", help="How it is run: '{\"pinned\": true}' or @FILE; batching, determinism, pinned.")
    ] = "{}",
    reason: Reason = "",
    wait: Wait = "",
    watch: Watched = False,
) -> None:
    """Bring a version to serving, or leave everything as it was."""
    operation = session.client.lifecycle.deploy(
        model,
        version,
        replicas=replicas,
        traffic=shares("--traffic", traffic or []),
        keep_previous=keep_previous,
        options=structure("--options", options),
        intent=_intent(reason, wait),
    )
    begun(session, operation, watch=watch)


@command(app, "undeploy")
def undeploy(
    session: Session, model: Model, version: Version, reason: Reason = "", wait: Wait = "", watch: Watched = False
) -> None:
    """Take a serving version out of traffic."""
    begun(session, session.client.lifecycle.undeploy(model, version, intent=_intent(reason, wait)), watch=watch)


@command(app, "promote")
def promote(
    session: Session,
    model: Model,
    version: Version,
    traffic: Traffic = None,
    reason: Reason = "",
    wait: Wait = "",
    watch: Watched = False,
) -> None:
    """Shift traffic between serving versions, by default all of it to this one."""
    wanted = shares("--traffic", traffic or [])
    operation = session.client.lifecycle.promote(model, version, traffic=wanted, intent=_intent(reason, wait))
    begun(session, operation, watch=watch)


@command(app, "roll-back")
def roll_back(
    session: Session,
    model: Model,
    version: Annotated[int | None, typer.Option(help="By default the one that served before.")] = None,
    reason: Reason = "",
    wait: Wait = "",
    watch: Watched = False,
) -> None:
    """Serve an earlier version again."""
    operation = session.client.lifecycle.roll_back(model, version=version, intent=_intent(reason, wait))
    begun(session, operation, watch=watch)


@command(app, "archive")
def archive(
    session: Session, model: Model, version: Version, reason: Reason = "", wait: Wait = "", watch: Watched = False
) -> None:
    """End a version's life."""
    begun(session, session.client.lifecycle.archive(model, version, intent=_intent(reason, wait)), watch=watch)


@command(app, "history")
def history(
    session: Session,
    model: Model,
    version: Annotated[int | None, typer.Option(help="Only of this version.")] = None,
    since: Annotated[str, typer.Option(metavar="INSTANT", help="Only from then on: 2026-01-31T12:00:00Z.")] = "",
    actor: Annotated[str, typer.Option(help="Only what this person or service asked for.")] = "",
) -> None:
    """List what happened to a model's versions, the newest first."""
    columns = {
        "WHEN": lambda moved: moved.occur_time.ToJsonString(),
        "VERSION": lambda moved: moved.version,
        "EVENT": lambda moved: moved.event,
        "FROM": lambda moved: moved.from_state,
        "TO": lambda moved: moved.to_state,
        "ACTOR": lambda moved: moved.actor,
        "REASON": lambda moved: moved.reason,
    }
    start = instant("--since", since) if since else None
    found = session.client.lifecycle.list_transitions(model, version=version, start_time=start, actor=actor)
    session.out.table("transitions", found, columns)


@command(app, "graph")
def graph(session: Session) -> None:
    """Print the state machine as a Mermaid diagram."""
    answer = session.client.lifecycle.machine()
    session.out.said(answer.diagram.rstrip("\n"), diagram=answer.diagram)


@command(app, "machine")
def machine(session: Session) -> None:
    """List the moves that there are; with --json the states and the sagas with their steps, too."""
    answer = session.client.lifecycle.machine()
    if session.out.as_json:
        session.out.record(answer)
        return
    columns = {
        "FROM": lambda rule: rule.source,
        "EVENT": lambda rule: rule.event,
        "TO": lambda rule: rule.target,
        "IF": lambda rule: ", ".join(rule.guards),
        "SAGA": lambda rule: rule.saga,
        "MEANING": lambda rule: rule.description,
    }
    session.out.table("rules", answer.machine.rules, columns)


@command(app, "events")
def events(
    session: Session,
    model: Annotated[str, typer.Option(help="Only of this model.")] = "",
    after: Annotated[int, typer.Option(help="Only after this position.")] = 0,
) -> None:
    """Follow lifecycle events, stored ones first, until Ctrl-C."""
    with session.client.lifecycle.watch_events(model_id=model, after_position=after) as found:
        for event in found:
            session.out.line(event, _told(event))


def _intent(reason: str, wait: str) -> Any:
    from synapsenet_client import intent

    return intent(reason=reason, wait=seconds("--wait", wait) if wait else None)


def _told(event: Any) -> str:
    """`17 mdl-… #4 version 2 deploying → serving (begin_serving)`."""
    from synapsenet_api.lifecycle.v1.operation_pb2 import OperationState, StepState
    from synapsenet_client import enum_name

    what, about = event.WhichOneof("what"), ""
    if what == "transition":
        moved = event.transition
        about = f"version {moved.version} {moved.from_state or '·'} → {moved.to_state} ({moved.event})"
    elif what == "step_change":
        step = event.step_change.step
        about = f"version {event.step_change.version} {step.name} {enum_name(StepState, step.state)}"
    elif what == "operation":
        done = event.operation
        about = f"version {done.version} {done.saga} {enum_name(OperationState, done.state)} ({done.id})"
    elif what == "condition_change":
        status = event.condition_change
        about = f"version {status.version} {status.condition.message or status.condition.reason or 'is well'}"
    return f"{event.position} {event.model_id} #{event.sequence} {about}"
