"""The sample area's relay as a process of its own on PostgreSQL, etcd and Kafka, with the faults that only a process can have.

Run as a program it relays until it is ended; `--fault` says what happens to it right between the brokers' acknowledgement and
its mark: `die` (SIGKILL) or `stop` (SIGSTOP, once).
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from synapsenet.adapters.etcd.locks import EtcdLocks
from synapsenet.adapters.etcd.options import EtcdOptions
from synapsenet.adapters.etcd.session import open_session
from synapsenet.adapters.kafka.options import KafkaOptions
from synapsenet.adapters.kafka.sink import open_kafka_sink
from synapsenet.adapters.sql.postgres_options import PostgresOptions
from synapsenet.adapters.sql.postgres_server import open_postgres, postgres_records
from synapsenet.adapters.sql.relay import SqlRelayLog
from synapsenet.adapters.sql.retention import Retention
from synapsenet.adapters.sql.work import SqlWork
from synapsenet.clock import SystemClock
from synapsenet.ids import RandomIds
from synapsenet.platform.locks import Locks
from synapsenet.platform.relay import Relay, RelayOptions
from synapsenet.platform.relay_log import ParkedEvent, Shard
from synapsenet_servers.translate.events import event_encoder
from tests.contract.databases import in_background
from tests.contract.sql.ledger import AREA, REVISIONS, SqlLedgerWork, metadata

_LOG = logging.getLogger(__name__)

ROOT = Path(__file__).resolve().parents[1]
LEASE_S = 3.0
BATCH = 25
ENDED_S = 10.0


@dataclass(frozen=True, slots=True)
class Places:
    """Where the servers are that an area and its relays stand on."""

    postgres: str
    etcd: str
    kafka: str

    def options(self) -> KafkaOptions:
        relay = RelayOptions(batch=BATCH, lease_s=LEASE_S, longest_pause_s=1.0, parked_check_s=0.2)
        return KafkaOptions(brokers=tuple(self.kafka.split(",")), partitions=3, delivery_timeout_s=1.5, relay=relay)


@asynccontextmanager
async def opened_ledger(places: Places, holder: str) -> AsyncIterator[tuple[SqlWork[SqlLedgerWork], Locks]]:
    """The sample area, as every process of the cluster opens it."""
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(open_postgres(PostgresOptions(url=places.postgres), clock))
        etcd = EtcdOptions(endpoints=(places.etcd,))
        locks = EtcdLocks(await stack.enter_async_context(open_session(etcd, clock=clock, epochs=server.epochs)))
        records = postgres_records(
            server,
            locks=locks,
            holder=holder,
            event_ids=RandomIds("event"),
            background=await stack.enter_async_context(in_background()),
            retention=Retention(relayed=True),
            revisions=REVISIONS,
        )
        yield await stack.enter_async_context(records(AREA, metadata=metadata, unit=SqlLedgerWork)), locks


class FaultyLog(SqlRelayLog):
    """Its process meets its fault when acknowledged events are about to be marked, the `at`-th time."""

    fault = ""
    at = 0

    async def settle(self, shard: Shard, token: int, *, position: int, parked: Sequence[ParkedEvent]) -> None:
        self.at -= 1
        if self.at == 0 and self.fault:
            os.kill(os.getpid(), signal.SIGKILL if self.fault == "die" else signal.SIGSTOP)
        # What was about to be written is written, though its relay may hear first that its lease is gone.
        settling = asyncio.ensure_future(super().settle(shard, token, position=position, parked=parked))
        settling.add_done_callback(_tell_refusal)
        await asyncio.shield(settling)


def _tell_refusal(settling: asyncio.Future[None]) -> None:
    if not settling.cancelled() and (refusal := settling.exception()) is not None:
        _LOG.warning("a mark is refused: %s", refusal)


async def relay(places: Places, *, fault: str, at: int) -> None:
    holder = f"relay-{os.getpid()}"
    options = places.options()
    async with (
        opened_ledger(places, holder) as (work, locks),
        open_kafka_sink(options, area=AREA, encode=event_encoder(AREA)) as sink,
    ):
        log = FaultyLog(work.database, work.tables, work.feed)
        log.fault, log.at = fault, at
        relaying = Relay(
            AREA, Shard(), log=log, sink=sink, locks=locks, clock=SystemClock(), holder=holder, options=options.relay
        )
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await relaying.run()


@contextmanager
def relay_process(places: Places, log: Path, *, fault: str = "", at: int = 0) -> Iterator[subprocess.Popen[str]]:
    """A relay in a process of its own inside a `with`; its log goes to `log`."""
    command = [sys.executable, "-m", "tests.relay_process", places.postgres, places.etcd, places.kafka]
    command += ["--fault", fault, "--at", str(at)]
    with log.open("a") as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, cwd=ROOT)
    with process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n", log.read_text()
            yield process
        finally:
            if process.poll() is None:
                process.kill()
                process.wait(ENDED_S)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    for place in ("postgres", "etcd", "kafka"):
        arguments.add_argument(place)
    arguments.add_argument("--fault", choices=("", "die", "stop"), default="")
    arguments.add_argument("--at", type=int, default=0)
    chosen = arguments.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    places = Places(chosen.postgres, chosen.etcd, chosen.kafka)
    asyncio.run(relay(places, fault=chosen.fault, at=chosen.at))


if __name__ == "__main__":
    main()
