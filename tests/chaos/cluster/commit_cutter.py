"""A proxy in front of PostgreSQL that breaks a connection in the middle of a COMMIT."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tests.chaos.cutting_proxy import CuttingProxy

_COMMIT = b"COMMIT\0"


class CommitCutter(CuttingProxy):
    """Passes on until told what to do with the next COMMIT of a transaction that sent `marker`.

    Attributes:
        cuts: how many commits were broken.
        refusing: whether new connections are closed at once.
    """

    def __init__(self, target: str, marker: bytes) -> None:
        self.cuts = 0
        self.refusing = False
        self._marker = marker
        self._writing: set[socket.socket] = set()
        self._keep_request = self._keep_answer = self._refuse_then = False
        self._answering: socket.socket | None = None
        super().__init__(target)

    def lose_next_commit(self) -> None:
        """The next COMMIT does not reach the server."""
        self._keep_request = True

    def lose_next_answer(self, *, then_refuse: bool = False) -> None:
        """The next COMMIT is carried out, and nobody hears of it; nobody can ask either, if `then_refuse`."""
        self._keep_answer, self._refuse_then = True, then_refuse

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while not self.refusing and (data := source.recv(1 << 16)):
                if self._is_broken(source, sink, data):
                    self.cuts += 1
                    self.cut()
                    return
                sink.sendall(data)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        super()._pass_on(source, sink)

    def _is_broken(self, source: socket.socket, sink: socket.socket, data: bytes) -> bool:
        if source is self._answering:
            self._answering = None
            self.refusing = self._refuse_then
            return True
        if self._marker in data:
            self._writing.add(source)
        if source not in self._writing or not data.endswith(_COMMIT):
            return False
        self._writing.discard(source)
        if self._keep_request:
            self._keep_request = False
            return True
        if self._keep_answer:
            self._keep_answer, self._answering = False, sink
        return False


@contextmanager
def commit_cutter(port: int, marker: bytes) -> Iterator[CommitCutter]:
    """In front of the server on 127.0.0.1:`port`."""
    proxy = CommitCutter(f"127.0.0.1:{port}", marker)
    try:
        yield proxy
    finally:
        proxy.close()
