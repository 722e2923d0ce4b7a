"""The replicas of inference: which there are, and what each says came of a deployment there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from synapsenet import errors
from synapsenet.clock import Clock
from synapsenet.errors import FailedPrecondition, Internal, SynapseError
from synapsenet.inference.model import Deployment, Stage
from synapsenet.inference.options import InferenceOptions
from synapsenet.inference.ports import InferenceWork, ReplicaReport
from synapsenet.platform.membership import Instance, Membership
from synapsenet.platform.work import WorkFactory

GROUP = "inference/replicas"
_LOOK_EVERY_S = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaReported:
    """A replica said what came of a deployment there; for replicas alone."""

    report: ReplicaReport


class Replicas:
    """This replica among the others.

    Args:
        own: this replica's id, which no other live one has.
    """

    def __init__(
        self,
        *,
        own: str,
        membership: Membership,
        work: WorkFactory[InferenceWork],
        clock: Clock,
        options: InferenceOptions,
    ) -> None:
        self.own = own
        self._membership = membership
        self._work = work
        self._clock = clock
        self._options = options
        self._news = asyncio.Event()

    async def run(self) -> None:
        """Be known to the others, until cancelled."""
        while True:
            try:
                me = Instance(group=GROUP, id=self.own)
                async with self._membership.join(me, ttl=self._options.lock_ttl_s) as joined:
                    await joined.lost()
            except SynapseError:
                pass  # whoever keeps the members is away: the others count this replica again when it is back
            await self._clock.sleep(self._options.retry_first_s)

    async def others(self) -> frozenset[str]:
        """The ids of the other live replicas.

        Raises:
            Unavailable: whoever keeps the members is away.
        """
        return frozenset(one.id for one in await self._membership.instances(GROUP)) - {self.own}

    def require(self, wanted: int, others: frozenset[str]) -> None:
        """Pass if there are `wanted` replicas, 0 for all that there are.

        Raises:
            FailedPrecondition: REPLICAS_TOO_FEW.
        """
        if wanted > 1 + len(others):
            raise FailedPrecondition(
                "REPLICAS_TOO_FEW",
                f"there are {1 + len(others)} replicas of inference, and {wanted} are asked for",
                field="replicas",
                remedy="start more, or ask for fewer",
            )

    def heard(self) -> None:
        """Tell that something may have been reported."""
        self._news.set()
        self._news = asyncio.Event()

    async def agree(
        self, deployment: Deployment, others: frozenset[str], holds: Callable[[ReplicaReport], bool], *, wanted: int = 0
    ) -> None:
        """Return when what was asked of the replicas by this attempt at `deployment` holds on `wanted` of them, this one
        included; 0: on all. A replica that dies is waited for no longer.

        Raises:
            SynapseError: what the first one that could not says.
        """
        while others:
            news = self._news
            reports = await self._work.read(lambda tx: tx.reports.of(deployment.key))
            done = 1 + _holding(reports, deployment, others, holds)
            if done >= (wanted or 1 + len(others)):
                return
            await _first(news.wait(), self._clock.sleep(_LOOK_EVERY_S))
            others &= await self.others()

    async def report(self, deployment: Deployment, *, generation: int, stage: Stage | None, error: SynapseError | None) -> None:
        """Say to whoever carries out the step what came of `deployment` here, if there is anybody."""
        if not await self.others():
            return
        report = ReplicaReport(
            replica=self.own,
            key=deployment.key,
            order=deployment.order,
            attempt=deployment.attempt,
            stage=stage,
            generation=generation,
            failure=None if error is None else (type(error).__name__, error.reason, error.public),
        )

        def commit(tx: InferenceWork) -> None:
            tx.reports.put(report)
            tx.events.append(f"replica/{self.own}", ReplicaReported(report=report))

        await self._work.run(commit)


def _holding(
    reports: Sequence[ReplicaReport], deployment: Deployment, others: frozenset[str], holds: Callable[[ReplicaReport], bool]
) -> int:
    """How many of `others` say that it holds.

    Raises:
        SynapseError: what the first one that could not says.
    """
    about = [
        report
        for report in reports
        if report.replica in others and (report.order, report.attempt) == (deployment.order, deployment.attempt)
    ]
    for report in about:
        if report.failure is not None:
            kind, reason, message = report.failure
            raised: SynapseError = getattr(errors, kind, Internal)(reason, message)
            raise raised
    return sum(holds(report) for report in about)


async def _first(*waits: Coroutine[Any, Any, object]) -> None:
    """Return when one of `waits` does."""
    tasks = [asyncio.create_task(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
