"""Calls to etcd: spans of the trace that makes them, none of what goes on in the background, durations of all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from synapsenet.adapters.etcd.locks import EtcdLocks
from synapsenet.adapters.etcd.options import EtcdOptions
from synapsenet.adapters.etcd.session import EtcdSession, open_session
from synapsenet.clock import SystemClock
from synapsenet_servers import telemetry
from tests.contract.etcd.counters import Counters
from tests.etcd_server import EtcdServer, etcd_server
from tests.integration.telemetry.told import Told, telling_in_memory

TTL_S = 3.0


@pytest.fixture(scope="module")
def etcd() -> Iterator[EtcdServer]:
    with etcd_server() as running:
        yield running


@pytest.fixture
def told() -> Iterator[Told]:
    with telling_in_memory() as told:
        yield told


@pytest.fixture
async def session(etcd: EtcdServer, told: Told) -> AsyncIterator[EtcdSession]:
    options = EtcdOptions(endpoints=(etcd.endpoint,), session_ttl_s=TTL_S)
    interceptors = telemetry.current().channel_interceptors(begins=False)
    async with open_session(options, clock=SystemClock(), epochs=Counters(), interceptors=interceptors) as opened:
        yield opened


async def until(seen: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not seen():
            await asyncio.sleep(0.02)


async def test_a_lock_taken_in_a_trace_has_its_calls_in_it(session: EtcdSession, told: Told) -> None:
    tracer = told.tracer
    with tracer.start_as_current_span("work") as work:
        async with EtcdLocks(session).hold("model/1", holder="me", ttl=TTL_S, wait=1.0):
            pass
    await until(lambda: bool(told.named("etcdserverpb.KV/Txn")))

    transaction = told.named("etcdserverpb.KV/Txn")[0]
    assert transaction.parent is not None
    assert transaction.parent.span_id == work.get_span_context().span_id


async def test_what_keeps_a_session_alive_is_timed_and_leaves_no_span(session: EtcdSession, told: Told) -> None:
    def timed() -> set[str]:
        return told.labels("rpc.client.call.duration", "rpc.method")

    await until(lambda: {"etcdserverpb.Lease/LeaseGrant", "etcdserverpb.Lease/LeaseTimeToLive"} <= timed())

    assert session.is_alive
    assert told.spans.get_finished_spans() == ()


async def test_a_process_whose_etcd_hangs_says_that_its_session_is_gone(session: EtcdSession, etcd: EtcdServer) -> None:
    assert session.is_alive
    etcd.pause()
    try:
        async with asyncio.timeout(3 * TTL_S):
            while session.is_alive:
                await asyncio.sleep(0.05)
    finally:
        etcd.resume()
