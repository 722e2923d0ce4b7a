"""Searching runs, held against a plain Python reading of the same filter over the same runs."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from datetime import timedelta
from functools import cmp_to_key
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from synapsenet.experiments.filter_grammar import parse_filter, parse_order
from synapsenet.experiments.filtering import (
    Aggregate,
    And,
    Comparator,
    Compare,
    Contains,
    Field,
    Filter,
    Kind,
    Not,
    Or,
    Ordering,
    Present,
    Subject,
    matches,
    value_of,
)
from synapsenet.experiments.model import Experiment, Run, RunState
from synapsenet.experiments.ports import Query
from synapsenet.platform.paging import PageRequest
from synapsenet.testing.clock import NOON
from synapsenet.testing.experiments import Work, experiment, log, points, run, storing

EXPERIMENTS = (experiment(), experiment("b%_", project="other"))
_TEXTS = ["adam", "Adam", "a%m", "", "ключ", 'q"\\', "1"]
_NUMBERS = [0.001, 1e-3, 1, 1.0, -2, 0, 64, 2.5, 1e300]
_NAMES = ["lr", "optimizer", "layers.0.units"]
_METRICS = ["accuracy", "train/loss"]

_fields = st.one_of(
    st.builds(Field, st.just(Subject.PARAM), st.sampled_from(_NAMES)),
    st.builds(Field, st.just(Subject.METRIC), st.sampled_from(_METRICS), st.sampled_from(Aggregate)),
    st.builds(Field, st.just(Subject.TAG), st.sampled_from(["team", "host"])),
    st.builds(Field, st.just(Subject.RUN), st.sampled_from(["name", "state", "seed", "create_time", "end_time", "id"])),
    st.builds(Field, st.just(Subject.EXPERIMENT), st.sampled_from(["name", "project"])),
)


def _values(kind: Kind) -> st.SearchStrategy[Any]:
    match kind:
        case Kind.ANY:
            return st.sampled_from([*_NUMBERS, *_TEXTS, True, False])
        case Kind.NUMBER:
            return st.sampled_from(_NUMBERS)
        case Kind.TEXT:
            return st.sampled_from([*_TEXTS, "other", "run-0003"])
        case Kind.STATE:
            return st.sampled_from([state.value for state in RunState])
        case Kind.TIME:
            return st.integers(0, 40).map(lambda seconds: NOON + timedelta(seconds=seconds))


def _comparison(field: Field) -> st.SearchStrategy[Filter]:
    def comparators(value: Any) -> st.SearchStrategy[Comparator]:
        orders = not isinstance(value, bool) and field.kind is not Kind.STATE
        return st.sampled_from([each for each in Comparator if orders or not each.orders])

    compared = _values(field.kind).flatmap(lambda value: st.builds(Compare, st.just(field), comparators(value), st.just(value)))
    present = st.just(Present(field))
    if field.kind in (Kind.ANY, Kind.TEXT):
        return st.one_of(compared, present, st.builds(Contains, st.just(field), st.sampled_from(_TEXTS)))
    return st.one_of(compared, present)


def _operands(children: st.SearchStrategy[Filter]) -> st.SearchStrategy[tuple[Filter, ...]]:
    return st.lists(children, min_size=2, max_size=3).map(tuple)


filters = st.recursive(
    _fields.flatmap(_comparison),
    lambda children: st.one_of(
        st.builds(And, _operands(children)), st.builds(Or, _operands(children)), st.builds(Not, children)
    ),
    max_leaves=6,
)
orderings = st.lists(st.builds(Ordering, _fields, st.booleans()), max_size=3, unique_by=lambda one: one.field).map(tuple)


def _runs() -> list[Run]:
    """Forty runs, among them ones that lack each thing, and parameters of mixed types."""
    values = itertools.cycle([0.001, 1, True, "adam", None, 1.0, "Adam", 64, False, "a%m", -2, "", 2.5, 'q"\\', "ключ"])
    made = []
    for number in range(40):
        params = {name: value for name, value in zip(_NAMES, values, strict=False) if value is not None}
        tags = {"team": _TEXTS[number % 7]} if number % 3 else {}
        changes: dict[str, Any] = {"state": list(RunState)[number % 4], "tags": tags, "name": _TEXTS[number % 5]}
        changes |= {"seed": number % 5} if number % 2 else {}
        changes |= {"end_time": NOON + timedelta(seconds=number)} if number % 4 else {}
        made.append(run(number, params, experiment_id=EXPERIMENTS[number % 2].id, **changes))
    return made


def ordered(runs: Sequence[Run], ordering: Sequence[Ordering], experiments: dict[str, Experiment]) -> list[Run]:
    """The runs as `Query` promises their order, by pairwise comparison."""

    def rank(value: Any, field: Field, one: Run) -> int:
        if value is None or (isinstance(value, float) and not math.isfinite(value)):
            return 3 if field.subject is Subject.METRIC and field.name in one.metrics else 4
        return 2 if isinstance(value, bool) else 1 if isinstance(value, str) else 0

    def compare(one: Run, other: Run) -> int:
        for criterion in ordering:
            mine, its = (value_of(criterion.field, each, experiments[each.experiment_id]) for each in (one, other))
            ranks = rank(mine, criterion.field, one), rank(its, criterion.field, other)
            if ranks[0] != ranks[1]:
                return -1 if ranks[0] < ranks[1] else 1
            if ranks[0] < 3 and mine != its:
                return -1 if (mine < its) != criterion.descending else 1  # type: ignore[operator]  # equal ranks compare
        if not ordering and one.create_time != other.create_time:
            return -1 if one.create_time > other.create_time else 1
        return -1 if one.id < other.id else 1

    return sorted(runs, key=cmp_to_key(compare))


class SearchContract:
    """Run over every adapter by a class that provides the fixture `work`."""

    async def stored(self, work: Work) -> list[Run]:
        runs = _runs()
        if not await work.read(lambda tx: tx.experiments.find([EXPERIMENTS[0].id])):
            await work.run(storing(*EXPERIMENTS, *runs))
            for number, each in enumerate(runs):
                if number % 5:
                    await log(work, each.id, points([0.25 * (number % 4), number % 3 * 0.5], metric="accuracy"))
                if number % 7 == 0:
                    await log(work, each.id, points([1.0, [math.nan, math.inf, 0.001][number % 3]], metric="train/loss"))
        kept = await work.read(lambda tx: tx.runs.of({each.id for each in EXPERIMENTS}, limit=100))
        return sorted(itertools.chain.from_iterable(kept.values()), key=lambda each: each.id)

    async def pages(self, work: Work, query: Query, size: int = 7) -> list[Run]:
        seen: list[Run] = []
        token = ""
        while True:
            page = PageRequest(size=size, token=token)
            answer = await work.read(lambda tx, page=page: tx.runs.search(query, page))  # type: ignore[misc]  # inferred
            seen.extend(answer.items)
            if not (token := answer.next_token):
                return seen

    @settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(filter=filters, ordering=orderings)
    async def test_a_search_finds_what_the_filter_means_in_the_order_asked_for(
        self, work: Work, filter: Filter, ordering: tuple[Ordering, ...]
    ) -> None:
        experiments = {each.id: each for each in EXPERIMENTS}
        runs = await self.stored(work)
        expected = [each for each in runs if matches(filter, each, experiments[each.experiment_id])]
        answer = await self.pages(work, Query(filter=filter, ordering=ordering))
        assert [each.id for each in answer] == [each.id for each in ordered(expected, ordering, experiments)]

    @settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(filter=filters, ordering=orderings)
    async def test_a_search_by_experiment_groups_the_same_runs(
        self, work: Work, filter: Filter, ordering: tuple[Ordering, ...]
    ) -> None:
        experiments = {each.id: each for each in EXPERIMENTS}
        runs = await self.stored(work)
        wanted = [each for each in runs if matches(filter, each, experiments[each.experiment_id])]
        expected = ordered(wanted, ordering, experiments)
        query = Query(filter=filter, ordering=ordering)
        answer = await work.read(lambda tx: tx.runs.search_by_experiment(query, PageRequest(), runs=3))
        order = list(dict.fromkeys(each.experiment_id for each in expected))
        assert [match.experiment.id for match in answer.items] == order
        for match in answer.items:
            own = [each.id for each in expected if each.experiment_id == match.experiment.id]
            assert match.matching_runs == len(own)
            assert [each.id for each in match.runs] == own[:3]

    async def test_experiments_are_paged_by_their_first_run(self, work: Work) -> None:
        await self.stored(work)
        query = Query(ordering=parse_order("run.id desc"))
        first = await work.read(lambda tx: tx.runs.search_by_experiment(query, PageRequest(size=1), runs=1))
        token = first.next_token
        second = await work.read(lambda tx: tx.runs.search_by_experiment(query, PageRequest(size=1, token=token), runs=1))
        assert [match.runs[0].id for match in first.items + second.items] == ["run-0039", "run-0038"]
        assert not second.next_token

    async def test_a_project_bounds_the_search(self, work: Work) -> None:
        await self.stored(work)
        assert {each.experiment_id for each in await self.pages(work, Query(project="other"))} == {EXPERIMENTS[1].id}

    async def test_an_unknown_parameter_matches_nothing(self, work: Work) -> None:
        await self.stored(work)
        for text in ("nobody=1", "nobody!=1", "nobody:*", "metrics.nobody>0", "tags.nobody=x"):
            assert await self.pages(work, Query(filter=parse_filter(text))) == []

    async def test_names_and_values_are_data_and_never_statements(self, work: Work) -> None:
        stored = await self.stored(work)
        for text in ("x' OR '1'='1", "'; DROP TABLE runs; --", 'a" OR "b'):
            quoted = '"' + text.replace('"', '\\"') + '"'
            for injected in (f"optimizer={quoted}", f"params.{quoted}=1", f"optimizer:{quoted}", f"tags.{quoted}:*"):
                assert await self.pages(work, Query(filter=parse_filter(injected))) == []
        assert len(await self.pages(work, Query())) == len(stored)

    async def test_runs_inserted_between_two_pages_repeat_and_hide_nothing(self, work: Work) -> None:
        stored = await self.stored(work)
        query = Query(ordering=parse_order("metrics.accuracy desc, lr"))
        first = await work.read(lambda tx: tx.runs.search(query, PageRequest(size=15)))
        await work.run(storing(*(run(number, {"lr": 0.5}) for number in range(100, 120))))
        page = PageRequest(size=100, token=first.next_token)
        rest = await work.read(lambda tx: tx.runs.search(query, page))
        seen = [each.id for each in first.items + rest.items]
        assert len(seen) == len(set(seen))
        assert {each.id for each in stored} <= set(seen)
