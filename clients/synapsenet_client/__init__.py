"""The Python SDK of SynapseNet: every area of the platform, blocking or asyncio, with typed errors.

    import synapsenet_client

    with synapsenet_client.connect("localhost:7400") as client:
        model = client.models.create("digits", task="CLASSIFICATION")
        print([model.name for model in client.models.list()])

    async with synapsenet_client.connect_async() as client:
        answer = await client.inference.predict("digits", {"pixels": rows})

It needs gRPC and protobuf, takes and gives numpy arrays where numpy is installed, and nothing else of SynapseNet.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from synapsenet_client._aio_transport import AsyncStream
from synapsenet_client._client import AsyncClient, Client, connect, connect_async
from synapsenet_client._errors import (
    Aborted,
    AlreadyExists,
    Cancelled,
    DataLoss,
    DeadlineExceeded,
    FailedPrecondition,
    Internal,
    InvalidArgument,
    NotFound,
    NotYetAvailable,
    OutOfRange,
    PermissionDenied,
    ResourceExhausted,
    SynapseNetError,
    Unauthenticated,
    Unavailable,
    Unimplemented,
    Violation,
)
from synapsenet_client._options import Options, Retries, Tls
from synapsenet_client._transport import Stream
from synapsenet_client._values import Typed

if TYPE_CHECKING:
    from synapsenet_client._columns import OnlineFeatures
    from synapsenet_client._enums import enum_name
    from synapsenet_client._experiments import History
    from synapsenet_client._features import FeatureRows, freshness_sla
    from synapsenet_client._inference import Prediction, StreamPrediction
    from synapsenet_client._lifecycle import intent
    from synapsenet_client._operations import has_ended, succeeded
    from synapsenet_client._parameters import parameter_value
    from synapsenet_client._run import AsyncLoggedRun, LoggedRun
    from synapsenet_client._thresholds import threshold
    from synapsenet_client._training import job_spec

__all__ = [
    "Aborted",
    "AlreadyExists",
    "AsyncClient",
    "AsyncLoggedRun",
    "AsyncStream",
    "Cancelled",
    "Client",
    "DataLoss",
    "DeadlineExceeded",
    "FailedPrecondition",
    "FeatureRows",
    "History",
    "Internal",
    "InvalidArgument",
    "LoggedRun",
    "NotFound",
    "NotYetAvailable",
    "OnlineFeatures",
    "Options",
    "OutOfRange",
    "PermissionDenied",
    "Prediction",
    "ResourceExhausted",
    "Retries",
    "Stream",
    "StreamPrediction",
    "SynapseNetError",
    "Tls",
    "Typed",
    "Unauthenticated",
    "Unavailable",
    "Unimplemented",
    "Violation",
    "connect",
    "connect_async",
    "enum_name",
    "freshness_sla",
    "has_ended",
    "intent",
    "job_spec",
    "parameter_value",
    "succeeded",
    "threshold",
]

_DEFERRED = {
    "AsyncLoggedRun": "_run",
    "FeatureRows": "_features",
    "History": "_experiments",
    "LoggedRun": "_run",
    "OnlineFeatures": "_columns",
    "Prediction": "_inference",
    "StreamPrediction": "_inference",
    "enum_name": "_enums",
    "freshness_sla": "_features",
    "has_ended": "_operations",
    "intent": "_lifecycle",
    "job_spec": "_training",
    "parameter_value": "_parameters",
    "succeeded": "_operations",
    "threshold": "_thresholds",
}


def __getattr__(name: str) -> Any:
    """What belongs to one area is imported with it: a program that uses two areas does not load the stubs of all eight."""
    if name not in _DEFERRED:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_DEFERRED[name]}"), name)
