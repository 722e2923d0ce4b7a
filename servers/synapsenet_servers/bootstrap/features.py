"""The feature store, put together."""

from __future__ import annotations

from contextlib import AsyncExitStack

from synapsenet.adapters.lmdb.online_store import open_online_store
from synapsenet.adapters.parquet.history import open_history
from synapsenet.adapters.sql.features import SqlFeaturesWork, metadata
from synapsenet.features.service import Features, Resources
from synapsenet_api.features.v1.feature_control_service_pb2_grpc import add_FeatureControlServiceServicer_to_server
from synapsenet_api.features.v1.feature_service_pb2_grpc import add_FeatureServiceServicer_to_server
from synapsenet_servers.bootstrap.role import Platform, Role, Service, Task
from synapsenet_servers.servicers.features import FeatureControl, FeatureStore


async def assemble(platform: Platform, stack: AsyncExitStack) -> Role:
    """The role `features`: records, online values and history in `data/features`, training sets in the platform's artifacts."""
    options = platform.config.features
    folder = platform.data / "features"
    work = await stack.enter_async_context(platform.records("features", metadata=metadata, unit=SqlFeaturesWork))
    store = await stack.enter_async_context(open_online_store(folder / "online", options.online))
    history = await stack.enter_async_context(open_history(folder / "history", join_memory_mb=options.join_memory_mb))
    features = Features(
        Resources(
            work=work,
            store=store,
            history=history,
            artifacts=platform.artifacts,
            clock=platform.clock,
            group_ids=platform.ids("fg"),
            training_set_ids=platform.ids("ts"),
            options=options,
        )
    )
    await features.start()
    stack.push_async_callback(features.stop)
    external = Service(
        name="synapsenet.features.v1.FeatureService",
        servicer=FeatureStore(features),
        add=add_FeatureServiceServicer_to_server,
    )
    control = Service(
        name="synapsenet.features.v1.FeatureControlService",
        servicer=FeatureControl(features),  # type: ignore[abstract]  # the rest is in not_yet_available
        add=add_FeatureControlServiceServicer_to_server,
    )
    mirror = Task(name="mirror of the change log into the history", run=features.mirror.run)
    return Role(name="features", services=[external], control=[control], tasks=[mirror])
