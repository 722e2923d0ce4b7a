"""The platform's metrics by name, unit and meaning: OpenTelemetry's conventions where there are any, else `synapsenet.…`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opentelemetry.metrics import CallbackOptions, Histogram, Meter, Observation

Labels = Mapping[str, str]
# What is measured at the moment of asking: values with their labels. Called on the event loop.
Read = Callable[[], Iterable[tuple[float, Labels]]]

# Seconds. A small read takes less than one millisecond here, a training set minutes.
_DURATIONS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gauge:
    """A metric that is read when somebody asks.

    Attributes:
        grows: it only ever grows, as a counter does.
    """

    name: str
    unit: str
    meaning: str
    grows: bool = False


CONNECTIONS = Gauge(name="db.client.connection.count", unit="{connection}", meaning="Connections of a pool, by state.")
CONNECTIONS_MAX = Gauge(name="db.client.connection.max", unit="{connection}", meaning="Connections that a pool may open.")
WRITERS = Gauge(
    name="synapsenet.db.writers.waiting",
    unit="{transaction}",
    meaning="Write transactions waiting or under way.",
)
OUTBOX_BACKLOG = Gauge(
    name="synapsenet.outbox.backlog", unit="{event}", meaning="Events with a position that the relay has not marked as sent."
)
OUTBOX_PARKED = Gauge(
    name="synapsenet.outbox.parked",
    unit="{event}",
    meaning="Events that the broker refused for good.",
)
RELAY_LAG = Gauge(name="synapsenet.relay.lag", unit="s", meaning="Age of the oldest event that is not sent; 0 without backlog.")
ETCD_SESSION = Gauge(
    name="synapsenet.etcd.session.alive", unit="{session}", meaning="1 while this process's lease in etcd holds, else 0."
)
LOCKS_HELD = Gauge(name="synapsenet.locks.held", unit="{lock}", meaning="Locks that this process holds.")
LOCKS_WAITING = Gauge(name="synapsenet.locks.waiting", unit="{waiter}", meaning="Tasks of this process that wait for a lock.")
CHILDREN = Gauge(name="synapsenet.children", unit="{process}", meaning="Child processes that live, by state.")
CHILD_RESTARTS = Gauge(
    name="synapsenet.children.restarts", unit="{restart}", meaning="Restarts of the child processes that live."
)
CHILDREN_GIVEN_UP = Gauge(
    name="synapsenet.children.given_up", unit="{process}", meaning="Child processes that ended for good unasked.", grows=True
)
CPU_TIME = Gauge(name="process.cpu.time", unit="s", meaning="Processor time of this process, by mode.", grows=True)
MEMORY = Gauge(name="process.memory.usage", unit="By", meaning="Resident memory of this process.")
DESCRIPTORS = Gauge(
    name="process.unix.file_descriptor.count", unit="{file_descriptor}", meaning="File descriptors that this process has open."
)
THREADS = Gauge(name="process.thread.count", unit="{thread}", meaning="Threads of this process.")
UPTIME = Gauge(name="process.uptime", unit="s", meaning="Seconds since this process began to tell of itself.")


class Instruments:
    """What is recorded as it happens.

    Attributes:
        active: by method, calls under way, on the side that answers; changed on the event loop alone.
        served: seconds of a call, on the side that answers.
        called: seconds of a call, on the side that asks.
        refused: calls that ended with an error of the platform, by its reason.
        statements: seconds of an SQL statement.
        transactions: seconds of a whole transaction, from its begin to the end of its commit.
        sent: events that the broker took, or refused for good.
        published: seconds from handing an event to the broker's client until the broker's word.
    """

    def __init__(self, meter: Meter) -> None:
        def durations(name: str, meaning: str) -> Histogram:
            return meter.create_histogram(
                name, unit="s", description=meaning, explicit_bucket_boundaries_advisory=list(_DURATIONS)
            )

        # Counted by hand: two records of the SDK a call would cost more than the rest of what is told of it.
        self.active: Counter[str] = Counter()
        meter.create_observable_gauge(
            "synapsenet.rpc.server.active_calls",
            callbacks=[self._active],
            unit="{call}",
            description="Calls under way, by method.",
        )
        self.served = durations("rpc.server.call.duration", "Duration of an incoming call.")
        self.called = durations("rpc.client.call.duration", "Duration of an outgoing call.")
        self.refused = meter.create_counter(
            "synapsenet.rpc.server.refusals", unit="{call}", description="Calls that ended with an error, by reason."
        )
        self.statements = durations("db.client.operation.duration", "Duration of an SQL statement.")
        self.transactions = durations("synapsenet.db.transaction.duration", "Duration of a transaction with its commit.")
        self.sent = meter.create_counter(
            "messaging.client.sent.messages", unit="{message}", description="Events that the broker took or refused for good."
        )
        self.published = durations("messaging.client.operation.duration", "Duration of publishing an event.")

    def _active(self, _options: CallbackOptions) -> Iterable[Observation]:
        from opentelemetry.metrics import Observation

        return [Observation(count, {"rpc.method": method}) for method, count in tuple(self.active.items())]
