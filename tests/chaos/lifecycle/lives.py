"""A process of these tests as the test sees it: begun, asked, killed, begun again."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from tests.chaos.lifecycle.stores import Places

ANSWER_S = 100.0
END_S = 10.0
STOPPED_S = 30.0

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(
    ["pytest", "tests.chaos.lifecycle.killed", "tests.chaos.lifecycle.callers", "tests.chaos.lifecycle.relaying"]
)


class Life:
    """One life of one process."""

    def __init__(self, main: Callable[[Connection, Places], None], places: Places) -> None:
        ours, theirs = _context.Pipe()
        self._pipe = ours
        self.process = _context.Process(target=main, args=(theirs, places), daemon=True)
        self.process.start()
        theirs.close()
        assert self.heard() == "ready"

    def say(self, command: str, *arguments: Any) -> None:
        """Ask without waiting for an answer."""
        self._pipe.send((command, arguments))

    def heard(self) -> Any:
        """Its next answer."""
        assert self._pipe.poll(ANSWER_S), "no answer"
        return self._pipe.recv()

    def ask(self, command: str, *arguments: Any) -> Any:
        self.say(command, *arguments)
        return self.heard()

    def died(self) -> None:
        """Wait until it was killed, by itself."""
        self.process.join(ANSWER_S)
        assert self.process.exitcode == -signal.SIGKILL, self.process.exitcode
        self._pipe.close()

    def pause(self) -> None:
        """SIGSTOP."""
        os.kill(self._pid, signal.SIGSTOP)

    def until_stopped(self) -> None:
        """Wait until it stopped itself."""
        until = time.monotonic() + STOPPED_S
        while "T (stopped)" not in Path(f"/proc/{self._pid}/status").read_text():
            assert time.monotonic() < until, "it goes on"
            time.sleep(0.05)

    def resume(self) -> None:
        """SIGCONT."""
        os.kill(self._pid, signal.SIGCONT)

    def kill(self) -> None:
        os.kill(self._pid, signal.SIGKILL)
        self.died()

    def end(self) -> None:
        """Let it end in order, if it lives."""
        if self.process.exitcode is None:
            self.resume()
            self._pipe.close()
            self.process.join(END_S)
            if self.process.exitcode is None:
                self.process.kill()
                self.process.join(END_S)

    @property
    def _pid(self) -> int:
        assert self.process.pid is not None
        return self.process.pid


class Reborn:
    """One process after another, in the same places."""

    def __init__(self, main: Callable[[Connection, Places], None], places: Places) -> None:
        self._main = main
        self._places = places
        self.life = Life(main, places)

    def again(self) -> Life:
        """After its death: the next life."""
        self.life.died()
        self.life = Life(self._main, self._places)
        return self.life


@contextmanager
def reborn(main: Callable[[Connection, Places], None], places: Places) -> Iterator[Reborn]:
    """A process that begins again when it died, ended with the `with`."""
    process = Reborn(main, places)
    try:
        yield process
    finally:
        process.life.end()
