"""One recorded call: what was asked, in which manner, and what was answered; and how it is made."""

from __future__ import annotations

import asyncio
import queue
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import grpc
from google.protobuf.message import Message

from synapsenet_servers.not_yet_available.row import Row
from tests.golden.contracts import Contracts

PATIENCE_S = 20.0


class Manner(StrEnum):
    """How requests and responses of one call follow each other.

    WHOLE: all requests, then all responses to the end.
    IN_TURN: after each request one response, then the end.
    TAKEN: one request, then as many responses as there were; the caller hangs up. For streams that do not end.
    SPANNING: one request and one response; the others and the end are heard after a later step, and in between nobody wakes
        who sleeps.
    """

    WHOLE = "whole"
    IN_TURN = "in_turn"
    TAKEN = "taken"
    SPANNING = "spanning"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A call before it is made.

    Attributes:
        step: its place among all steps of the recording, from 1.
        says: what it shows, in a few words.
        method: `package.Service/Method`.
        held: whether nobody wakes who sleeps while it goes on, so that a batch leaves only when it is full.
        take: with `TAKEN`, how many responses to hear.
        until: with `SPANNING`, the step after which the others are heard.
        metadata: headers beside the requests.
        to_come: what answers NOT_YET_AVAILABLE as long as the table has its row: an option as it stands there, or empty for
            the whole method. A call that does something now is not made again, since those after it were recorded without it.
    """

    step: int
    says: str
    method: str
    requests: Sequence[Message]
    manner: Manner = Manner.WHOLE
    held: bool = False
    take: int = 0
    until: int = 0
    metadata: Mapping[str, str] = field(default_factory=dict)
    to_come: str | None = None

    def still_made(self, rows: Iterable[Row]) -> bool:
        """Whether the call is answered as it was recorded, by what of `rows` is not available yet."""
        if self.to_come is None:
            return True
        return any((row.method, row.option) == (f"/{self.method}", self.to_come) for row in rows)


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What a call led to; `status` is None if the caller hung up."""

    responses: list[Message] = field(default_factory=list)
    status: dict[str, Any] | None = None

    def json(self, contracts: Contracts) -> dict[str, Any]:
        """The outcome as it is written, and compared."""
        return {"responses": [contracts.to_json(response) for response in self.responses], "status": self.status}


class Conversation:
    """A call that is being made, over a channel that knows no stubs: bytes out, bytes in.

    The channel is a threaded one: that of asyncio loses the status of a call which is refused while more is being said.
    """

    def __init__(self, channel: grpc.Channel, contracts: Contracts, call: Call) -> None:
        self.call = call
        self.outcome = Outcome()
        self._contracts = contracts
        self._says: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        # On the wire a unary call is a stream of one message, so one shape does for all.
        open_stream: Any = channel.stream_stream(f"/{call.method}", None, None)
        self._stream: Any = open_stream(iter(self._says.get, None), timeout=PATIENCE_S, metadata=tuple(call.metadata.items()))

    async def begin(self) -> None:
        """As much of the call as comes before its end."""
        for request in self.call.requests:
            self._says.put(request.SerializeToString(deterministic=True))
            if self.call.manner is Manner.IN_TURN:
                await self._hear()
        self._says.put(None)
        if self.call.manner is Manner.SPANNING:
            await self._hear()

    async def end(self) -> Outcome:
        """The rest of the call."""
        if self.call.manner is Manner.TAKEN:
            while len(self.outcome.responses) < self.call.take and await self._hear():
                pass
            self._stream.cancel()
            return self.outcome
        while await self._hear():
            pass
        self.outcome.status = self._status()
        return self.outcome

    async def _hear(self) -> bool:
        """Take the next response; False: there is none."""
        try:
            answer: bytes | None = await asyncio.to_thread(next, self._stream, None)
        except grpc.RpcError:
            return False  # `end` reads the status
        if answer is None:
            return False
        self.outcome.responses.append(self._contracts.response(self.call.method, answer))
        return True

    def _status(self) -> dict[str, Any]:
        code: grpc.StatusCode = self._stream.code()
        if code is grpc.StatusCode.OK:
            return {"code": code.name}
        trailers = dict(self._stream.trailing_metadata() or ())
        found = {
            "code": code.name,
            "message": self._stream.details(),
            "details": self._contracts.details(trailers.get("grpc-status-details-bin", b"")),
        }
        return found | ({"retry_after": trailers["retry-after"]} if "retry-after" in trailers else {})
