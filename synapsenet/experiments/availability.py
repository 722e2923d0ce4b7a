"""Options that the contract has and this release refuses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from synapsenet.errors import NotYetAvailable
from synapsenet.experiments.comparison import Question, Representative, Test


@dataclass(frozen=True, slots=True, kw_only=True)
class FutureOption:
    """An option of a comparison that is still to come.

    Attributes:
        option: the field, with its value where only that one is refused.
        brings: what will come, for the person who asked.
        asked: whether a question asks for it.
        remedy: what can be done until then.
    """

    option: str
    brings: str
    asked: Callable[[Question], bool]
    remedy: str

    @property
    def field(self) -> str:
        return self.option.partition("=")[0]


FUTURE_COMPARISON: tuple[FutureOption, ...] = (
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
        remedy="leave it out",
    ),
    FutureOption(
        option="selection_seeds",
        brings="A best configuration that some seeds select and others test.",
        asked=lambda question: bool(question.selection_seeds),
        remedy="leave it out",
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
        remedy="leave it out",
    ),
)


def refuse_future(question: Question) -> None:
    """Refuse a question that asks for what is still to come.

    Raises:
        NotYetAvailable: NOT_YET_AVAILABLE, naming the field.
    """
    for future in FUTURE_COMPARISON:
        if future.asked(question):
            raise NotYetAvailable("NOT_YET_AVAILABLE", field=future.field, remedy=future.remedy)
