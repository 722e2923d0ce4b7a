"""Freshness, consistency reports, alerts and silences."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from synapsenet_api.monitoring.v1 import monitoring_service_pb2 as pb
from synapsenet_api.monitoring.v1.alert_pb2 import Alert, AlertEvent, AlertState, Silence
from synapsenet_api.monitoring.v1.consistency_pb2 import ConsistencyReport
from synapsenet_api.monitoring.v1.freshness_pb2 import EntityFreshness, GroupFreshness
from synapsenet_client._calls import Ask, Asyncio, Blocking, Pages, Watch, answering, paging, streaming
from synapsenet_client._enums import enum_values
from synapsenet_client._times import duration, timestamp


class FreshnessMethods:
    """How old features are; ages are milliseconds."""

    @paging
    def freshness(
        self, *, groups: Iterable[str] = (), states: Iterable[str] = (), top_k: int = 0, page_size: int = 0
    ) -> Pages[pb.GetFreshnessResponse, GroupFreshness]:
        """How fresh groups are, by name.

        Args:
            groups: their names; empty: all.
            states: only groups in one of these: FRESH, WARN, STALE, NEVER_WRITTEN, NO_SLA, DELETED, SKEWED.
            top_k: name that many of the stalest entities of each group.
            page_size: groups fetched at a time; 0: as the platform likes.

        Raises:
            NotFound: a group does not exist.
        """
        request = pb.GetFreshnessRequest(group=groups, state=states, top_k=top_k, page_size=page_size)
        return Pages(request, lambda page: page.groups)

    @paging
    def entity_freshness(
        self, group: str, entities: Iterable[str], *, states: Iterable[str] = (), page_size: int = 0
    ) -> Pages[pb.GetFreshnessResponse, EntityFreshness]:
        """How fresh entities of a group are; each is its key values joined by `|`.

        Raises:
            NotFound: an entity was never written.
        """
        request = pb.GetFreshnessRequest(group=[group], entity=entities, state=states, page_size=page_size)
        return Pages(request, lambda page: page.entities)

    @streaming
    def watch_freshness(
        self,
        *,
        groups: Iterable[str] = (),
        entities: Iterable[str] = (),
        states: Iterable[str] = (),
        top_k: int = 0,
        interval: float | timedelta | None = None,
    ) -> Watch[pb.WatchFreshnessResponse, pb.WatchFreshnessResponse]:
        """The same again after each change of a state, and at least every `interval` (seconds), until the stream is closed."""
        request = pb.WatchFreshnessRequest(
            group=groups, entity=entities, state=states, top_k=top_k, interval=duration(interval)
        )
        return Watch(request, lambda answer: answer)


class ConsistencyMethods:
    """Whether online values are those of the history."""

    @answering
    def check_consistency(
        self, group: str, *, features: Iterable[str] = (), sample_size: int = 0, request_id: str = ""
    ) -> Ask[pb.RunConsistencyCheckResponse, ConsistencyReport]:
        """Compare a group's online values with its history now."""
        request = pb.RunConsistencyCheckRequest(group=group, features=features, sample_size=sample_size, request_id=request_id)
        return Ask(request, lambda answer: answer.report)

    @answering
    def get_report(self, report_id: str) -> Ask[pb.GetConsistencyReportResponse, ConsistencyReport]:
        """One consistency report."""
        return Ask(pb.GetConsistencyReportRequest(report_id=report_id), lambda answer: answer.report)

    @paging
    def list_reports(
        self, *, group: str = "", page_size: int = 0
    ) -> Pages[pb.ListConsistencyReportsResponse, ConsistencyReport]:
        """The consistency reports, the newest first."""
        request = pb.ListConsistencyReportsRequest(group=group, page_size=page_size)
        return Pages(request, lambda page: page.reports)


class AlertMethods:
    """What is wrong, and what is kept quiet."""

    @answering
    def get_alert(self, fingerprint: str) -> Ask[pb.GetAlertResponse, Alert]:
        """One alert."""
        return Ask(pb.GetAlertRequest(fingerprint=fingerprint), lambda answer: answer.alert)

    @paging
    def list_alerts(
        self, *, group: str = "", states: Iterable[str] = (), page_size: int = 0
    ) -> Pages[pb.ListAlertsResponse, Alert]:
        """Alerts, the newest first; `states` are PENDING, FIRING, RESOLVED, by default the first two."""
        request = pb.ListAlertsRequest(group=group, states=enum_values("states", AlertState, states), page_size=page_size)
        return Pages(request, lambda page: page.alerts)

    @streaming
    def watch_alerts(self, *, group: str = "", after_position: int = 0) -> Watch[pb.WatchAlertsResponse, AlertEvent]:
        """Changes of alerts, stored ones first, then as they happen; resume after the last position that was seen.

        Raises:
            OutOfRange: the position is no longer kept.
        """
        return Watch(pb.WatchAlertsRequest(group=group, after_position=after_position), lambda answer: answer.event)

    @answering
    def create_silence(
        self,
        matchers: Mapping[str, str],
        *,
        end_time: datetime,
        start_time: datetime | None = None,
        reason: str = "",
        author: str = "",
        request_id: str = "",
    ) -> Ask[pb.CreateSilenceResponse, Silence]:
        """Keep alerts that carry all of `matchers` quiet until `end_time`."""
        silence = Silence(
            matchers=matchers,
            start_time=timestamp("start_time", start_time),
            end_time=timestamp("end_time", end_time),
            reason=reason,
            author=author,
        )
        return Ask(pb.CreateSilenceRequest(silence=silence, request_id=request_id), lambda answer: answer.silence)

    @answering
    def get_silence(self, silence_id: str) -> Ask[pb.GetSilenceResponse, Silence]:
        """One silence."""
        return Ask(pb.GetSilenceRequest(silence_id=silence_id), lambda answer: answer.silence)

    @paging
    def list_silences(self, *, include_expired: bool = False, page_size: int = 0) -> Pages[pb.ListSilencesResponse, Silence]:
        """The silences, the newest first."""
        request = pb.ListSilencesRequest(include_expired=include_expired, page_size=page_size)
        return Pages(request, lambda page: page.silences)

    @answering
    def expire_silence(self, silence_id: str) -> Ask[pb.ExpireSilenceResponse, Silence]:
        """End a silence now."""
        return Ask(pb.ExpireSilenceRequest(silence_id=silence_id), lambda answer: answer.silence)


class Monitoring(Blocking, FreshnessMethods, ConsistencyMethods, AlertMethods):
    """`client.monitoring`."""


class AsyncMonitoring(Asyncio, FreshnessMethods, ConsistencyMethods, AlertMethods):
    """`client.monitoring` of an asyncio client."""
