"""The feature store on the wire."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from synapsenet.features.service import Features
from synapsenet_api.features.v1 import feature_control_service_pb2 as control_pb
from synapsenet_api.features.v1 import feature_service_pb2 as pb
from synapsenet_api.features.v1.feature_control_service_pb2_grpc import FeatureControlServiceServicer
from synapsenet_api.features.v1.feature_service_pb2_grpc import FeatureServiceServicer
from synapsenet_servers.translate import feature_values as values
from synapsenet_servers.translate import features as translate
from synapsenet_servers.translate.pages import page_request
from synapsenet_servers.translate.requests import request as identity
from synapsenet_servers.translate.times import from_timestamp, to_timestamp


class FeatureStore(FeatureServiceServicer):
    """Translates between `FeatureService` and the feature store."""

    def __init__(self, features: Features) -> None:
        self._features = features

    async def CreateFeatureGroup(self, request: pb.CreateFeatureGroupRequest, context: Any) -> pb.CreateFeatureGroupResponse:
        group = await self._features.create_group(translate.group_wish(request.group), identity(request))
        return pb.CreateFeatureGroupResponse(group=translate.group(group))

    async def GetFeatureGroup(self, request: pb.GetFeatureGroupRequest, context: Any) -> pb.GetFeatureGroupResponse:
        return pb.GetFeatureGroupResponse(group=translate.group(self._features.get_group(request.group)))

    async def ListFeatureGroups(self, request: pb.ListFeatureGroupsRequest, context: Any) -> pb.ListFeatureGroupsResponse:
        page = await self._features.list_groups(page_request(request))
        return pb.ListFeatureGroupsResponse(groups=map(translate.group, page.items), next_page_token=page.next_token)

    async def UpdateFeatureGroup(self, request: pb.UpdateFeatureGroupRequest, context: Any) -> pb.UpdateFeatureGroupResponse:
        changes = translate.group_changes(request)
        group = await self._features.update_group(request.group.name, changes, identity(request))
        return pb.UpdateFeatureGroupResponse(group=translate.group(group))

    async def DeleteFeatureGroup(self, request: pb.DeleteFeatureGroupRequest, context: Any) -> pb.DeleteFeatureGroupResponse:
        await self._features.delete_group(request.group)
        return pb.DeleteFeatureGroupResponse()

    async def WriteFeatures(self, request: pb.WriteFeaturesRequest, context: Any) -> pb.WriteFeaturesResponse:
        summary = await self._features.write(values.write(request.batch, self._features.get_group))
        return pb.WriteFeaturesResponse(summary=values.summary(summary))

    async def StreamFeatures(
        self, requests: AsyncIterator[pb.StreamFeaturesRequest], context: Any
    ) -> AsyncIterator[pb.StreamFeaturesResponse]:
        batches = (values.write(request.batch, self._features.get_group) async for request in requests)
        async for count, summary in self._features.write_all(batches):
            yield pb.StreamFeaturesResponse(acknowledged_batches=count, summary=values.summary(summary))

    async def GetOnlineFeatures(self, request: pb.GetOnlineFeaturesRequest, context: Any) -> pb.GetOnlineFeaturesResponse:
        return await self._read(request.features, request)

    async def StreamOnlineFeatures(
        self, requests: AsyncIterator[pb.StreamOnlineFeaturesRequest], context: Any
    ) -> AsyncIterator[pb.StreamOnlineFeaturesResponse]:
        features: Any = ()
        async for request in requests:
            features = request.features or features
            yield pb.StreamOnlineFeaturesResponse(answer=await self._read(features, request))

    async def _read(self, references: Any, request: Any) -> pb.GetOnlineFeaturesResponse:
        entities = values.entities(request, lambda: self._features.entity_keys(references))
        as_of, groups = await self._features.read(references, entities)
        if request.layout == pb.VALUE_LAYOUT_ROWS:
            return pb.GetOnlineFeaturesResponse(as_of=to_timestamp(as_of), rows=values.row_answers(groups, entities.rows))
        return pb.GetOnlineFeaturesResponse(as_of=to_timestamp(as_of), groups=map(values.packed_answer, groups))

    async def DeleteEntities(self, request: pb.DeleteEntitiesRequest, context: Any) -> pb.DeleteEntitiesResponse:
        entities = values.entities(request, lambda: self._features.entity_keys([f"{request.group}:*"]))
        at = from_timestamp(request.event_time, field="event_time") if request.HasField("event_time") else None
        summary = await self._features.delete_entities(request.group, entities, at)
        return pb.DeleteEntitiesResponse(summary=values.summary(summary))

    async def BuildTrainingSet(self, request: pb.BuildTrainingSetRequest, context: Any) -> pb.BuildTrainingSetResponse:
        wish = values.training_set_wish(request, self._features.entity_keys)
        training_set = await self._features.build_training_set(wish, identity(request))
        return pb.BuildTrainingSetResponse(training_set=translate.training_set(training_set))

    async def GetTrainingSet(self, request: pb.GetTrainingSetRequest, context: Any) -> pb.GetTrainingSetResponse:
        training_set = await self._features.get_training_set(request.training_set_id)
        return pb.GetTrainingSetResponse(training_set=translate.training_set(training_set))

    async def ListTrainingSets(self, request: pb.ListTrainingSetsRequest, context: Any) -> pb.ListTrainingSetsResponse:
        page = await self._features.list_training_sets(page_request(request))
        return pb.ListTrainingSetsResponse(
            training_sets=map(translate.training_set, page.items), next_page_token=page.next_token
        )

    async def ReadTrainingSet(
        self, request: pb.ReadTrainingSetRequest, context: Any
    ) -> AsyncIterator[pb.ReadTrainingSetResponse]:
        training_set = await self._features.get_training_set(request.training_set_id)
        first = pb.ReadTrainingSetResponse(size_bytes=training_set.size, sha256=training_set.sha256)
        async for chunk in self._features.training_set_bytes(training_set):
            first.data = chunk
            yield first
            first = pb.ReadTrainingSetResponse()


class FeatureControl(FeatureControlServiceServicer):
    """Translates between `FeatureControlService` and the feature store."""

    def __init__(self, features: Features) -> None:
        self._features = features

    async def StreamAges(
        self, request: control_pb.StreamAgesRequest, context: Any
    ) -> AsyncIterator[control_pb.StreamAgesResponse]:
        async for piece in self._features.ages(request.groups, request.entities, groups_only=request.groups_only):
            yield translate.ages(piece)
