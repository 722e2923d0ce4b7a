"""A proxy in front of PostgreSQL that kills it in the middle of a commit of sagas."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from threading import Event, Thread

from tests.chaos.cutting_proxy import CuttingProxy
from tests.postgres_server import LOOPBACK, RunningPostgres

_COMMIT = b"COMMIT\0"
_STEPPED = b"StepChanged"
"""The type of the event that each commit of a saga's step writes, and that nobody sends to read it."""


class Moment(Enum):
    """When the server is killed."""

    BEFORE = "before the commit arrives"
    DURING = "as the commit arrives"
    AFTER = "after the commit, before its answer"


class CommitKiller(CuttingProxy):
    """Passes on until it is told to kill.

    Attributes:
        killed: set once it has.
    """

    def __init__(self, postgres: RunningPostgres) -> None:
        self.killed = Event()
        self._postgres = postgres
        self._moment: Moment | None = None
        self._passing = 0
        self._writing: set[socket.socket] = set()
        self._answering: socket.socket | None = None
        super().__init__(f"{LOOPBACK}:{postgres.port}")

    def arm(self, moment: Moment, *, passing: int) -> None:
        """Kill the server at that moment of the next commit of a step, after `passing` of them."""
        self.killed.clear()
        self._passing = passing
        self._moment = moment

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(self._target)
            except OSError:  # the server is dead, and will be back
                near.close()
                continue
            with self._lock:
                self._open |= {near, far}
            for source, sink in ((near, far), (far, near)):
                Thread(target=self._pass_on, args=(source, sink), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(1 << 16):
                if source is self._answering:
                    self._kill()
                    return
                if not self._is_last(source, data):
                    sink.sendall(data)
                    continue
                moment, self._moment = self._moment, None
                if moment is Moment.AFTER:
                    self._answering = sink
                if moment is not Moment.BEFORE:
                    sink.sendall(data)
                if moment is not Moment.AFTER:
                    self._kill()
                    return
        except OSError:
            pass
        super()._pass_on(source, sink)  # which closes both

    def _is_last(self, source: socket.socket, data: bytes) -> bool:
        """Whether that is the commit that is not to end well."""
        if _STEPPED in data:
            self._writing.add(source)
        if source not in self._writing or not data.endswith(_COMMIT):
            return False
        self._writing.discard(source)
        if self._moment is None:
            return False
        self._passing -= 1
        return self._passing < 0

    def _kill(self) -> None:
        self._answering = None
        self._postgres.kill()
        self.cut()
        self.killed.set()


@contextmanager
def commit_killer(postgres: RunningPostgres) -> Iterator[CommitKiller]:
    """In front of `postgres`, over TCP."""
    proxy = CommitKiller(postgres)
    try:
        yield proxy
    finally:
        proxy.close()
