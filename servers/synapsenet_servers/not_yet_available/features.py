"""What the feature store promises and does not do yet."""

from __future__ import annotations

from synapsenet_servers.not_yet_available.row import Row

_SERVICE = "/synapsenet.features.v1.FeatureService"
_CONTROL = "/synapsenet.features.v1.FeatureControlService"

ROWS: tuple[Row, ...] = (
    Row(
        method=f"{_SERVICE}/CreateFeatureGroup",
        option="group.consistency",
        brings="online values and history will be compared by a group's own thresholds",
    ),
    Row(
        method=f"{_SERVICE}/UpdateFeatureGroup",
        option="update_mask=consistency",
        brings="online values and history will be compared by a group's own thresholds",
    ),
    Row(
        method=f"{_SERVICE}/UpdateFeatureGroup",
        option="update_mask=features",
        brings="features will be appended to a live group; until then make a new group",
    ),
    Row(method=f"{_CONTROL}/StreamChanges", brings="monitoring will follow changes as they happen; until then it reads ages"),
    Row(method=f"{_CONTROL}/CompareStores", brings="online values and history will be compared as of one instant"),
)
