"""A process that stops in the middle of its turn to write, as one that is starved or stopped by SIGSTOP does.

Run as `python -m tests.chaos.cluster.hung_writer URL IDLE_S FOLDER`. It says `inside` before it stops, and, once it is let go
on, how its unit of work ended: `committed`, or the reason why not.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

from synapsenet.adapters.sql.postgres_options import PostgresOptions
from synapsenet.errors import SynapseError
from synapsenet.testing.work import Entry, LedgerWork, book
from tests.contract.databases import schema_records
from tests.contract.sql.ledger import open_ledger_on


def say(what: str) -> None:
    sys.stdout.write(f"{what}\n")
    sys.stdout.flush()


def hang(tx: LedgerWork) -> None:
    """A unit of work that stops between two statements."""
    book(tx, Entry(id="zombie-1", amount=1))
    say("inside")
    os.kill(os.getpid(), signal.SIGSTOP)
    book(tx, Entry(id="zombie-2", amount=1))


async def main(url: str, idle_s: float, folder: Path) -> None:
    async with open_ledger_on(schema_records(PostgresOptions(url=url, idle_s=idle_s), folder)) as ledger:
        try:
            await ledger.run(hang)
            say("committed")
        except SynapseError as error:
            say(error.reason)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], float(sys.argv[2]), Path(sys.argv[3])))
