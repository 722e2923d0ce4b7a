"""`synapsenet up` from its start to its end, which one signal asks for and a second one hurries."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable

import uvloop

from synapsenet.clock import SystemClock
from synapsenet_servers.addresses import Addresses
from synapsenet_servers.bootstrap.data_folder import owned_folder
from synapsenet_servers.children.supervisor import Supervisor
from synapsenet_servers.telemetry import TelemetryOptions
from synapsenet_servers.telemetry.logs import configure_logs
from synapsenet_servers.up.cluster import Cluster
from synapsenet_servers.up.options import UpOptions
from synapsenet_servers.up.starting import Waves
from synapsenet_servers.up.status import Telling


def main(options: UpOptions, telling: Telling, announce: Callable[[Addresses], None]) -> None:
    """`run` to its end on an event loop of its own."""
    configure_logs(TelemetryOptions(log_level="critical"), service="up")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run(options, telling, announce))


async def run(options: UpOptions, telling: Telling, announce: Callable[[Addresses], None]) -> None:
    """Start the cluster, announce where it is, and stop it on SIGINT or SIGTERM; a second signal ends it at once.

    Raises:
        FailedPrecondition: DATA_IN_USE, DATA_NOT_WRITABLE, PORT_IN_USE, PORT_REFUSED, or what `Cluster.running` raises.
        Unavailable: CHILD_NOT_READY.
    """
    data, clock = options.data.resolve(), SystemClock()
    with owned_folder(data) as folder:
        cluster = Cluster(options, data=data, run=folder, clock=clock)
        telling.places = cluster.places
        async with Supervisor(clock=clock, changed=telling.changed) as supervisor:
            waves = Waves(supervisor)
            living = asyncio.ensure_future(_live(cluster, waves, telling, announce))
            _on_signals(living, waves)
            with telling.table(supervisor.children):
                await asyncio.wait([living])
            if not living.cancelled():
                living.result()


async def _live(cluster: Cluster, waves: Waves, telling: Telling, announce: Callable[[Addresses], None]) -> None:
    async with cluster.running(waves):
        announce(cluster.addresses)
        telling.begin()
        await asyncio.Event().wait()


def _on_signals(living: asyncio.Future[None], waves: Waves) -> None:
    asked = False

    def stop() -> None:
        nonlocal asked
        if asked:
            waves.hurry()
        else:
            asked = living.cancel()

    for name in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(name, stop)
