"""A recording of calls made again, and what is different now."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synapsenet_servers.not_yet_available.row import Row
from tests.golden.calls import Call, Conversation, Manner, Outcome
from tests.golden.contracts import Contracts
from tests.golden.files import CALLS, read_json
from tests.golden.script import ACTS
from tests.golden.stage import Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """A call with what was answered then, as JSON."""

    call: Call
    answered: dict[str, Any]

    @property
    def name(self) -> str:
        return f"step {self.call.step}, {self.call.method}: {self.call.says}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """What the processes of a job did."""

    step: int
    act: str
    job: str


def recorded_calls(folder: Path, contracts: Contracts) -> list[Recorded]:
    """All calls of the recording in `folder`, by step."""
    files = sorted((folder / CALLS).glob("*/*.json"))
    found = [_recorded(f"{path.parent.name}/{path.stem}", entry, contracts) for path in files for entry in read_json(path)]
    return sorted(found, key=lambda recorded: recorded.call.step)


def recorded_acts(folder: Path) -> list[Act]:
    return [Act(**act) for act in read_json(folder / CALLS / ACTS)]


class Replay:
    """The calls of a recording, made again on a fresh platform.

    Attributes:
        differences: each in one sentence.
        made: how many calls were made.
    """

    def __init__(self, folder: Path, contracts: Contracts, stage: Stage, *, absent: Iterable[Row]) -> None:
        self.differences: list[str] = []
        self.made = 0
        self._contracts = contracts
        self._stage = stage
        self._absent = tuple(absent)
        self._spanning: dict[int, tuple[Recorded, Conversation]] = {}
        steps: dict[int, Recorded | Act] = {recorded.call.step: recorded for recorded in recorded_calls(folder, contracts)}
        self._steps = steps | {act.step: act for act in recorded_acts(folder)}

    async def run(self) -> None:
        """Take every step."""
        for number in sorted(self._steps):
            step = self._steps[number]
            if isinstance(step, Act):
                await self._stage.processes.play(step.act, step.job)
            elif step.call.still_made(self._absent):
                self._stage.clock.begin(number)
                await self._make(step)
            if number in self._spanning:
                begun, conversation = self._spanning.pop(number)
                self._stage.clock.release()
                await self._end(begun, conversation)

    async def _make(self, step: Recorded) -> None:
        self.made += 1
        conversation = Conversation(self._stage.channel, self._contracts, step.call)
        if step.call.manner is Manner.SPANNING:
            self._stage.clock.hold()
            await conversation.begin()
            self._spanning[step.call.until] = step, conversation
        else:
            with self._stage.clock.held(step.call.held):
                await conversation.begin()
                await self._end(step, conversation)

    async def _end(self, step: Recorded, conversation: Conversation) -> None:
        self.differences += differences(step, await conversation.end(), self._contracts)


def differences(recorded: Recorded, outcome: Outcome, contracts: Contracts) -> list[str]:
    """Where `outcome` is not, bit for bit, what was recorded."""
    method = recorded.call.method
    then = [contracts.parse_response(method, response) for response in recorded.answered["responses"]]
    if recorded.answered["status"] != outcome.status:
        return [f"{recorded.name}: status was {recorded.answered['status']}, is {outcome.status}"]
    if len(then) != len(outcome.responses):
        return [f"{recorded.name}: {len(then)} responses then, {len(outcome.responses)} now"]
    return [
        f"{recorded.name}: response {number}: {_first(contracts.to_json(old), contracts.to_json(new))}"
        for number, (old, new) in enumerate(zip(then, outcome.responses, strict=True), start=1)
        if old.SerializeToString(deterministic=True) != new.SerializeToString(deterministic=True)
    ]


def _recorded(method: str, entry: dict[str, Any], contracts: Contracts) -> Recorded:
    call = Call(
        step=entry["step"],
        says=entry["says"],
        method=method,
        requests=[contracts.parse_request(method, request) for request in entry["requests"]],
        manner=Manner(entry["manner"]),
        held=entry.get("held", False),
        take=entry.get("take", 0),
        until=entry.get("until", 0),
        metadata=entry.get("metadata", {}),
        to_come=entry.get("to_come"),
    )
    return Recorded(call=call, answered={"responses": entry["responses"], "status": entry["status"]})


def _first(then: Any, now: Any) -> str:
    """The first place where two JSON values differ."""
    for path, old, new in _places(then, now, ""):
        return f"{path or 'all of it'} was {old!r}, is {new!r}"
    return "only in bits that JSON does not show"


def _places(then: Any, now: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(then, dict) and isinstance(now, dict):
        for key in sorted(then.keys() | now.keys()):
            yield from _places(then.get(key), now.get(key), f"{path}.{key}".lstrip("."))
    elif isinstance(then, list) and isinstance(now, list) and len(then) == len(now):
        for index, (old, new) in enumerate(zip(then, now, strict=True)):
            yield from _places(old, new, f"{path}[{index}]")
    elif then != now:
        yield path, then, now
