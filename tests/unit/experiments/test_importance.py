"""Importance: the share of the variance, and when a ranking is noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from synapsenet.experiments.configuration import configuration_id
from synapsenet.experiments.importance import ParameterKind, Ranking, Verdict, rank_parameters
from synapsenet.experiments.model import Parameter, ParameterDefinition, ParameterScale

Params = Mapping[str, Parameter]


def rank(params: Sequence[Params], values: Sequence[float], **definitions: ParameterDefinition) -> Ranking:
    return rank_parameters(
        params,
        np.array(values, dtype=np.float64),
        [configuration_id(one) for one in params],
        definitions,
        permutations=499,
        resamples=199,
    )


def shares(ranking: Ranking) -> dict[str, float]:
    return {parameter.name: parameter.importance for parameter in ranking.parameters}


def test_a_balanced_design_gives_the_exact_correlation_ratio() -> None:
    grid = [{"a": a, "b": b} for a in range(3) for b in range(4)] * 2
    random = np.random.default_rng(1)
    values = np.array([2.0 * one["a"] + one["b"] for one in grid]) + random.normal(size=len(grid))
    ranking = rank(grid, values.tolist())
    for name, levels in (("a", 3), ("b", 4)):
        groups = [values[[one[name] == level for one in grid]] for level in range(levels)]
        between = sum(len(group) * (group.mean() - values.mean()) ** 2 for group in groups)
        total = ((values - values.mean()) ** 2).sum()
        corrected = 1 - (1 - between / total) * (len(grid) - 1) / (len(grid) - levels)
        assert shares(ranking)[name] == pytest.approx(corrected)


def test_independent_main_effects_get_their_shares_of_the_variance() -> None:
    random = np.random.default_rng(2)
    columns = random.random((1500, 3))
    values = 3 * columns[:, 0] + columns[:, 1]  # variances 9/12 and 1/12
    ranking = rank([dict(zip("abc", row, strict=True)) for row in columns.tolist()], values.tolist())
    assert shares(ranking) == pytest.approx({"a": 0.9, "b": 0.1, "c": 0.0}, abs=0.04)
    assert [one.name for one in ranking.parameters] == ["a", "b", "c"]
    assert ranking.verdict is Verdict.RELIABLE


def test_a_step_on_a_logarithmic_scale_is_seen() -> None:
    random = np.random.default_rng(3)
    rates = 10 ** random.uniform(-5, -1, size=200)
    values = (rates > 1e-3).astype(float) + random.normal(0, 0.1, size=200)
    params = [{"lr": rate, "x": idle} for rate, idle in zip(rates.tolist(), random.random(200).tolist(), strict=True)]
    ranking = rank(params, values.tolist())
    assert shares(ranking)["lr"] > 0.85
    assert ranking.parameters[0].scale is ParameterScale.LOG


def test_an_interval_holds_its_share() -> None:
    random = np.random.default_rng(4)
    params = [{"a": number % 4} for number in range(60)]
    ranking = rank(params, [one["a"] + random.normal() for one in params])
    (only,) = ranking.parameters
    assert 0 <= only.low <= only.importance <= only.high <= 1
    assert only.low > 0.2


def test_noise_is_called_noise_about_as_often_as_it_should_be() -> None:
    random = np.random.default_rng(5)
    reliable = 0
    for _ in range(60):
        params = [{"a": a, "b": b} for a, b in random.random((40, 2)).tolist()]
        reliable += rank(params, random.normal(size=40).tolist()).verdict is Verdict.RELIABLE
    assert reliable <= 9  # 99.9 % of a binomial with 60 and 0.05


def test_replicates_do_not_make_an_idle_parameter_matter() -> None:
    """Runs of one configuration share the other parameters' effect: counting each as evidence would find something."""
    random = np.random.default_rng(6)
    reliable = 0
    for _ in range(60):
        effects = random.normal(0, 10, size=8)
        params: list[Params] = [{"idle": number % 2, "other": number} for number in range(8) for _ in range(5)]
        values = [effects[number] + random.normal() for number in range(8) for _ in range(5)]
        idle = next(one for one in rank(params, values).parameters if one.name == "idle")
        reliable += idle.p_value <= 0.05
    assert reliable <= 9


def test_the_only_parameter_of_a_small_sweep_can_be_reliable() -> None:
    params: list[Params] = [{"lr": rate, "optimizer": "sgd"} for rate in (0.001, 0.01, 0.1) for _ in range(3)]
    ranking = rank(params, [0.1, 0.11, 0.12, 0.5, 0.52, 0.51, 0.9, 0.91, 0.93])
    assert (ranking.verdict, ranking.constant) == (Verdict.RELIABLE, ("optimizer",))
    assert ranking.parameters[0].p_value < 0.05


def test_labels_missing_values_and_mixed_types_form_groups() -> None:
    random = np.random.default_rng(7)
    kinds: list[Parameter | None] = ["auto", 3, True, None]
    params: list[Params] = [{} if kind is None else {"depth": kind} for kind in kinds * 10]
    (only,) = rank(params, [n % 4 + random.normal(0, 0.1) for n in range(40)]).parameters
    assert (only.kind, only.distinct_values, only.missing_runs) == (ParameterKind.CATEGORICAL, 3, 10)
    assert only.importance > 0.95


def test_numbers_that_some_runs_lack_keep_a_group_for_those() -> None:
    decays: list[Params] = [{"decay": 0.1}, {"decay": 0.2}, {}]
    params = [decays[n // 10] for n in range(30)]
    random = np.random.default_rng(8)
    (only,) = rank(params, [5.0 * (n >= 20) + random.normal() for n in range(30)]).parameters
    assert (only.kind, only.missing_runs) == (ParameterKind.NUMERIC, 10)
    assert only.importance > 0.7


def test_a_label_of_every_run_its_own_explains_nothing() -> None:
    ranking = rank([{"host": f"h{n}", "a": n % 2} for n in range(20)], [n % 2 + n / 1000 for n in range(20)])
    assert shares(ranking)["host"] == 0.0
    assert ranking.parameters[0].name == "a"


def test_a_declared_scale_is_answered() -> None:
    linear = ParameterDefinition(name="lr", scale=ParameterScale.LINEAR)
    params = [{"lr": 10.0 ** -(n % 4)} for n in range(20)]
    assert rank(params, [float(n % 4) for n in range(20)], lr=linear).parameters[0].scale is ParameterScale.LINEAR


@pytest.mark.parametrize("values", [[0.0, -1.0, 5.0], [0.0, 1e-3, 1e3]], ids=["negative", "zero"])
def test_values_at_or_below_zero_are_on_a_linear_scale(values: list[float]) -> None:
    params = [{"x": values[n % 3]} for n in range(30)]
    assert rank(params, [float(n % 3) for n in range(30)]).parameters[0].scale is ParameterScale.LINEAR


@pytest.mark.parametrize(
    ("params", "values", "verdict"),
    [
        ([{"a": n} for n in range(7)], list(range(7)), Verdict.TOO_FEW_RUNS),
        ([{"a": n} for n in range(20)], [0.3] * 20, Verdict.CONSTANT_METRIC),
        ([{"a": n} for n in range(20)], [0.0] * 20, Verdict.CONSTANT_METRIC),
        ([{"a": 1}] * 20, list(range(20)), Verdict.NOTHING_VARIES),
        ([], [], Verdict.TOO_FEW_RUNS),
    ],
)
def test_what_cannot_be_ranked_is_not(params: list[Params], values: list[float], verdict: Verdict) -> None:
    ranking = rank(params, values)
    assert (ranking.verdict, ranking.parameters) == (verdict, ())
    assert ranking.reason


def test_parameters_that_say_the_same_share_a_rank() -> None:
    params = [{"a": n % 3, "b": n % 3} for n in range(30)]
    random = np.random.default_rng(9)
    ranking = rank(params, [n % 3 + random.normal() for n in range(30)])
    assert [one.rank for one in ranking.parameters] == [1, 1]
