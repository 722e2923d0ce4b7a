"""Searches, comparisons and rankings on the wire."""

from __future__ import annotations

from collections.abc import Iterable

from synapsenet.experiments.analysis import Importance, ImportanceWish, SearchWish
from synapsenet.experiments.comparison import (
    Best,
    ComparedParameter,
    Comparison,
    Correction,
    Entry,
    Excluded,
    ExclusionReason,
    MetricChoice,
    Pair,
    PairStatus,
    Question,
    Replicate,
    Representative,
    Statistics,
    Test,
)
from synapsenet.experiments.importance import ParameterImportance, ParameterKind, Verdict
from synapsenet.experiments.metric_choice import DirectionSource
from synapsenet.experiments.model import RunState
from synapsenet.experiments.ports import Match
from synapsenet_api.experiments.v1 import analysis_service_pb2 as service_pb2
from synapsenet_api.experiments.v1 import comparison_pb2, importance_pb2, run_pb2
from synapsenet_servers.translate.enums import Wire
from synapsenet_servers.translate.experiments import (
    DIRECTIONS,
    REDUCERS,
    SCALES,
    STATES,
    states,
    to_direction,
    to_experiment,
    to_params,
    to_value,
)

_REPRESENTATIVES = Wire(Representative, comparison_pb2.Representative, "REPRESENTATIVE_", unspecified=Representative.AUTO)
_CORRECTIONS = Wire(Correction, comparison_pb2.Correction, "CORRECTION_")
_TESTS = Wire(Test, comparison_pb2.SignificanceTest, "SIGNIFICANCE_TEST_", unspecified=Test.AUTO)
_SOURCES = Wire(DirectionSource, comparison_pb2.DirectionSource, "DIRECTION_SOURCE_")
_CHOICES = Wire(MetricChoice, comparison_pb2.MetricChoice, "METRIC_CHOICE_")
_PAIR_STATUSES = Wire(PairStatus, comparison_pb2.PairStatus, "PAIR_STATUS_")
_EXCLUSIONS = Wire(ExclusionReason, comparison_pb2.ExclusionReason, "EXCLUSION_REASON_")
_VERDICTS = Wire(Verdict, importance_pb2.ImportanceVerdict, "IMPORTANCE_VERDICT_")
_KINDS = Wire(ParameterKind, importance_pb2.ParameterKind, "PARAMETER_KIND_")

_FINISHED = frozenset({RunState.FINISHED})


def search_wish(wire: service_pb2.SearchExperimentsRequest) -> SearchWish:
    return SearchWish(
        filter=wire.filter,
        order_by=wire.order_by,
        project=wire.project,
        listed_runs=wire.runs_per_experiment,
        fields=tuple(wire.fields),
    )


def question(wire: service_pb2.CompareExperimentsRequest) -> Question:
    return Question(
        entries=tuple(wire.experiment_ids),
        metric=wire.metric,
        reducer=REDUCERS.asked(wire.reducer, field="reducer"),
        direction=DIRECTIONS.asked(wire.direction, field="direction"),
        correction=_CORRECTIONS.asked(wire.correction, field="correction") or Correction.HOLM,
        test=_TESTS.member(wire.test, field="test"),
        confidence=wire.confidence if wire.HasField("confidence") else 0.95,
        alpha=wire.alpha if wire.HasField("alpha") else 0.05,
        states=states(wire.states) or _FINISHED,
        representative=_REPRESENTATIVES.member(wire.representative, field="representative"),
        at_step=wire.at_step if wire.HasField("at_step") else None,
        at_fraction=wire.at_fraction if wire.HasField("at_fraction") else None,
        selection_metric=wire.selection_metric,
        selection_seeds=tuple(wire.selection_seeds),
        robust=wire.robust,
        task_tag=wire.task_tag,
    )


def importance_wish(wire: service_pb2.GetHyperparameterImportanceRequest) -> ImportanceWish:
    return ImportanceWish(
        experiment_id=wire.experiment_id,
        metric=wire.metric,
        reducer=REDUCERS.asked(wire.reducer, field="reducer"),
        states=states(wire.states) or _FINISHED,
        params=tuple(wire.params),
        interactions=wire.interactions,
    )


def to_match(match: Match, runs: Iterable[run_pb2.Run]) -> service_pb2.ExperimentMatch:
    return service_pb2.ExperimentMatch(experiment=to_experiment(match.experiment), matching_runs=match.matching_runs, runs=runs)


def to_comparison(comparison: Comparison) -> comparison_pb2.Comparison:
    asked = comparison.question
    return comparison_pb2.Comparison(
        metric=comparison.metric,
        metric_choice=_CHOICES[comparison.metric_choice],
        candidate_metrics=comparison.candidate_metrics,
        direction=to_direction(comparison.direction),
        direction_source=_SOURCES[comparison.direction_source],
        reducer=REDUCERS[comparison.reducer],
        correction=_CORRECTIONS[asked.correction],
        family_size=comparison.family_size,
        confidence=asked.confidence,
        alpha=asked.alpha,
        entries=map(_to_entry, comparison.entries),
        unknown=(comparison_pb2.UnknownEntry(entry=one.entry, reason=one.reason) for one in comparison.unknown),
        parameters=_to_report(comparison),
        best=None if comparison.best is None else _to_best(comparison.best),
        pairs=map(_to_pair, comparison.pairs),
        notes=comparison.notes,
    )


def _to_entry(entry: Entry) -> comparison_pb2.ComparedEntry:
    subject = entry.subject
    return comparison_pb2.ComparedEntry(
        entry=subject.entry,
        experiment_id=subject.experiment.id,
        experiment_name=subject.experiment.name,
        representative=_REPRESENTATIVES[subject.representative],
        configuration_id=subject.configuration_id,
        params=to_params(entry.params),
        statistics=_to_statistics(entry.statistics),
        other_statistics=map(_to_statistics, entry.other_statistics),
        replicates=map(_to_replicate, entry.replicates),
        excluded=map(_to_excluded, entry.excluded),
    )


def _to_statistics(statistics: Statistics) -> comparison_pb2.MetricStatistics:
    return comparison_pb2.MetricStatistics(
        metric=statistics.metric,
        n=statistics.n,
        mean=statistics.mean,
        sd=statistics.sd,
        ci_low=statistics.ci_low,
        ci_high=statistics.ci_high,
        min=statistics.min,
        max=statistics.max,
        median=statistics.median,
    )


def _to_replicate(replicate: Replicate) -> comparison_pb2.Replicate:
    return comparison_pb2.Replicate(run_id=replicate.run.id, seed=replicate.run.seed, value=replicate.value)


def _to_excluded(excluded: Excluded) -> comparison_pb2.ExcludedRun:
    return comparison_pb2.ExcludedRun(
        run_id=excluded.run.id, reason=_EXCLUSIONS[excluded.reason], state=STATES[excluded.run.state]
    )


def _to_report(comparison: Comparison) -> comparison_pb2.ParameterReport:
    report = comparison.parameters
    return comparison_pb2.ParameterReport(
        shared=report.shared,
        constant=report.constant,
        varying=report.varying,
        missing=report.missing,
        type_conflicting=report.type_conflicting,
        values=map(_to_compared_parameter, report.values),
    )


def _to_compared_parameter(parameter: ComparedParameter) -> comparison_pb2.ComparedParameter:
    return comparison_pb2.ComparedParameter(
        name=parameter.name,
        values=(
            comparison_pb2.ComparedParameter.EntryValues(entry=entry, values=map(to_value, values))
            for entry, values in parameter.values
        ),
    )


def _to_best(best: Best) -> comparison_pb2.BestConfiguration:
    return comparison_pb2.BestConfiguration(
        entry=best.entry,
        experiment_id=best.experiment_id,
        configuration_id=best.configuration_id,
        statistics=_to_statistics(best.statistics),
        params=to_params(best.params),
        runner_up=best.runner_up,
        runner_up_adjusted_p_value=best.runner_up_adjusted_p_value,
        tied=best.tied,
    )


def _to_pair(pair: Pair) -> comparison_pb2.PairComparison:
    return comparison_pb2.PairComparison(
        first=pair.first,
        second=pair.second,
        status=_PAIR_STATUSES[pair.status],
        test=_TESTS[pair.test],
        first_n=pair.first_n,
        second_n=pair.second_n,
        difference=pair.difference,
        difference_low=pair.difference_low,
        difference_high=pair.difference_high,
        statistic=pair.statistic,
        degrees_of_freedom=pair.degrees_of_freedom,
        p_value=pair.p_value,
        adjusted_p_value=pair.adjusted_p_value,
        significant=pair.significant,
        hedges_g=pair.hedges_g,
        cliffs_delta=pair.cliffs_delta,
    )


def to_importance(importance: Importance) -> importance_pb2.HyperparameterImportance:
    ranking = importance.ranking
    return importance_pb2.HyperparameterImportance(
        experiment_id=importance.experiment_id,
        metric=importance.metric,
        metric_requested=importance.metric_requested,
        candidate_metrics=importance.candidate_metrics,
        reducer=REDUCERS[importance.reducer],
        runs=importance.runs,
        excluded_runs=importance.excluded_runs,
        configurations=importance.configurations,
        verdict=_VERDICTS[ranking.verdict],
        verdict_reason=ranking.reason,
        reliable=ranking.verdict is Verdict.RELIABLE,
        parameters=map(_to_parameter_importance, ranking.parameters),
        constant_parameters=ranking.constant,
        explained=ranking.explained,
        data_version=importance.data_version,
    )


def _to_parameter_importance(parameter: ParameterImportance) -> importance_pb2.ParameterImportance:
    return importance_pb2.ParameterImportance(
        name=parameter.name,
        rank=parameter.rank,
        importance=parameter.importance,
        low=parameter.low,
        high=parameter.high,
        p_value=parameter.p_value,
        adjusted_p_value=parameter.adjusted_p_value,
        kind=_KINDS[parameter.kind],
        scale=SCALES[parameter.scale],
        distinct_values=parameter.distinct_values,
        missing_runs=parameter.missing_runs,
    )
