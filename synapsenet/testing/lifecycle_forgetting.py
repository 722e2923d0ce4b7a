"""What the coordinator's forgetting promises: every adapter runs these by a class that provides `work` and its `clock`."""

from __future__ import annotations

from datetime import timedelta

from synapsenet.lifecycle.forgetting import AT_ONCE, Forgetting
from synapsenet.lifecycle.model import OperationState
from synapsenet.lifecycle.options import LifecycleOptions
from synapsenet.lifecycle.ports import HistoryQuery, OperationQuery
from synapsenet.testing.clock import FakeClock
from synapsenet.testing.lifecycle import MODEL, Work, operation, transition

DAY_S = 86_400.0
HOUR_S = 3_600.0


class ForgettingContract:
    """Operations that ended are kept for `operations_days`, and what they did for ever."""

    async def test_an_operation_is_forgotten_when_its_days_are_over_and_not_before(self, work: Work, clock: FakeClock) -> None:
        await add(work, clock, "old")
        forgetting = of_two_days(work, clock)
        await clock.advance(2 * DAY_S)
        await forgetting.forget()
        assert await left(work) == ["old"]
        await clock.advance(HOUR_S)
        await forgetting.forget()
        assert await left(work) == []

    async def test_what_has_not_ended_is_kept_however_old_and_so_is_what_ended_lately(
        self, work: Work, clock: FakeClock
    ) -> None:
        await work.run(lambda tx: tx.operations.add(operation("at-work")))
        await add(work, clock, "old")
        await clock.advance(9 * DAY_S)
        await add(work, clock, "new")
        await of_two_days(work, clock).forget()
        assert await left(work) == ["at-work", "new"]

    async def test_it_looks_at_its_start_and_then_once_an_hour(self, work: Work, clock: FakeClock) -> None:
        forgetting = of_two_days(work, clock)
        await forgetting.forget()
        await add(work, clock, "old", days_ago=3)
        await clock.advance(HOUR_S - 1)
        await forgetting.forget()
        assert await left(work) == ["old"]
        await clock.advance(1)
        await forgetting.forget()
        assert await left(work) == []

    async def test_one_look_forgets_no_more_than_a_bound_and_the_next_one_the_rest(self, work: Work, clock: FakeClock) -> None:
        ended = clock.now() - timedelta(days=3)
        many = [operation(f"op-{number}", state=OperationState.SUCCEEDED, ended_at=ended) for number in range(AT_ONCE + 1)]
        await work.run(lambda tx: [tx.operations.add(one) for one in many])
        forgetting = of_two_days(work, clock)
        await forgetting.forget()
        assert len(await left(work)) == 1
        await forgetting.forget()
        assert await left(work) == []

    async def test_the_history_keeps_what_a_forgotten_operation_did(self, work: Work, clock: FakeClock) -> None:
        await add(work, clock, "old", days_ago=3)
        await work.run(lambda tx: tx.history.add(transition(1, operation_id="old")))
        await of_two_days(work, clock).forget()
        assert await left(work) == []
        kept = await work.read(lambda tx: tx.history.page(HistoryQuery(model_id=MODEL), before=None, limit=9))
        assert [one.operation_id for one in kept] == ["old"]

    async def test_what_a_repeated_wish_may_still_ask_for_is_kept(self, work: Work, clock: FakeClock) -> None:
        await add(work, clock, "old", days_ago=3)
        options = LifecycleOptions(operations_days=2)
        await Forgetting(work=work, clock=clock, options=options, repeated_for=timedelta(days=4)).forget()
        assert await left(work) == ["old"]
        await Forgetting(work=work, clock=clock, options=options, repeated_for=timedelta(days=1)).forget()
        assert await left(work) == []


def of_two_days(work: Work, clock: FakeClock) -> Forgetting:
    return Forgetting(work=work, clock=clock, options=LifecycleOptions(operations_days=2))


async def add(work: Work, clock: FakeClock, name: str, *, days_ago: int = 0) -> None:
    """An operation that ended so long ago."""
    ended = operation(name, state=OperationState.SUCCEEDED, ended_at=clock.now() - timedelta(days=days_ago))
    await work.run(lambda tx: tx.operations.add(ended))


async def left(work: Work) -> list[str]:
    rows = await work.read(lambda tx: tx.operations.page(OperationQuery(), before=None, limit=AT_ONCE + 1))
    return sorted(one.id for _, one in rows)
