"""What blocking and asyncio transports have in common: one channel, its methods, metadata and typed errors."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from typing import Any, Generic, TypeVar

import grpc
from google.protobuf.message import Message

from synapsenet_client._errors import SynapseNetError
from synapsenet_client._options import Options
from synapsenet_client._rpc import rpc_of
from synapsenet_client._status import error_of_call

C = TypeVar("C", grpc.Channel, grpc.aio.Channel)


class Wire(Generic[C]):
    """An open channel to `target`, shared by all transports that are views of one client."""

    def __init__(self, channel: C, target: str, options: Options) -> None:
        self.channel: C = channel
        self.target = target
        self.options = options
        self.metadata = _metadata(options)
        self._methods: dict[str, Any] = {}

    def method(self, kind: str, request: type[Message]) -> Any:
        """The callable for the RPC of `request`; `kind` is gRPC's: `unary_unary`, `unary_stream` …"""
        rpc = rpc_of(request)
        if (method := self._methods.get(rpc.path)) is None:
            method = getattr(self.channel, kind)(
                rpc.path, request_serializer=request.SerializeToString, response_deserializer=rpc.answer.FromString
            )
            self._methods[rpc.path] = method
        return method

    def error(self, failure: grpc.RpcError, timeout: float | None) -> SynapseNetError:
        return error_of_call(failure, target=self.target, timeout=timeout)

    @contextlib.contextmanager
    def typed_errors(self, timeout: float | None) -> Generator[None]:
        try:
            yield
        except grpc.RpcError as failure:
            raise self.error(failure, timeout) from failure


def _metadata(options: Options) -> tuple[tuple[str, str], ...]:
    pairs = tuple((key.lower(), value) for key, value in options.metadata.items())
    return (*pairs, ("authorization", f"Bearer {options.token}")) if options.token else pairs
