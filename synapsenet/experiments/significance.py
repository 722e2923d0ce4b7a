"""Tests of the difference between two means, vectorised over pairs.

Replicates are runs, never steps of one run: steps of a run depend on one another, and a test over them rejects almost always.

Sources: Student 1908; Welch 1947, Biometrika 34 (degrees of freedom by Satterthwaite 1946); Holm 1979, Scand. J. Statist. 6;
Benjamini & Hochberg 1995, JRSS B 57; Hedges 1981, J. Educ. Statist. 6 (exact correction); Cliff 1993, Psych. Bull. 114.
All tests are two-sided.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from synapsenet.experiments.series import Float64s

# Differences that are nothing but rounding: this share of the values' magnitude.
_ROUNDING = 8 * float(np.finfo(np.float64).eps)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TTests:
    """One t-test a pair; every column is float64 [pairs].

    Attributes:
        difference: mean of the first minus mean of the second.
        error: standard error of the difference.
        p_values: NaN where the values do not vary, so that there is no test.
    """

    difference: Float64s
    error: Float64s
    statistic: Float64s
    degrees_of_freedom: Float64s
    p_values: Float64s

    def half_width(self, confidence: float) -> Float64s:
        """Half the t-interval of the difference; NaN where there is no test."""
        return np.where(np.isnan(self.p_values), np.nan, self.error * t_quantile(confidence, self.degrees_of_freedom))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Moments:
    """Mean, variance (with n - 1) and size of samples, each float64 [samples]; variance NaN below two values."""

    mean: Float64s
    variance: Float64s
    n: Float64s

    def at(self, index: NDArray[np.intp]) -> Moments:
        return Moments(mean=self.mean[index], variance=self.variance[index], n=self.n[index])


def moments(samples: Sequence[Float64s]) -> Moments:
    """Of each sample; a variance that is nothing but rounding is 0, and an empty sample has mean NaN."""
    return Moments(
        mean=np.array([sample.mean() if len(sample) else np.nan for sample in samples]),
        variance=np.array([_variance(sample) for sample in samples]),
        n=np.array([len(sample) for sample in samples], dtype=np.float64),
    )


def welch(first: Moments, second: Moments) -> TTests:
    """Welch's t-test; variances and sizes may differ. Each side needs two values, and one side must vary."""
    difference = first.mean - second.mean
    one, other = first.variance / first.n, second.variance / second.n
    with np.errstate(invalid="ignore", divide="ignore"):
        error = np.sqrt(one + other)
        degrees = (one + other) ** 2 / (one**2 / (first.n - 1) + other**2 / (second.n - 1))
    return _tested(difference, error, degrees)


def paired(first: Float64s, second: Float64s) -> TTests:
    """Student's t-test on matched values: each side float64 [pairs, n], n at least 2."""
    differences = first - second
    n = differences.shape[1]
    deviation = differences.std(axis=1, ddof=1)
    rounding = _ROUNDING * np.maximum(np.abs(first), np.abs(second)).max(axis=1)
    error = np.where(deviation <= rounding, 0.0, deviation) / np.sqrt(n)
    return _tested(differences.mean(axis=1), error, np.full(len(differences), n - 1.0))


def holm(p_values: Float64s) -> Float64s:
    """Adjusted p-values [family]: no larger than alpha for any true null hypothesis, but with probability alpha."""
    family = len(p_values)
    order = np.argsort(p_values)
    adjusted = np.empty(family)
    adjusted[order] = np.minimum(np.maximum.accumulate(p_values[order] * np.arange(family, 0, -1)), 1.0)
    return adjusted


def benjamini_hochberg(p_values: Float64s) -> Float64s:
    """Adjusted p-values [family] that bound the expected share of false positives among the positives."""
    family = len(p_values)
    order = np.argsort(p_values)[::-1]
    adjusted = np.empty(family)
    adjusted[order] = np.minimum(np.minimum.accumulate(p_values[order] * family / np.arange(family, 0, -1)), 1.0)
    return adjusted


def hedges_g(first: Moments, second: Moments) -> Float64s:
    """The difference of means in pooled standard deviations, unbiased for small samples [pairs]; NaN without variance."""
    degrees = first.n + second.n - 2
    with np.errstate(invalid="ignore", divide="ignore"):
        pooled = np.sqrt(((first.n - 1) * first.variance + (second.n - 1) * second.variance) / degrees)
        correction = np.exp(special.gammaln(degrees / 2) - special.gammaln((degrees - 1) / 2)) / np.sqrt(degrees / 2)
        return np.where(pooled > 0, correction * (first.mean - second.mean) / pooled, np.nan)


def cliffs_deltas(samples: Sequence[Float64s]) -> Float64s:
    """[samples, samples]: chance that a value of the row's sample exceeds one of the column's, minus the reverse.

    NaN where a sample is empty. One sorted search a row against all values at once: O(values · log values) a row.
    """
    sizes = np.array([len(sample) for sample in samples])
    present = [number for number, sample in enumerate(samples) if len(sample)]
    deltas = np.full((len(samples), len(samples)), np.nan)
    if not present:
        return deltas
    values = np.concatenate([samples[index] for index in present])
    starts = np.concatenate([[0], np.cumsum(sizes[present])[:-1]])
    for row in present:
        mine = np.sort(samples[row])
        below = np.searchsorted(mine, values, side="left")
        above = len(mine) - np.searchsorted(mine, values, side="right")
        deltas[row, present] = np.add.reduceat(above - below, starts) / (len(mine) * sizes[present])
    return deltas


def t_quantile(confidence: float, degrees: Float64s | float) -> Float64s:
    """How many standard errors a two-sided t-interval reaches to each side."""
    return np.asarray(special.stdtrit(degrees, 0.5 + confidence / 2), dtype=np.float64)


def _tested(difference: Float64s, error: Float64s, degrees: Float64s) -> TTests:
    with np.errstate(invalid="ignore", divide="ignore"):
        statistic = np.where(error > 0, difference / error, np.nan)
    return TTests(
        difference=difference,
        error=error,
        statistic=statistic,
        degrees_of_freedom=degrees,
        p_values=2 * special.stdtr(degrees, -np.abs(statistic)),
    )


def _variance(sample: Float64s) -> float:
    if len(sample) < 2:
        return float("nan")
    variance = float(sample.var(ddof=1))
    return 0.0 if variance <= (_ROUNDING * float(np.abs(sample).max())) ** 2 else variance
