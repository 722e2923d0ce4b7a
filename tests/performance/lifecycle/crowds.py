"""Many clients of one coordinator at once."""

from __future__ import annotations

import asyncio
import itertools
from statistics import fmean

from synapsenet.lifecycle.model import Operation
from synapsenet.lifecycle.wishes import DeployWish, Patience
from synapsenet.platform.work import ANONYMOUS, Request
from synapsenet.testing.lifecycle_stage import MODEL, Stage
from tests.performance.lifecycle.transitions import CALLER, DIGEST, EVENTS, Swinging

CLIENTS = 64

_PATIENT = Patience(wait=600)
_LOOK_S = 0.05


class ModelEach:
    """Clients with a model of its own each.

    Args:
        each: transitions a client makes in one round; even, so that a round ends where it began.
    """

    def __init__(self, stage: Stage, each: int) -> None:
        self._coordinator = stage.lifecycle.coordinator
        self._each = each
        self._numbers = itertools.count()

    async def round(self) -> int:
        """Take every model's version there and back; how many commits that were."""
        await asyncio.gather(*(self._client(f"mdl-{number}") for number in range(CLIENTS)))
        return CLIENTS * self._each

    async def _client(self, model: str) -> None:
        state = "registered"
        for _ in range(self._each):
            request = Request(f"wish-{next(self._numbers)}", DIGEST)
            status = await self._coordinator.transition(
                model, 1, EVENTS[state], condition=None, caller=CALLER, patience=Patience(), request=request
            )
            state = status.state


class UnrelatedRows:
    """The same clients, who commit the same rows straight through units of work, without a coordinator between."""

    def __init__(self, stage: Stage, each: int) -> None:
        self._clients = [Swinging(stage.work, f"row-{number}") for number in range(CLIENTS)]
        self._each = each

    async def begin(self) -> None:
        for client in self._clients:
            await client.begin()

    async def round(self) -> int:
        """As many commits as the others make."""
        await asyncio.gather(*(self._client(client) for client in self._clients))
        return CLIENTS * self._each

    async def _client(self, client: Swinging) -> None:
        for _ in range(self._each):
            await client.swing()


class OneModel:
    """Clients who all want an operation on one model, whose one version serves."""

    def __init__(self, stage: Stage, clients: int) -> None:
        self._coordinator = stage.lifecycle.coordinator
        self._desk = stage.lifecycle.desk
        self._clients = clients

    async def longest_to_mean(self) -> float:
        """The longest wait, from the wish until the operation's first step began, as a multiple of the mean."""
        wishes = [self._coordinator.promote(MODEL, 1, DeployWish(), CALLER, _PATIENT, ANONYMOUS) for _ in range(self._clients)]
        waits = [_waited(await self._ended(operation.id)) for operation in await asyncio.gather(*wishes)]
        return max(waits) / fmean(waits)

    async def _ended(self, operation_id: str) -> Operation:
        while not (operation := await self._desk.get(operation_id)).state.has_ended:
            await asyncio.sleep(_LOOK_S)
        return operation


def _waited(operation: Operation) -> float:
    begun = operation.steps[0].started_at
    assert begun is not None, operation.failure
    return (begun - operation.created_at).total_seconds()
