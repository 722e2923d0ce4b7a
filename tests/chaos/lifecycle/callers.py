"""Clients as processes of their own, each with several threads that ask at the same instant."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from synapsenet_client import Options, Retries, SynapseNetError, connect
from tests.chaos.lifecycle.killed import answer
from tests.chaos.lifecycle.lives import Life, reborn
from tests.chaos.lifecycle.stores import Places

CALL_S = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """One call of `client.lifecycle`."""

    method: str
    arguments: tuple[Any, ...]
    named: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What a caller was answered.

    Attributes:
        operation_id: of the operation, if it was one.
        status: the name of the error's class; empty: it went well.
    """

    operation_id: str = ""
    status: str = ""
    reason: str = ""


def run_caller(connection: Connection, places: Places) -> None:
    """A client's process."""

    async def race(target: str, wishes: Sequence[Wish]) -> list[Heard]:
        return await asyncio.to_thread(_race, target, wishes)

    asyncio.run(answer(connection, {"race": race}))


def _race(target: str, wishes: Sequence[Wish]) -> list[Heard]:
    together = threading.Barrier(len(wishes))
    options = Options(timeout=CALL_S, retries=Retries(attempts=1))
    with connect(target, options=options) as client, ThreadPoolExecutor(len(wishes)) as threads:

        def ask(wish: Wish) -> Heard:
            together.wait(CALL_S)
            try:
                answered = getattr(client.lifecycle, wish.method)(*wish.arguments, **wish.named)
            except SynapseNetError as error:
                return Heard(status=type(error).__name__, reason=error.reason)
            return Heard(operation_id=answered.id)

        return list(threads.map(ask, wishes))


class Callers:
    """Several of them."""

    def __init__(self, lives: Sequence[Life]) -> None:
        self._lives = lives

    def race(self, wishes: Sequence[Wish], *targets: str) -> list[Heard]:
        """What all are answered who each ask for all of `wishes` at once; one after the other takes the next of `targets`."""
        for number, life in enumerate(self._lives):
            life.say("race", targets[number % len(targets)], wishes)
        return [heard for life in self._lives for heard in life.heard()]


@contextmanager
def callers(count: int, folder: Path) -> Iterator[Callers]:
    """`count` processes, ended with the `with`."""
    places = Places(folder=folder)
    with ExitStack() as stack:
        yield Callers([stack.enter_context(reborn(run_caller, places)).life for _ in range(count)])
