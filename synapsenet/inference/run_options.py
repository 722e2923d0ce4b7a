"""How a deployment is to be run, as it travels with a lifecycle operation: JSON that only inference reads."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from synapsenet.errors import InvalidArgument
from synapsenet.inference.availability import refuse_what_is_to_come
from synapsenet.inference.model import BatchingPolicy
from synapsenet.inference.wish import BatchingMode, BatchingWish, DeploymentWish, DeterminismMode
from synapsenet.platform.participation import Json
from synapsenet.platform.work import ANONYMOUS, Request


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """What `DeployModel` lets its caller say, all of it decided.

    Attributes:
        request: the `DeployModel` call that waits for the operation; anonymous: none does.
    """

    batching: BatchingPolicy
    relaxed: bool = False
    pinned: bool = False
    request: Request = ANONYMOUS

    def to_json(self) -> Json:
        """As `read_options` reads it."""
        policy = self.batching
        return {
            "batching": {
                "max_batch_size": policy.max_batch_size,
                "max_linger_s": policy.max_linger.total_seconds(),
                "max_queued_rows": policy.max_queued_rows,
                "max_queued_bytes": policy.max_queued_bytes,
                "max_running_batches": policy.max_running_batches,
            },
            "determinism": DeterminismMode.RELAXED.value if self.relaxed else "",
            "pinned": self.pinned,
            "request_id": self.request.id,
            "request_digest": self.request.digest.hex(),
        }


def read_options(given: Json, defaults: BatchingPolicy, *, model: str, version: int) -> RunOptions:
    """The options of an operation's input; `defaults` stand in for what they leave out.

    Raises:
        InvalidArgument: OPTIONS_INVALID, BATCHING_INVALID.
        NotYetAvailable: an option is not in this release.
    """
    try:
        wish = _wish(given, model, version)
        request = Request(str(given.get("request_id", "")), bytes.fromhex(given.get("request_digest", "")))
    except (TypeError, ValueError, AttributeError, OverflowError) as error:
        raise InvalidArgument(
            "OPTIONS_INVALID",
            "options: they cannot be read",
            field="options",
            remedy="give batching, determinism and pinned as DeployModel names them",
        ) from error
    refuse_what_is_to_come(wish)
    relaxed = wish.determinism is DeterminismMode.RELAXED
    return RunOptions(batching=wish.batching.filled(defaults), relaxed=relaxed, pinned=wish.pinned, request=request)


def _wish(given: Json, model: str, version: int) -> DeploymentWish:
    batching = given.get("batching") or {}

    def number(name: str) -> int | None:
        return int(batching[name]) if name in batching else None

    linger, mode, determinism = batching.get("max_linger_s"), batching.get("mode"), given.get("determinism")
    return DeploymentWish(
        model=model,
        version=version,
        batching=BatchingWish(
            mode=BatchingMode(mode) if mode else None,
            max_linger=None if linger is None else timedelta(seconds=float(linger)),
            max_batch_size=number("max_batch_size"),
            max_queued_rows=number("max_queued_rows"),
            max_queued_bytes=number("max_queued_bytes"),
            max_running_batches=number("max_running_batches"),
        ),
        determinism=DeterminismMode(determinism) if determinism else None,
        pinned=bool(given.get("pinned", False)),
    )
