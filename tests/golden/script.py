"""A recording of calls while it is made: each step is carried out, and remembered with its answer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from google.protobuf.message import Message

from synapsenet_servers.not_yet_available.row import Row
from tests.golden.calls import Call, Conversation, Manner, Outcome
from tests.golden.contracts import Contracts
from tests.golden.files import CALLS, write_json
from tests.golden.stage import Stage

ACTS = "acts.json"


class Script:
    """Steps in their order; scenarios call it."""

    def __init__(self, stage: Stage, contracts: Contracts, *, absent: Iterable[Row]) -> None:
        self._absent = tuple(absent)
        self._stage = stage
        self._contracts = contracts
        self._step = 0
        self._calls: dict[str, list[tuple[Call, Outcome]]] = defaultdict(list)
        self._acts: list[dict[str, Any]] = []

    async def call(self, method: str, *requests: Message, says: str, **how: Any) -> list[Any]:
        """Make the call, in the manner that the other fields of `Call` say, and remember it; its responses.

        What is available meanwhile is left out.
        """
        call = self._new(method, requests, says=says, **how)
        if not call.still_made(self._absent):
            return []
        conversation = Conversation(self._stage.channel, self._contracts, call)
        with self._stage.clock.held(call.held):
            await conversation.begin()
            outcome = await conversation.end()
        self._calls[method].append((call, outcome))
        return list(outcome.responses)

    @asynccontextmanager
    async def spanning(self, method: str, request: Message, *, says: str) -> AsyncIterator[None]:
        """A call whose first response is heard now, and the others after the steps inside the `with`."""
        call = self._new(method, [request], says=says, manner=Manner.SPANNING)
        conversation = Conversation(self._stage.channel, self._contracts, call)
        self._stage.clock.hold()
        await conversation.begin()
        yield
        self._stage.clock.release()
        self._calls[method].append((replace(call, until=self._step), await conversation.end()))

    async def play(self, act: str, job_id: str) -> None:
        """Let the processes of a job do something, in the time of the call before: a job may have begun in that already."""
        self._step += 1
        self._acts.append({"step": self._step, "act": act, "job": job_id})
        await self._stage.processes.play(act, job_id)

    def write(self, folder: Path) -> None:
        """One file an RPC, and one of what the processes did."""
        for method, calls in self._calls.items():
            entries = [self._entry(call, outcome) for call, outcome in calls]
            write_json(folder / CALLS / f"{method}.json", entries)
        write_json(folder / CALLS / ACTS, self._acts)

    def _new(self, method: str, requests: Any, **how: Any) -> Call:
        self._step += 1
        self._stage.clock.begin(self._step)
        # What is sent is what the recorded descriptors know, so that the file says all of it.
        known = [self._contracts.request(method, request.SerializeToString()) for request in requests]
        return Call(step=self._step, method=method, requests=known, **how)

    def _entry(self, call: Call, outcome: Outcome) -> dict[str, Any]:
        entry = {
            "step": call.step,
            "says": call.says,
            "manner": call.manner,
            "requests": [self._contracts.to_json(request) for request in call.requests],
        }
        how = {"held": call.held, "take": call.take, "until": call.until, "metadata": call.metadata}
        entry |= {name: value for name, value in how.items() if value}
        if call.to_come is not None:
            entry["to_come"] = call.to_come
        return entry | outcome.json(self._contracts)
