"""The relay of the coordinators' events as a process of its own, that may die right between acknowledgement and mark."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Sequence
from contextlib import AsyncExitStack
from multiprocessing.connection import Connection

from synapsenet.adapters.kafka.options import KafkaOptions
from synapsenet.adapters.kafka.sink import open_kafka_sink
from synapsenet.adapters.sql.relay import SqlRelayLog
from synapsenet.clock import SystemClock
from synapsenet.platform.relay import Relay, RelayOptions
from synapsenet.platform.relay_log import ParkedEvent, Shard
from synapsenet_servers.translate.events import event_encoder
from tests.chaos.lifecycle.killed import answer
from tests.chaos.lifecycle.stores import AREA, Places, opened

LEASE_S = 3.0
BATCH = 25
TOPIC = f"synapsenet.{AREA}.events"


class MortalLog(SqlRelayLog):
    """Its process dies when acknowledged events are about to be marked, the `deadline`-th time from now; 0: never."""

    deadline = 0

    async def settle(self, shard: Shard, token: int, *, position: int, parked: Sequence[ParkedEvent]) -> None:
        self.deadline -= 1
        if self.deadline == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        await super().settle(shard, token, position=position, parked=parked)


def run_relay(connection: Connection, places: Places) -> None:
    """A relay's process."""
    relay_options = RelayOptions(batch=BATCH, lease_s=LEASE_S, longest_pause_s=1.0, parked_check_s=0.2)
    options = KafkaOptions(brokers=(places.kafka,), partitions=3, delivery_timeout_s=1.5, relay=relay_options)

    async def run() -> None:
        async with AsyncExitStack() as stack:
            work, locks = await stack.enter_async_context(opened(places))
            opening = open_kafka_sink(options, area=AREA, encode=event_encoder(AREA))
            sink = await stack.enter_async_context(opening)
            log = MortalLog(work.database, work.tables, work.feed)
            relay = Relay(
                AREA,
                Shard(),
                log=log,
                sink=sink,
                locks=locks,
                clock=SystemClock(),
                holder=f"relay-{os.getpid()}",
                options=options.relay,
            )
            relaying = asyncio.create_task(relay.run())

            async def doom(deadline: int) -> None:
                log.deadline = deadline

            async def is_relaying() -> bool:
                return not relaying.done()

            try:
                await answer(connection, {"doom": doom, "is_relaying": is_relaying})
            finally:
                relaying.cancel()
                await asyncio.gather(relaying, return_exceptions=True)

    asyncio.run(run())
