"""What the trial saw, and the judgement: events as they were watched, held against the table and against the history."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

from synapsenet.lifecycle.audit import Entry, Findings, Move, Progress, audit
from synapsenet.lifecycle.model import OperationState
from synapsenet.lifecycle.table import MACHINE
from synapsenet_api.lifecycle.v1 import operation_pb2
from synapsenet_api.lifecycle.v1.lifecycle_event_pb2 import LifecycleEvent
from synapsenet_api.lifecycle.v1.version_status_pb2 import VersionStatus
from synapsenet_api.registry.v1 import version_pb2
from synapsenet_client import AsyncClient, SynapseNetError
from synapsenet_servers.commands.torture.persistence import ATTEMPT_S, persist

_RECONNECT_S = 0.2
_SETTLED_S = 120.0
_PAGE = 1_000
_UNENDED = ("WAITING", "RUNNING", "COMPENSATING", "NEEDS_ATTENTION")


class Watcher:
    """A watcher of the coordinator's events that resumes where it was after every fault."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client
        self._position = 0
        self._news = asyncio.Event()
        self.events: list[LifecycleEvent] = []

    async def run(self) -> None:
        """Watch, for ever."""
        while True:
            with suppress(SynapseNetError):
                async with self._client.lifecycle.watch_events(after_position=self._position) as events:
                    async for event in events:
                        self.events.append(event)
                        self._position = event.position
                        self._news.set()
            await asyncio.sleep(_RECONNECT_S)

    async def heard(self, model_id: str, number: int, *, timeout: float) -> None:
        """Return when a model's event with this number was seen, or it takes too long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while max((event.sequence for event in self.events if event.model_id == model_id), default=0) < number:
                    self._news.clear()
                    await self._news.wait()


def entry(event: LifecycleEvent) -> Entry:
    """The event as the audit reads it."""
    what: Move | Progress | None = None
    kind = event.WhichOneof("what")
    if kind == "transition":
        moved = event.transition
        what = Move(
            version=moved.version,
            source=moved.from_state,
            event=moved.event,
            target=moved.to_state,
            operation_id=moved.operation_id,
        )
    elif kind == "operation":
        now = event.operation
        state = operation_pb2.OperationState.Name(now.state).removeprefix("OPERATION_STATE_").lower()
        what = Progress(operation_id=now.id, version=now.version, saga=now.saga, state=OperationState(state))
    return Entry(model_id=event.model_id, sequence=event.sequence, what=what)


async def judge(client: AsyncClient, watcher: Watcher, models: list[str], stuck: list[str]) -> Findings:
    """What is wrong with all that happened, once nothing goes on any more."""
    client = client.within(ATTEMPT_S)
    until = time.monotonic() + _SETTLED_S
    left = await _unended(client)
    while left and time.monotonic() < until:
        await asyncio.sleep(_RECONNECT_S)
        left = await _unended(client)
    lost: list[str] = []
    illegal: list[str] = []
    for model in models:
        lost += await _unheard(client, watcher, model, until)
        illegal += await _shown_otherwise(client, model)
    found = audit(MACHINE, [entry(event) for event in watcher.events])
    unended = [f"{operation.saga} {operation.id} has not ended" for operation in left]
    return Findings(
        lost=found.lost + tuple(lost),
        illegal=found.illegal + tuple(illegal),
        stuck=tuple({*found.stuck, *unended, *stuck}),
    )


async def _unended(client: AsyncClient) -> list[operation_pb2.Operation]:
    async def read() -> list[operation_pb2.Operation]:
        return [one async for one in client.lifecycle.list_operations(states=_UNENDED)]

    return await persist(read)


async def _unheard(client: AsyncClient, watcher: Watcher, model: str, until: float) -> list[str]:
    """Transitions of the history that no event told of, and the other way round."""

    async def read() -> dict[int, str]:
        moves = client.lifecycle.list_transitions(model, page_size=_PAGE)
        return {moved.sequence: f"{moved.model_id}:{moved.version} {moved.event}" async for moved in moves}

    history = await persist(read)
    model_id = (await persist(lambda: client.models.get(model))).id
    await watcher.heard(model_id, max(history, default=0), timeout=max(_RECONNECT_S, until - time.monotonic()))
    seen = {
        event.sequence for event in watcher.events if event.model_id == model_id and event.WhichOneof("what") == "transition"
    }
    return [f"{history.get(number, model_id)}: only one of history and events has {number}" for number in seen ^ {*history}]


async def _shown_otherwise(client: AsyncClient, model: str) -> list[str]:
    """Versions that the registry shows in another state than the coordinator has them in."""

    async def read() -> list[version_pb2.Version]:
        return [version async for version in client.registry.list_versions(model, page_size=_PAGE)]

    wrong = []
    for version in await persist(read):
        shown = version_pb2.VersionState.Name(version.state).removeprefix("VERSION_STATE_").lower()
        status = await _status(client, model, version.version)
        if status.state != shown:
            wrong.append(f"{model}:{version.version} is {status.state}, and the registry shows {shown}")
    return wrong


async def _status(client: AsyncClient, model: str, version: int) -> VersionStatus:
    return await persist(lambda: client.lifecycle.status(model, version))
