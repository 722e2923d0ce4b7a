"""The coordinator's own steps of a validation: it keeps the report, and ends the validation by what the report says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from synapsenet.clock import Clock
from synapsenet.errors import FailedPrecondition, Unimplemented
from synapsenet.lifecycle.ledger import claim
from synapsenet.lifecycle.model import Json
from synapsenet.lifecycle.ports import LifecycleWork, Participant, StepCall
from synapsenet.lifecycle.report import Comparator, Threshold, ValidationReport, judged
from synapsenet.platform.work import WorkFactory

STORE_REPORT = "store_report"
JUDGE = "judge"


class CoordinatorSteps(Participant):
    """Takes part in sagas from within the coordinator; both steps can be repeated, and neither has anything to undo."""

    def __init__(self, *, work: WorkFactory[LifecycleWork], clock: Clock) -> None:
        self._work = work
        self._clock = clock

    async def prepare(self, call: StepCall, *, fence: int, timeout: float) -> Json:
        return {}

    async def execute(self, call: StepCall, *, fence: int, timeout: float) -> Json:
        if call.step == STORE_REPORT:
            return await self._store_report(call, fence)
        if call.step == JUDGE:
            return await self._judge(call)
        raise Unimplemented("STEP_UNKNOWN", f"the coordinator knows no step {call.step}", remedy="update the platform")

    async def compensate(self, call: StepCall, compensation_input: Json, *, fence: int, timeout: float) -> None:
        return None

    async def _store_report(self, call: StepCall, fence: int) -> Json:
        given: Mapping[str, Any] = call.input
        metrics = {str(name): float(value) for name, value in given.get("metrics", {}).items()}
        results, reason = judged(thresholds_of(given), metrics)
        report = ValidationReport(
            model_id=call.model_id,
            version=call.version,
            operation_id=call.operation_id,
            artifact_sha256=str(given.get("artifact_sha256", "")),
            evaluation_set_id=str(given.get("evaluation_set_id", "")),
            examples=int(given.get("examples", 0)),
            metrics=metrics,
            thresholds=results,
            reason=reason,
            created_at=self._clock.now(),
        )

        def commit(tx: LifecycleWork) -> None:
            claim(tx, call.model_id, fence)
            tx.reports.put(report)

        await self._work.run(commit)
        return {"shortfall": reason}

    async def _judge(self, call: StepCall) -> Json:
        if shortfall := str(call.input.get("shortfall", "")):
            raise FailedPrecondition(
                "VALIDATION_FAILED", shortfall, remedy="train a better version, or validate it against other thresholds"
            )
        return {}


def thresholds_input(thresholds: Sequence[Threshold]) -> list[Json]:
    """`thresholds` as an operation's input."""
    return [{"metric": one.metric, "comparator": one.comparator.value, "value": one.value} for one in thresholds]


def thresholds_of(given: Json) -> list[Threshold]:
    """The inverse of `thresholds_input`."""
    return [
        Threshold(metric=one["metric"], comparator=Comparator(one["comparator"]), value=one["value"])
        for one in given.get("thresholds", ())
    ]
