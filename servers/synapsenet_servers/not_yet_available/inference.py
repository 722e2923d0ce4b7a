"""What the inference contracts promise and this release does not do yet."""

from __future__ import annotations

from synapsenet.inference.availability import FUTURE_OPTIONS, PRIORITY_BRINGS
from synapsenet_servers.not_yet_available.row import Row

_SERVICE = "/synapsenet.inference.v1.InferenceService"
_CONTROL = "/synapsenet.inference.v1.InferenceControlService"
_OPEN = "/inference.GRPCInferenceService"
_REST = "/synapsenet.inference.v1.OpenInferenceRestService"

_BINARY = "Tensors as bytes behind the JSON of an HTTP request."
_CONFIG = "The configuration that a model runs with, in the public protocol's terms."
_STATISTICS = "Counts and times of a model's requests and batches, in the public protocol's terms."

ROWS: tuple[Row, ...] = (
    Row(method=f"{_OPEN}/ModelStreamInfer", brings="Streams of predictions by the public protocol."),
    Row(method=f"{_OPEN}/ModelConfig", brings=_CONFIG),
    Row(method=f"{_OPEN}/ModelStatistics", brings=_STATISTICS),
    Row(method=f"{_REST}/GetModelConfig", brings=_CONFIG),
    Row(method=f"{_REST}/GetModelStatistics", brings=_STATISTICS),
    Row(method=f"{_REST}/InferModel", option="inference-header-content-length", brings=_BINARY),
    Row(method=f"{_REST}/InferModel", option="inputs.parameters.binary_data_size", brings=_BINARY),
    Row(method=f"{_SERVICE}/Predict", option="priority", brings=PRIORITY_BRINGS),
    Row(method=f"{_SERVICE}/PredictStream", option="start.priority", brings=PRIORITY_BRINGS),
    *(
        Row(method=method, option=future.option, brings=future.brings)
        for method in (f"{_SERVICE}/DeployModel", f"{_CONTROL}/LoadModel")
        for future in FUTURE_OPTIONS
    ),
)
