"""What the holder of a model has a replica do, on the wire."""

from __future__ import annotations

from typing import Any

from synapsenet.inference.control import Control
from synapsenet_api.inference.v1 import inference_control_service_pb2 as pb
from synapsenet_api.inference.v1.inference_control_service_pb2_grpc import InferenceControlServiceServicer
from synapsenet_api.inference.v1.loaded_model_pb2 import DeterminismEvidence
from synapsenet_servers.translate import deployments as translate

Context = Any


class InferenceControlServicer(InferenceControlServiceServicer):
    """Translates between `InferenceControlService` and the control."""

    def __init__(self, control: Control[Any]) -> None:
        self._control = control

    async def LoadModel(self, request: pb.LoadModelRequest, context: Context) -> pb.LoadModelResponse:
        holder = translate.holder(request.fence, request.model_id)
        loaded = await self._control.load(holder, translate.load_wish(request))
        return pb.LoadModelResponse(model=translate.to_loaded_model(*loaded))

    async def WarmModel(self, request: pb.WarmModelRequest, context: Context) -> pb.WarmModelResponse:
        holder = translate.holder(request.fence, request.model_id)
        loaded = await self._control.warm(holder, translate.version_number(request.version, field="version"))
        model = translate.to_deployment(loaded[0], share=0.0)
        return pb.WarmModelResponse(
            model=translate.to_loaded_model(*loaded), determinism=DeterminismEvidence(mode=model.determinism)
        )

    async def RouteTraffic(self, request: pb.RouteTrafficRequest, context: Context) -> pb.RouteTrafficResponse:
        holder = translate.holder(request.fence, request.model_id)
        previous = await self._control.route(holder, translate.shares(request.shares))
        return pb.RouteTrafficResponse(previous_shares=translate.to_shares(previous))

    async def UnloadModel(self, request: pb.UnloadModelRequest, context: Context) -> pb.UnloadModelResponse:
        holder = translate.holder(request.fence, request.model_id)
        drained = await self._control.unload(holder, translate.version_number(request.version, field="version"))
        return pb.UnloadModelResponse(drained=drained)
