"""What monitoring promises and does not do yet."""

from __future__ import annotations

from synapsenet_servers.not_yet_available.row import Row

_SERVICE = "/synapsenet.monitoring.v1.MonitoringService"

_REPORTS = "online values and history will be compared, and the reports kept"
_ALERTS = "alerts will be raised when a deadline passes; until then ask GetFreshness for STALE groups"
_SILENCES = "silences will come together with the alerts that they mute"

ROWS: tuple[Row, ...] = (
    Row(method=f"{_SERVICE}/WatchFreshness", brings="changes of state will be pushed; until then ask GetFreshness again"),
    Row(method=f"{_SERVICE}/RunConsistencyCheck", brings=_REPORTS),
    Row(method=f"{_SERVICE}/GetConsistencyReport", brings=_REPORTS),
    Row(method=f"{_SERVICE}/ListConsistencyReports", brings=_REPORTS),
    Row(method=f"{_SERVICE}/GetAlert", brings=_ALERTS),
    Row(method=f"{_SERVICE}/ListAlerts", brings=_ALERTS),
    Row(method=f"{_SERVICE}/WatchAlerts", brings=_ALERTS),
    Row(method=f"{_SERVICE}/CreateSilence", brings=_SILENCES),
    Row(method=f"{_SERVICE}/GetSilence", brings=_SILENCES),
    Row(method=f"{_SERVICE}/ListSilences", brings=_SILENCES),
    Row(method=f"{_SERVICE}/ExpireSilence", brings=_SILENCES),
)
