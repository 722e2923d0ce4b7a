"""The life of a model version: the one table of states and rules.

Validation, `GetStateMachine`, the page and the diagram in the docs and the tests are made from it. A new state or rule is a
row here; what the rows must satisfy is checked when the platform starts.
"""

from __future__ import annotations

from datetime import timedelta

from synapsenet.lifecycle.guards import GUARDS
from synapsenet.lifecycle.machine import Rule, State, StateMachine
from synapsenet.lifecycle.sagas import SAGAS

STATES = (
    State(name="created", description="It has a number, and no artifact that was checked."),
    State(name="training", description="A job is making its artifact.", timeout=timedelta(days=7)),
    State(name="validating", description="Its artifact is there and has yet to prove itself.", timeout=timedelta(days=7)),
    State(name="registered", description="It may be deployed."),
    State(name="deploying", description="It is being brought into traffic.", timeout=timedelta(hours=1)),
    State(name="serving", description="Traffic is routed to it."),
    State(name="deprecated", description="It is not to be deployed any more."),
    State(name="archived", description="Its life is over.", is_final=True),
)

RULES = (
    Rule(source="created", event="train", target="training", description="A job begins to make its artifact."),
    Rule(
        source="created",
        event="upload",
        target="validating",
        guards=("artifact_present",),
        description="An artifact that was made elsewhere has come.",
    ),
    Rule(
        source="created",
        event="validate",
        target="validating",
        guards=("artifact_present",),
        saga="validate",
        is_original=False,
        description="What failed to prove itself tries again.",
    ),
    Rule(
        source="training",
        event="upload",
        target="validating",
        guards=("artifact_present",),
        description="The job has delivered its artifact.",
    ),
    Rule(
        source="training",
        event="fail_training",
        target="created",
        is_failure=True,
        description="The job failed, was cancelled, or took too long.",
    ),
    Rule(
        source="validating",
        event="validate",
        target="validating",
        guards=("artifact_present",),
        saga="validate",
        is_original=False,
        description="Its artifact is checked, evaluated and held against thresholds.",
    ),
    Rule(
        source="validating",
        event="pass_validation",
        target="registered",
        by_saga=True,
        is_original=False,
        description="Every check passed.",
    ),
    Rule(
        source="validating",
        event="approve",
        target="registered",
        guards=("artifact_present",),
        description="A person vouches for it.",
    ),
    Rule(
        source="validating",
        event="fail_validation",
        target="created",
        is_failure=True,
        is_original=False,
        description="A check failed, or none came in time.",
    ),
    Rule(
        source="registered",
        event="deploy",
        target="deploying",
        guards=("artifact_present",),
        saga="deploy",
        description="It is to serve.",
    ),
    Rule(
        source="registered",
        event="roll_back",
        target="deploying",
        guards=("artifact_present",),
        saga="roll_back",
        is_original=False,
        description="It is to serve again, in the place of the present one.",
    ),
    Rule(source="registered", event="deprecate", target="deprecated", description="It is not to be deployed any more."),
    Rule(source="deploying", event="begin_serving", target="serving", by_saga=True, description="Traffic is routed to it."),
    Rule(
        source="deploying",
        event="fail_deployment",
        target="registered",
        is_failure=True,
        description="A step failed and all before it were undone.",
    ),
    Rule(
        source="serving",
        event="promote",
        target="serving",
        saga="promote",
        is_original=False,
        description="Traffic shifts between versions that serve.",
    ),
    Rule(source="serving", event="undeploy", target="registered", saga="undeploy", description="It is to serve no more."),
    Rule(
        source="serving",
        event="retire",
        target="registered",
        by_saga=True,
        is_original=False,
        description="Another version serves in its place.",
    ),
    Rule(source="serving", event="deprecate", target="deprecated", saga="withdraw", description="Neither now nor ever again."),
    Rule(source="deprecated", event="restore", target="registered", description="It may be deployed after all."),
    *(
        Rule(
            source=source,
            event="archive",
            target="archived",
            guards=("no_alias",),
            saga="archive",
            description="It is not wanted any more.",
        )
        for source in ("created", "training", "validating", "registered", "deprecated")
    ),
)

MACHINE = StateMachine(STATES, RULES, initial="created", guards=GUARDS, sagas=SAGAS)
