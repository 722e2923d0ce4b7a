"""A process that takes a lock in etcd again and again, and writes down each time that it held it.

Run as `python -m tests.chaos.cluster.lock_worker ENDPOINTS NAME TTL PATIENCE COUNTER JOURNAL HOLD_S`; it ends on SIGTERM.
HOLD_S 0 holds the lock for good. What it does under the lock is one line in the journal, each after a `check` of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from synapsenet.adapters.etcd.locks import EtcdLocks
from synapsenet.adapters.etcd.options import EtcdOptions
from synapsenet.adapters.etcd.session import open_session
from synapsenet.clock import SystemClock
from synapsenet.errors import Aborted, Unavailable
from synapsenet.platform.locks import Locks
from tests.chaos.cluster.lock_history import Episode
from tests.contract.etcd.counters import FileCounters

STEP_S = 0.002
END_S = 10.0


class Worker:
    """The process as its starter sees it."""

    def __init__(self, process: subprocess.Popen[bytes], journal: Path) -> None:
        self.process = process
        self._journal = journal

    def episodes(self) -> list[Episode]:
        """Each time that it held the lock, so far."""
        found: dict[tuple[str, int], Episode] = {}
        for holder, token, at in self.steps():
            former = found.get((holder, token))
            found[holder, token] = Episode(holder=holder, token=token, since=former.since if former else at, until=at)
        return list(found.values())

    def steps(self) -> list[tuple[str, int, float]]:
        """Holder, token and time of each thing that it did under the lock."""
        whole = self._journal.read_text().rpartition("\n")[0] if self._journal.exists() else ""
        rows = (line.split() for line in whole.splitlines() if not line.startswith("!"))
        return [(holder, int(token), float(at)) for holder, token, at in rows]

    def errors(self) -> list[str]:
        """What it was refused, by reason."""
        lines = self._journal.read_text().splitlines() if self._journal.exists() else []
        return [line.removeprefix("! ") for line in lines if line.startswith("!")]

    def pause(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.process.send_signal(signal.SIGCONT)


@contextmanager
def lock_worker(
    endpoints: tuple[str, ...], folder: Path, name: str, *, ttl: float = 5.0, patience: float = 10.0, hold: float = 0.01
) -> Iterator[Worker]:
    """A worker called `name`, ended with the `with`."""
    journal = folder / f"{name}.journal"
    arguments = [",".join(endpoints), name, str(ttl), str(patience), str(folder / "epochs"), str(journal), str(hold)]
    process = subprocess.Popen([sys.executable, "-m", "tests.chaos.cluster.lock_worker", *arguments], env=dict(os.environ))
    try:
        yield Worker(process, journal)
    finally:
        process.send_signal(signal.SIGCONT)
        process.terminate()
        try:
            process.wait(END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(END_S)


async def work(options: EtcdOptions, name: str, patience: float, epochs: Path, journal: TextIO, hold: float) -> None:
    async with open_session(options, clock=SystemClock(), epochs=FileCounters(epochs)) as session:
        locks = EtcdLocks(session)
        while True:
            try:
                await visit(locks, name, options.session_ttl_s, patience, journal, hold)
            except (Aborted, Unavailable) as error:
                journal.write(f"! {error.reason}\n")
                journal.flush()


async def visit(locks: Locks, name: str, ttl: float, patience: float, journal: TextIO, hold: float) -> None:
    async with locks.hold("contended", holder=name, ttl=ttl, wait=patience) as held:
        begun = time.monotonic()
        while not hold or time.monotonic() < begun + hold:
            at = time.monotonic()
            held.check()
            journal.write(f"{name} {held.token} {at!r}\n")
            journal.flush()
            await asyncio.sleep(STEP_S)


async def main(arguments: list[str]) -> None:
    endpoints, name, ttl, patience, epochs, journal, hold = arguments
    options = EtcdOptions(endpoints=tuple(endpoints.split(",")), session_ttl_s=float(ttl), call_s=min(5.0, float(ttl)))
    running = asyncio.current_task()
    assert running is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, running.cancel)
    with Path(journal).open("a") as file, contextlib.suppress(asyncio.CancelledError):
        await work(options, name, float(patience), Path(epochs), file, float(hold))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
