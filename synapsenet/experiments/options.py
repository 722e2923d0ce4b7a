"""The bounds of the area, each with its unit."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentsOptions:
    """What an operator may set.

    Attributes:
        heartbeat_timeout_s: seconds without a word after which a running run is called stale.
        largest_message_points: points that one message of a metric stream may carry.
        largest_comparison: entries that one comparison may have.
        largest_analysis_runs: runs that one comparison or ranking may read.
        concurrent_analyses: comparisons and rankings computed at the same time; more of them wait.
        permutations: label permutations behind an importance's p-value; its smallest value is 1 / (permutations + 1).
        resamples: bootstrap resamples behind an importance's interval.
    """

    heartbeat_timeout_s: float = 60.0
    largest_message_points: int = 100_000
    largest_comparison: int = 100
    largest_analysis_runs: int = 20_000
    concurrent_analyses: int = 2
    permutations: int = 999
    resamples: int = 499
