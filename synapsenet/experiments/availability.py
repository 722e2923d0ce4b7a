"""Options of a comparison that are in the contract and whose behaviour is not in this release."""

from __future__ import annotations

from synapsenet.experiments.comparison import Question, Representative, Test
from synapsenet.platform.to_come import FutureOption, refuse

FUTURE_OPTIONS: tuple[FutureOption[Question], ...] = (
    FutureOption(
        option="test=SIGNIFICANCE_TEST_MANN_WHITNEY",
        brings="Mann and Whitney's rank test with its exact distribution.",
        asked=lambda question: question.test is Test.MANN_WHITNEY,
        remedy="leave it out, or take a t-test",
    ),
    FutureOption(
        option="test=SIGNIFICANCE_TEST_PERMUTATION",
        brings="A permutation test for few replicates.",
        asked=lambda question: question.test is Test.PERMUTATION,
        remedy="leave it out, or take a t-test",
    ),
    FutureOption(
        option="test=SIGNIFICANCE_TEST_FRIEDMAN",
        brings="Friedman's test over several tasks.",
        asked=lambda question: question.test is Test.FRIEDMAN,
        remedy="leave it out, or compare one task at a time",
    ),
    FutureOption(
        option="representative=REPRESENTATIVE_BEST_CONFIGURATION",
        brings="Experiments compared by their best configurations, selected on other data than they are tested on.",
        asked=lambda question: question.representative is Representative.BEST_CONFIGURATION,
        remedy="name a configuration as EXPERIMENT_ID@CONFIGURATION_ID",
    ),
    FutureOption(
        option="at_step",
        brings="Metrics compared at a step.",
        asked=lambda question: question.at_step is not None,
        remedy="compare by a reducer",
    ),
    FutureOption(
        option="at_fraction",
        brings="Metrics compared at a fraction of training.",
        asked=lambda question: question.at_fraction is not None,
        remedy="compare by a reducer",
    ),
    FutureOption(
        option="selection_metric",
        brings="A best configuration that another metric selects.",
        asked=lambda question: bool(question.selection_metric),
    ),
    FutureOption(
        option="selection_seeds",
        brings="A best configuration that some seeds select and others test.",
        asked=lambda question: bool(question.selection_seeds),
    ),
    FutureOption(
        option="robust",
        brings="The interquartile mean with its stratified bootstrap interval.",
        asked=lambda question: question.robust,
        remedy="leave it out, the median is answered",
    ),
    FutureOption(
        option="task_tag",
        brings="Entries ranked within tasks.",
        asked=lambda question: bool(question.task_tag),
    ),
)


def refuse_what_is_to_come(question: Question) -> None:
    """Pass if this release answers everything that `question` asks for.

    Raises:
        NotYetAvailable: NOT_YET_AVAILABLE, naming the first option that it does not.
    """
    refuse(question, FUTURE_OPTIONS)
