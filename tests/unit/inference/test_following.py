"""What a replica does about a deployment that another replica has changed."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from synapsenet.inference.following import Step, next_step
from synapsenet.inference.model import BatchingPolicy, Deployment, DeploymentState, Stage, VersionKey

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def deployment(state: DeploymentState, *, order: int = 1, later: int = 0) -> Deployment:
    return Deployment(
        key=VersionKey("mdl-1", 1),
        model_name="digits",
        state=state,
        artifact_sha256="0" * 64,
        artifact_size=1,
        artifact_format="onnx",
        batching=BatchingPolicy(),
        relaxed=False,
        pinned=False,
        order=order,
        deployed_at=NOON + timedelta(seconds=later),
    )


LOADING, SERVING, DRAINING, FAILED = (
    deployment(state)
    for state in (DeploymentState.LOADING, DeploymentState.SERVING, DeploymentState.DRAINING, DeploymentState.FAILED)
)


@pytest.mark.parametrize("recorded", [LOADING, SERVING, DRAINING, FAILED])
def test_what_was_not_known_is_noted(recorded: Deployment) -> None:
    assert next_step(None, recorded, loaded=False) is Step.NOTE


@pytest.mark.parametrize("known", [LOADING, SERVING, DRAINING, FAILED])
def test_what_is_recorded_no_more_is_let_go(known: Deployment) -> None:
    assert next_step(known, None, loaded=True) is Step.LET_GO


def test_nothing_is_done_about_nothing_and_about_what_is_as_it_was() -> None:
    assert next_step(None, None, loaded=False) is Step.NOTHING
    assert next_step(SERVING, replace(SERVING), loaded=True) is Step.NOTHING


@pytest.mark.parametrize("known", [LOADING, FAILED])
def test_what_serves_elsewhere_is_loaded_here(known: Deployment) -> None:
    assert next_step(known, SERVING, loaded=False) is Step.NOTE


def test_what_another_replica_drains_is_served_no_more() -> None:
    assert next_step(SERVING, DRAINING, loaded=True) is Step.NOTE


def test_anothers_trouble_in_loading_does_not_end_what_is_loaded_here() -> None:
    assert next_step(SERVING, FAILED, loaded=True) is Step.NOTHING
    assert next_step(SERVING, FAILED, loaded=False) is Step.NOTE


@pytest.mark.parametrize("anew", [{"order": 2}, {"later": 1}])
def test_what_was_deployed_anew_is_noted_though_it_is_in_the_same_state(anew: dict[str, int]) -> None:
    assert next_step(SERVING, deployment(DeploymentState.SERVING, **anew), loaded=True) is Step.NOTE


@pytest.mark.parametrize("known", [LOADING, SERVING, DRAINING])
def test_what_an_operation_wants_looked_at_again_is_noted(known: Deployment) -> None:
    assert next_step(known, replace(known, attempt=1), loaded=True) is Step.NOTE
    assert next_step(known, replace(known, stage=Stage.WARM), loaded=True) is Step.NOTE
