"""What this process tells of itself, in one place that every part of it can ask; nothing, until somebody opens it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from synapsenet_servers.telemetry.instruments import Gauge, Instruments, Read
from synapsenet_servers.telemetry.observing import Gauges
from synapsenet_servers.telemetry.variables import Collector

if TYPE_CHECKING:
    import grpc
    from opentelemetry.trace import Tracer
    from sqlalchemy import Engine

    from synapsenet_servers.telemetry.publishing import Publications
    from synapsenet_servers.telemetry.transactions import Transactions


@dataclass(frozen=True, slots=True, kw_only=True)
class Telemetry:
    """The hooks of one process. Where nothing is configured they give and do nothing.

    Attributes:
        tracer: makes the spans; None: there are none.
        instruments: what is recorded as it happens; None: nothing is.
        gauges: what is read when somebody asks; None: nobody does.
        exports: whether spans leave the process; else they are there for the logs alone.
        collector: where spans are sent to by OTLP; None if they are not.
        share: of the calls that bring no trace, 0..1, how many begin one.
        metrics_address: `host:port` of the page for Prometheus; empty if there is none.
    """

    tracer: Tracer | None = None
    instruments: Instruments | None = None
    gauges: Gauges | None = None
    exports: bool = False
    collector: Collector | None = None
    share: float = 1.0
    metrics_address: str = ""

    def server_interceptors(self, services: Collection[str]) -> Sequence[grpc.aio.ServerInterceptor[Any, Any]]:
        """What stands before the guard of a server, to see what callers see.

        Args:
            services: full names of what the server offers; what is none of their methods shares one label.
        """
        if self.tracer is None and self.instruments is None:
            return ()
        from synapsenet_servers.telemetry.serving import ServedCalls, known_methods

        return (ServedCalls(self, known_methods(services)),)

    def channel_interceptors(self, *, begins: bool = True) -> Sequence[Any]:
        """What stands last before the wire in a channel: it gives the trace's context to whoever is called.

        Args:
            begins: whether a call outside of any trace begins one.
        """
        if self.tracer is None and self.instruments is None:
            return ()
        from synapsenet_servers.telemetry.calling import made_calls

        return made_calls(self, begins=begins)

    def transactions(self, namespace: str) -> Transactions | None:
        """What tells of the transactions of the database called `namespace`; None if nothing does."""
        if self.instruments is None and not self.exports:
            return None
        from synapsenet_servers.telemetry.transactions import Transactions

        return Transactions(self, namespace=namespace)

    def publications(self, destination: str) -> Publications | None:
        """What tells of events published to the topic `destination`; None if nothing does."""
        if self.instruments is None and not self.exports:
            return None
        from synapsenet_servers.telemetry.publishing import Publications

        return Publications(self, destination=destination)

    def watch_engine(self, engine: Engine, *, namespace: str) -> None:
        """Have the statements of `engine` timed and, inside a trace, told as spans.

        Args:
            namespace: what the database is called: the area.
        """
        if self.instruments is None and not self.exports:
            return
        from synapsenet_servers.telemetry.statements import watch_statements

        watch_statements(engine, self, namespace=namespace)

    @contextmanager
    def observing(self, gauge: Gauge, read: Read) -> Iterator[None]:
        """Have `read` asked for the values of `gauge` inside a `with`."""
        if self.gauges is None:
            yield
            return
        with self.gauges.observing(gauge, read):
            yield

    @contextmanager
    def observing_all(self, sources: Iterable[tuple[Gauge, Read]]) -> Iterator[None]:
        """Do so for all of `sources`."""
        with ExitStack() as stack:
            for gauge, read in sources:
                stack.enter_context(self.observing(gauge, read))
            yield


OFF = Telemetry()

_current = OFF


def current() -> Telemetry:
    """What this process has open."""
    return _current


@contextmanager
def becoming(telemetry: Telemetry) -> Iterator[Telemetry]:
    """Let `telemetry` be what `current()` gives inside a `with`."""
    global _current  # noqa: PLW0603 - like logging, there is one for a process
    before, _current = _current, telemetry
    try:
        yield telemetry
    finally:
        _current = before
