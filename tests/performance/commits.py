"""What a unit of work costs beside its bare statements, on whatever database."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from sqlalchemy import Connection

from synapsenet.adapters.sql.work import SqlWork
from tests.contract.sql.ledger import SqlLedgerWork
from tests.performance.benchmark import AtMost, Benchmark, Length
from tests.performance.booking import BareLedger, Booking
from tests.performance.measures import mean_ms, mean_ms_async

T = TypeVar("T")


class MeasuredWork(SqlLedgerWork):
    """The sample area's unit of work, whose connection can be asked how durable it is."""

    def ask(self, question: Callable[[Connection], T]) -> T:
        return question(self._connection)


async def commit_benchmark(
    name: str,
    work: SqlWork[MeasuredWork],
    bare: BareLedger,
    *,
    settings: Callable[[Connection], Mapping[str, object]],
    length: Length,
) -> Benchmark:
    """One caller, one commit at a time, as durable on either side."""
    ours, theirs = await work.run(lambda tx: tx.ask(settings)), bare.read(settings)
    calls = length.of(200, 5)
    return Benchmark(
        name=name,
        unit="ms",
        value=mean_ms_async(Booking(work).book, calls),
        baseline=mean_ms(bare.book, calls),
        target=AtMost(1.5),
        alike={setting: (ours[setting], theirs[setting]) for setting in ours},
    )
