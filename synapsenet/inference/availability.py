"""Options that are in the contract and whose behaviour is not in this release: refused by name, never silently left out."""

from __future__ import annotations

from synapsenet.errors import InvalidArgument
from synapsenet.inference.wish import BatchingMode, DeploymentWish, DeterminismMode
from synapsenet.platform.to_come import FutureOption, refuse, to_come

_HIGHEST_PRIORITY = 9


FUTURE_OPTIONS: tuple[FutureOption[DeploymentWish], ...] = (
    FutureOption(
        option="batching.mode=BATCHING_MODE_ADAPTIVE",
        brings="Batches that follow the arrival rate and the fitted service time.",
        asked=lambda wish: wish.batching.mode is BatchingMode.ADAPTIVE,
    ),
    FutureOption(
        option="batching.slo",
        brings="A latency that adaptive batches keep to.",
        asked=lambda wish: wish.batching.slo is not None,
    ),
    FutureOption(
        option="determinism=DETERMINISM_MODE_NATIVE",
        brings="Outputs whose bits do not depend on the batch, probed when the model is loaded.",
        asked=lambda wish: wish.determinism is DeterminismMode.NATIVE,
    ),
    FutureOption(
        option="determinism=DETERMINISM_MODE_PADDED",
        brings="Batches padded to sizes that were probed to give the same bits.",
        asked=lambda wish: wish.determinism is DeterminismMode.PADDED,
    ),
    FutureOption(
        option="determinism=DETERMINISM_MODE_ROW",
        brings="Rows that are run one by one, so that no neighbour can change their bits.",
        asked=lambda wish: wish.determinism is DeterminismMode.ROW,
    ),
)
PRIORITY_BRINGS = "Requests of higher priority go first when there is a queue."


def refuse_what_is_to_come(wish: DeploymentWish) -> None:
    """Pass if this release does everything that `wish` asks for.

    Raises:
        NotYetAvailable: NOT_YET_AVAILABLE, naming the first option that it does not do.
    """
    refuse(wish, FUTURE_OPTIONS)


def refuse_priority(priority: int, *, field: str) -> None:
    """Pass if `priority` is the only one that this release knows, 0.

    Raises:
        InvalidArgument: PRIORITY_INVALID, outside 0 to 9.
        NotYetAvailable: NOT_YET_AVAILABLE.
    """
    if not 0 <= priority <= _HIGHEST_PRIORITY:
        raise InvalidArgument("PRIORITY_INVALID", field=field, remedy="give 0 to 9")
    if priority:
        raise to_come(field)
