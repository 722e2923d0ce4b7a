"""Hyperparameter importance: how much of a metric's variance each parameter explains by itself.

The measure is the correlation ratio (Pearson 1905), which is the first-order Sobol' index and the main effect of the
functional ANOVA where parameters vary independently: variance of the metric's mean over the parameter's values ÷ variance
of the metric. In a sample it is too large even for noise; it is corrected to epsilon squared (Kelley 1935). Numbers of many
distinct values are grouped at quantiles, which are the same on a linear and a logarithmic scale.

A ranking is only called reliable if some parameter explains more than chance would: the p-value comes from permutations.
What is permuted must be exchangeable if the parameter does not matter. Runs are, where the parameter decides the whole
configuration; otherwise replicates share the other parameters' effect, and whole configurations are permuted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from synapsenet.experiments.configuration import canonical
from synapsenet.experiments.model import Parameter, ParameterDefinition, ParameterScale
from synapsenet.experiments.series import Float64s
from synapsenet.experiments.significance import holm

FEWEST_RUNS = 8
ALPHA = 0.05
MOST_GROUPS = 10
_RUNS_A_GROUP = 5
_LOG_SPAN = 99.999  # two decades, but for rounding
_LARGEST_MATRIX = 2_000_000  # cells; bounds the memory of permutations and resamples
_ROUNDING = 1e-9

Codes: TypeAlias = NDArray[np.intp]


class Verdict(Enum):
    """How far a ranking can be believed."""

    RELIABLE = "reliable"
    NOISE = "noise"
    TOO_FEW_RUNS = "too_few_runs"
    CONSTANT_METRIC = "constant_metric"
    NOTHING_VARIES = "nothing_varies"


class ParameterKind(Enum):
    """How a parameter's values were taken."""

    NUMERIC = "numeric"
    CATEGORICAL = "categorical"


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterImportance:
    """How much one parameter matters.

    Attributes:
        rank: from 1; equal importances share one.
        importance: share of the variance, 0 to 1; `low` and `high` end its 95 % bootstrap interval.
        p_value: chance of at least as much if it did not matter; `adjusted_p_value` by Holm over the parameters.
        missing_runs: runs that lack it; they form a group of their own.
    """

    name: str
    rank: int
    importance: float
    low: float
    high: float
    p_value: float
    adjusted_p_value: float
    kind: ParameterKind
    scale: ParameterScale
    distinct_values: int
    missing_runs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """The varying parameters, the most important first; none unless the verdict is RELIABLE or NOISE."""

    verdict: Verdict
    reason: str
    parameters: tuple[ParameterImportance, ...] = ()
    constant: tuple[str, ...] = ()

    @property
    def explained(self) -> float:
        return sum(parameter.importance for parameter in self.parameters)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Column:
    """One parameter over the runs: `codes` [runs] number its groups from 0."""

    name: str
    codes: Codes
    kind: ParameterKind
    scale: ParameterScale
    distinct: int
    missing: int

    @property
    def groups(self) -> int:
        return int(self.codes.max()) + 1


def rank_parameters(
    params: Sequence[Mapping[str, Parameter]],
    values: Float64s,
    configurations: Sequence[str],
    definitions: Mapping[str, ParameterDefinition],
    *,
    permutations: int,
    resamples: int,
) -> Ranking:
    """Rank by how much of the variance of `values` [runs] each parameter explains.

    Args:
        params: of each run, seeds left out.
        values: finite, float64 [runs].
        configurations: of each run; runs of one configuration are replicates.
        definitions: what is said of the parameters, by name.

    The same data give the same answer: the randomness is seeded by a constant.
    """
    names = sorted({name for run in params for name in run})
    columns = [_column(name, [run.get(name) for run in params], definitions.get(name)) for name in names]
    varying = [column for column in columns if column.groups > 1]
    constant = tuple(column.name for column in columns if column.groups == 1)
    if len(values) < FEWEST_RUNS:
        reason = f"{len(values)} runs have a value: log at least {FEWEST_RUNS}"
        return Ranking(verdict=Verdict.TOO_FEW_RUNS, reason=reason, constant=constant)
    if not varying:
        reason = "no hyperparameter varies: run other values of one"
        return Ranking(verdict=Verdict.NOTHING_VARIES, reason=reason, constant=constant)
    if np.ptp(values) <= 1e-12 * np.abs(values).max():
        reason = "the metric has the same value in every run, so there is nothing to explain"
        return Ranking(verdict=Verdict.CONSTANT_METRIC, reason=reason, constant=constant)
    random = np.random.default_rng(0)
    shares = np.array([_shares(values[np.newaxis], column.codes)[0] for column in varying])
    p_values = np.array([_p_value(values, column, configurations, random, permutations) for column in varying])
    low, high = _intervals(values, varying, random, resamples)
    ranked = _ranked(varying, shares, p_values, low, high)
    verdict, reason = _judged(ranked)
    return Ranking(verdict=verdict, reason=reason, parameters=ranked, constant=constant)


def _judged(ranked: Sequence[ParameterImportance]) -> tuple[Verdict, str]:
    telling = [parameter.name for parameter in ranked if parameter.adjusted_p_value <= ALPHA]
    if telling:
        return Verdict.RELIABLE, f"more than chance would explain: {', '.join(telling)}"
    return Verdict.NOISE, "no hyperparameter explains more than chance would: log more runs, or wider ranges"


def _ranked(
    columns: Sequence[_Column], shares: Float64s, p_values: Float64s, low: Float64s, high: Float64s
) -> tuple[ParameterImportance, ...]:
    adjusted = holm(p_values)
    order = sorted(range(len(columns)), key=lambda index: (-shares[index], p_values[index], columns[index].name))
    return tuple(
        ParameterImportance(
            name=columns[index].name,
            rank=1 + int((shares > shares[index]).sum()),
            importance=float(shares[index]),
            low=float(min(low[index], shares[index])),
            high=float(max(high[index], shares[index])),
            p_value=float(p_values[index]),
            adjusted_p_value=float(adjusted[index]),
            kind=columns[index].kind,
            scale=columns[index].scale,
            distinct_values=columns[index].distinct,
            missing_runs=columns[index].missing,
        )
        for index in order
    )


def _shares(values: Float64s, codes: Codes) -> Float64s:
    """Epsilon squared of each row of `values` [rows, units] grouped by `codes` [units]; 0 to 1."""
    units = values.shape[1]
    groups = int(codes.max()) + 1
    if units <= groups:
        return np.zeros(len(values))  # every unit is a group of its own, which explains everything and says nothing
    total = ((values - values.mean(axis=1, keepdims=True)) ** 2).sum(axis=1)
    within = 1 - _between(values, codes) / total
    return _clipped(1 - within * (units - 1) / (units - groups))


def _clipped(shares: Float64s) -> Float64s:
    return np.minimum(np.maximum(shares, 0.0), 1.0)


def _between(values: Float64s, codes: Codes) -> Float64s:
    """Sum of squares between the groups, for each row."""
    sums = _sum_by_group(values - values.mean(axis=1, keepdims=True), codes)
    return np.asarray((sums**2 / np.bincount(codes)).sum(axis=1), dtype=np.float64)


def _sum_by_group(values: Float64s, codes: Codes) -> Float64s:
    """[rows, groups] from [rows, units]."""
    order = np.argsort(codes, kind="stable")
    starts = np.concatenate([[0], np.cumsum(np.bincount(codes))[:-1]])
    return np.asarray(np.add.reduceat(values[:, order], starts, axis=1), dtype=np.float64)


def _batches(rows: int, units: int) -> Iterator[int]:
    """Sizes that sum to `rows`, each such that rows × units stays within bounds."""
    most = max(1, _LARGEST_MATRIX // units)
    while rows > 0:
        yield min(rows, most)
        rows -= most


def _p_value(
    values: Float64s, column: _Column, configurations: Sequence[str], random: np.random.Generator, permutations: int
) -> float:
    units, codes = _units(values, column.codes, configurations)
    observed = _between(units[np.newaxis], codes)[0] * (1 - _ROUNDING)
    as_large = sum(
        int((_between(random.permuted(np.tile(units, (rows, 1)), axis=1), codes) >= observed).sum())
        for rows in _batches(permutations, len(units))
    )
    return (1 + as_large) / (1 + permutations)


def _units(values: Float64s, codes: Codes, configurations: Sequence[str]) -> tuple[Float64s, Codes]:
    """What is permuted: runs where the parameter decides the configuration, else means of configurations."""
    names, first, member = np.unique(np.asarray(configurations), return_index=True, return_inverse=True)
    if len(names) <= int(codes.max()) + 1:
        return values, codes
    means = np.bincount(member, weights=values) / np.bincount(member)
    _, kept = np.unique(codes[first], return_inverse=True)
    return means, kept


def _intervals(
    values: Float64s, columns: Sequence[_Column], random: np.random.Generator, resamples: int
) -> tuple[Float64s, Float64s]:
    """95 % percentile bootstrap of the shares over runs: low and high, each [parameters]."""
    runs = len(values)
    centred = values - values.mean()
    batches = [
        [_resampled(centred, column.codes, weights) for column in columns]
        for rows in _batches(resamples, runs)
        for weights in [random.multinomial(runs, np.full(runs, 1 / runs), size=rows).astype(np.float64)]
    ]
    low, high = np.quantile(np.concatenate(batches, axis=1), [0.025, 0.975], axis=1)
    return low, high


def _resampled(values: Float64s, codes: Codes, weights: Float64s) -> Float64s:
    """Epsilon squared of resamples, in which run i stands weights[·, i] times; [resamples]."""
    runs = len(values)
    mean = weights @ values / runs
    total = weights @ values**2 - runs * mean**2
    sizes = _sum_by_group(weights, codes)
    sums = _sum_by_group(weights * values, codes) - sizes * mean[:, np.newaxis]
    with np.errstate(invalid="ignore", divide="ignore"):
        between = np.nan_to_num(sums**2 / sizes).sum(axis=1)
        share = 1 - (1 - between / total) * (runs - 1) / (runs - (sizes > 0).sum(axis=1))
    return _clipped(np.nan_to_num(share, neginf=0.0))


def _column(name: str, cells: Sequence[Parameter | None], definition: ParameterDefinition | None) -> _Column:
    present = [cell for cell in cells if cell is not None]
    numeric = all(isinstance(cell, int | float) and not isinstance(cell, bool) for cell in present)
    codes = _number_codes(cells) if numeric else _label_codes(cells)
    return _Column(
        name=name,
        codes=codes,
        kind=ParameterKind.NUMERIC if numeric else ParameterKind.CATEGORICAL,
        scale=_scale([float(cell) for cell in present], definition) if numeric else ParameterScale.AUTO,
        distinct=len({canonical(cell) for cell in present}),
        missing=len(cells) - len(present),
    )


def _number_codes(cells: Sequence[Parameter | None]) -> Codes:
    """Groups of equal numbers, or of close ones where those would be too many or too small; the missing last."""
    numbers = np.array([np.nan if cell is None else float(cell) for cell in cells])
    present = numbers[~np.isnan(numbers)]
    distinct = len(np.unique(present))
    if distinct > MOST_GROUPS or 2 * distinct > len(present):
        groups = min(MOST_GROUPS, max(2, len(present) // _RUNS_A_GROUP))
        inner = np.quantile(present, np.linspace(0, 1, groups + 1)[1:-1])
        numbers = np.where(np.isnan(numbers), np.nan, np.searchsorted(inner, numbers, side="left"))
    return np.unique(numbers, return_inverse=True)[1]


def _label_codes(cells: Sequence[Parameter | None]) -> Codes:
    """Groups of equal values; the missing first."""
    labels = [("", "") if cell is None else canonical(cell) for cell in cells]
    number = {label: index for index, label in enumerate(sorted(set(labels)))}
    return np.array([number[label] for label in labels], dtype=np.intp)


def _scale(numbers: Sequence[float], definition: ParameterDefinition | None) -> ParameterScale:
    if definition is not None and definition.scale is not ParameterScale.AUTO:
        return definition.scale
    spans = min(numbers) > 0 and max(numbers) / min(numbers) >= _LOG_SPAN
    return ParameterScale.LOG if spans else ParameterScale.LINEAR
