"""The sagas of a version's life, as definitions."""

from __future__ import annotations

from datetime import timedelta

from synapsenet.lifecycle.saga import Saga, SagaCatalogue, Step

INFERENCE = "inference"
REGISTRY = "registry"
COORDINATOR = "lifecycle"

_RESERVE = Step(
    name="reserve",
    participant=INFERENCE,
    action="Keep room for the model on every replica.",
    compensation="Give the room back.",
)
_FETCH = Step(
    name="fetch",
    participant=INFERENCE,
    action="Copy the artifact to the replicas and compare its SHA-256 with the registry's.",
    compensation="Delete copies that nothing else needs.",
    timeout=timedelta(minutes=5),
)
_LOAD = Step(
    name="load",
    participant=INFERENCE,
    action="Load the model on the replicas.",
    compensation="Let the replicas drain and unload it.",
    timeout=timedelta(minutes=5),
)
_WARM_UP = Step(
    name="warm_up",
    participant=INFERENCE,
    action="Run the model once on each replica, and see that what it gives has the promised names, types and shapes.",
    timeout=timedelta(minutes=2),
)
_SHIFT = Step(
    name="shift_traffic",
    participant=INFERENCE,
    action="Route requests by the new shares.",
    compensation="Route requests by the shares of before.",
)
_RETIRE = Step(
    name="retire_previous",
    participant=INFERENCE,
    action="Let versions without traffic drain, and unload them.",
    compensation="Load them again.",
    timeout=timedelta(minutes=5),
)
_UNLOAD = Step(
    name="unload",
    participant=INFERENCE,
    action="Let the version drain, and unload it.",
    compensation="Load it again.",
    timeout=timedelta(minutes=5),
)
_INTO_SERVICE = (_RESERVE, _FETCH, _LOAD, _WARM_UP, _SHIFT, _RETIRE)

SAGAS = SagaCatalogue(
    (
        Saga(name="deploy", version=1, steps=_INTO_SERVICE, ends_with="begin_serving", retires=True),
        Saga(name="roll_back", version=1, steps=_INTO_SERVICE, ends_with="begin_serving", retires=True),
        Saga(name="undeploy", version=1, steps=(_SHIFT, _UNLOAD)),
        Saga(name="withdraw", version=1, steps=(_SHIFT, _UNLOAD)),
        Saga(name="promote", version=1, steps=(_SHIFT,)),
        Saga(
            name="archive",
            version=1,
            steps=(
                Step(
                    name="seal",
                    participant=REGISTRY,
                    action="Let no alias point to it from now on.",
                    compensation="Let aliases point to it again.",
                ),
            ),
        ),
        Saga(
            name="validate",
            version=1,
            steps=(
                Step(
                    name="verify_artifact",
                    participant=REGISTRY,
                    action="Read the artifact, compare its SHA-256, and its signature with the declared one.",
                    timeout=timedelta(minutes=5),
                ),
                Step(
                    name="evaluate",
                    participant=INFERENCE,
                    action="Predict the evaluation set, if one is named, and measure.",
                    timeout=timedelta(minutes=15),
                    attempts=2,
                ),
                Step(
                    name="store_report",
                    participant=COORDINATOR,
                    action="Hold what was measured against the thresholds, and keep the report.",
                ),
                Step(name="judge", participant=COORDINATOR, action="End the validation by what the report says.", attempts=1),
            ),
            ends_with="pass_validation",
        ),
    )
)
