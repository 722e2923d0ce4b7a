"""The two clients: one sub-client an area, made when it is first asked for, so that an unused area costs no import."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from synapsenet_client._aio_transport import AsyncTransport
from synapsenet_client._options import Options, chosen_target
from synapsenet_client._transport import Transport

if TYPE_CHECKING:
    from synapsenet_client._experiments import AsyncExperiments, Experiments
    from synapsenet_client._features import AsyncFeatures, Features
    from synapsenet_client._inference import AsyncInference, Inference
    from synapsenet_client._lifecycle import AsyncLifecycle, Lifecycle
    from synapsenet_client._models import AsyncModels, Models
    from synapsenet_client._monitoring import AsyncMonitoring, Monitoring
    from synapsenet_client._registry import AsyncRegistry, Registry
    from synapsenet_client._training import AsyncTraining, Training


def connect(target: str = "", *, options: Options | None = None) -> Client:
    """A blocking client; nothing is dialled before the first call.

    Args:
        target: `HOST:PORT` or `unix:PATH`; empty: $SYNAPSENET_TARGET, else where `synapsenet dev` listens.
        options: deadlines, limits, retries and credentials; None: the defaults.

    Raises:
        InvalidArgument: a token would cross the network in plain text, or a PEM file cannot be read.
    """
    return Client(Transport(chosen_target(target), options or Options()))


def connect_async(target: str = "", *, options: Options | None = None) -> AsyncClient:
    """An asyncio client for the running loop; arguments as of `connect`."""
    return AsyncClient(AsyncTransport(chosen_target(target), options or Options()))


class Client:
    """The platform, area by area. Safe to use from several threads; close it, or use it in a `with` block."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    @cached_property
    def features(self) -> Features:
        from synapsenet_client._features import Features

        return Features(self._transport)

    @cached_property
    def monitoring(self) -> Monitoring:
        from synapsenet_client._monitoring import Monitoring

        return Monitoring(self._transport)

    @cached_property
    def models(self) -> Models:
        from synapsenet_client._models import Models

        return Models(self._transport)

    @cached_property
    def registry(self) -> Registry:
        from synapsenet_client._registry import Registry

        return Registry(self._transport)

    @cached_property
    def lifecycle(self) -> Lifecycle:
        from synapsenet_client._lifecycle import Lifecycle

        return Lifecycle(self._transport)

    @cached_property
    def inference(self) -> Inference:
        from synapsenet_client._inference import Inference

        return Inference(self._transport)

    @cached_property
    def experiments(self) -> Experiments:
        from synapsenet_client._experiments import Experiments

        return Experiments(self._transport)

    @cached_property
    def training(self) -> Training:
        from synapsenet_client._training import Training

        return Training(self._transport)

    def within(self, seconds: float) -> Client:
        """The same connection with another deadline: `client.within(2.0).models.get("digits")`.

        It bounds a whole call, a stream included. Closing it closes the connection.
        """
        return Client(self._transport.within(seconds))

    def wait_until_connected(self, timeout: float = 10.0) -> None:
        """Return as soon as the platform takes connections.

        Raises:
            DeadlineExceeded: nobody did within `timeout` seconds.
        """
        self._transport.connect(timeout)

    def close(self) -> None:
        """End the connection and every call on it."""
        self._transport.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class AsyncClient:
    """The platform, area by area. It belongs to the loop that it was made in; close it, or use it in an `async with` block."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    @cached_property
    def features(self) -> AsyncFeatures:
        from synapsenet_client._features import AsyncFeatures

        return AsyncFeatures(self._transport)

    @cached_property
    def monitoring(self) -> AsyncMonitoring:
        from synapsenet_client._monitoring import AsyncMonitoring

        return AsyncMonitoring(self._transport)

    @cached_property
    def models(self) -> AsyncModels:
        from synapsenet_client._models import AsyncModels

        return AsyncModels(self._transport)

    @cached_property
    def registry(self) -> AsyncRegistry:
        from synapsenet_client._registry import AsyncRegistry

        return AsyncRegistry(self._transport)

    @cached_property
    def lifecycle(self) -> AsyncLifecycle:
        from synapsenet_client._lifecycle import AsyncLifecycle

        return AsyncLifecycle(self._transport)

    @cached_property
    def inference(self) -> AsyncInference:
        from synapsenet_client._inference import AsyncInference

        return AsyncInference(self._transport)

    @cached_property
    def experiments(self) -> AsyncExperiments:
        from synapsenet_client._experiments import AsyncExperiments

        return AsyncExperiments(self._transport)

    @cached_property
    def training(self) -> AsyncTraining:
        from synapsenet_client._training import AsyncTraining

        return AsyncTraining(self._transport)

    def within(self, seconds: float) -> AsyncClient:
        """The same connection with another deadline: `await client.within(2.0).models.get("digits")`.

        It bounds a whole call, a stream included. Closing it closes the connection.
        """
        return AsyncClient(self._transport.within(seconds))

    async def wait_until_connected(self, timeout: float = 10.0) -> None:
        """Return as soon as the platform takes connections.

        Raises:
            DeadlineExceeded: nobody did within `timeout` seconds.
        """
        await self._transport.connect(timeout)

    async def close(self) -> None:
        """End the connection and every call on it."""
        await self._transport.close()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()
