"""The way of an area's events to Kafka, put together: a relay a shard, beside the units of work that write them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

from sqlalchemy import Connection, MetaData

from synapsenet.adapters.kafka.options import KafkaOptions
from synapsenet.adapters.kafka.sink import open_kafka_sink
from synapsenet.adapters.sql.relay import SqlRelayLog
from synapsenet.adapters.sql.work import CommitContext, SqlWork
from synapsenet.clock import Clock
from synapsenet.platform.locks import Locks
from synapsenet.platform.relay import Relay
from synapsenet.platform.relay_log import Shard
from synapsenet_servers import telemetry
from synapsenet_servers.bootstrap.observed_relay import BacklogWatch, observed_sink
from synapsenet_servers.bootstrap.role import OpenRecords, Task, W
from synapsenet_servers.translate.events import event_encoder


def relayed(
    records: OpenRecords,
    options: KafkaOptions,
    *,
    locks: Locks,
    clock: Clock,
    holder: str,
    background: list[Task],
) -> OpenRecords:
    """`records`, whose areas' events go to Kafka as well; as they are if no broker is named.

    Args:
        holder: who this process is, for those who wait for a relay's lock.
        background: joined by one relay a shard of each area that is opened.
    """
    if not options.brokers:
        return records

    def open_relayed(
        area: str, *, metadata: MetaData, unit: Callable[[Connection, CommitContext], W]
    ) -> AbstractAsyncContextManager[SqlWork[W]]:
        return _opened(records(area, metadata=metadata, unit=unit), area)

    @asynccontextmanager
    async def _opened(opening: AbstractAsyncContextManager[SqlWork[W]], area: str) -> AsyncIterator[SqlWork[W]]:
        async with AsyncExitStack() as stack:
            work = await stack.enter_async_context(opening)
            background.extend(await relays(work, options, stack, area=area, locks=locks, clock=clock, holder=holder))
            yield work

    return open_relayed


async def relays(
    work: SqlWork[W], options: KafkaOptions, stack: AsyncExitStack, *, area: str, locks: Locks, clock: Clock, holder: str
) -> list[Task]:
    """One relay a shard of `area`, each with a producer of its own until `stack` is unwound; and who tells how far they are."""
    log = SqlRelayLog(work.database, work.tables, work.feed)
    tasks = []
    for number in range(options.shards):
        opening = open_kafka_sink(options, area=area, encode=event_encoder(area))
        sink = await stack.enter_async_context(opening)
        relay = Relay(
            area,
            Shard(number=number, count=options.shards),
            log=log,
            sink=observed_sink(sink, topic=options.topic_of(area)),
            locks=locks,
            clock=clock,
            holder=holder,
            options=options.relay,
        )
        tasks.append(Task(name=relay.name, run=relay.run))
    if telemetry.current().gauges is not None:
        watch = BacklogWatch(area, work.database, work.tables, clock)
        stack.enter_context(telemetry.current().observing_all(watch.gauges()))
        tasks.append(Task(name=f"backlog of {area}", run=watch.run))
    return tasks
