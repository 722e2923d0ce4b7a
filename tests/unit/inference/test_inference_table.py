"""The table of what is to come is true: every RPC of inference is answered by a servicer or announced, never both."""

from __future__ import annotations

from typing import Any

import pytest

from synapsenet_api.inference.v1 import (
    inference_control_service_pb2,
    inference_control_service_pb2_grpc,
    inference_service_pb2,
    inference_service_pb2_grpc,
    open_inference_rest_service_pb2,
    open_inference_rest_service_pb2_grpc,
)
from synapsenet_api.open_inference import grpc_service_pb2, grpc_service_pb2_grpc
from synapsenet_servers.not_yet_available.inference import ROWS
from synapsenet_servers.servicers.inference import InferenceServicer
from synapsenet_servers.servicers.inference_control import InferenceControlServicer
from synapsenet_servers.servicers.open_inference import OpenInferenceServicer
from synapsenet_servers.servicers.open_inference_rest import OpenInferenceRestServicer

SERVICES: dict[str, tuple[Any, Any, Any]] = {
    "InferenceService": (inference_service_pb2, inference_service_pb2_grpc.InferenceServiceServicer, InferenceServicer),
    "InferenceControlService": (
        inference_control_service_pb2,
        inference_control_service_pb2_grpc.InferenceControlServiceServicer,
        InferenceControlServicer,
    ),
    "GRPCInferenceService": (
        grpc_service_pb2,
        grpc_service_pb2_grpc.GRPCInferenceServiceServicer,
        OpenInferenceServicer,
    ),
    "OpenInferenceRestService": (
        open_inference_rest_service_pb2,
        open_inference_rest_service_pb2_grpc.OpenInferenceRestServiceServicer,
        OpenInferenceRestServicer,
    ),
}


@pytest.mark.parametrize("name", SERVICES)
def test_every_rpc_is_answered_or_announced(name: str) -> None:
    messages, generated, servicer = SERVICES[name]
    service = messages.DESCRIPTOR.services_by_name[name]
    announced = {row.method for row in ROWS if not row.option}
    for method in service.methods:
        answered = getattr(servicer, method.name) is not getattr(generated, method.name)
        assert answered is not (f"/{service.full_name}/{method.name}" in announced), method.name


def test_every_row_is_about_an_rpc_that_there_is() -> None:
    known = {
        f"/{service.full_name}/{method.name}"
        for messages, _, _ in SERVICES.values()
        for service in messages.DESCRIPTOR.services_by_name.values()
        for method in service.methods
    }
    assert {row.method for row in ROWS} <= known
