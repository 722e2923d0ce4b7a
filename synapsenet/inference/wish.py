"""What somebody wants to be deployed, and how it is to be run; what is left open is filled from the options."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import Enum

from synapsenet.inference.model import BatchingPolicy


class BatchingMode(Enum):
    """How batches are formed."""

    FIXED = "FIXED"
    ADAPTIVE = "ADAPTIVE"


class DeterminismMode(Enum):
    """What is promised about the bits of an output."""

    NATIVE = "NATIVE"
    PADDED = "PADDED"
    ROW = "ROW"
    RELAXED = "RELAXED"


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchingWish:
    """As `BatchingPolicy`, with None for what is left to the server; `slo` is what the adaptive mode keeps to."""

    mode: BatchingMode | None = None
    slo: timedelta | None = None
    max_batch_size: int | None = None
    max_linger: timedelta | None = None
    max_queued_rows: int | None = None
    max_queued_bytes: int | None = None
    max_running_batches: int | None = None

    def filled(self, defaults: BatchingPolicy) -> BatchingPolicy:
        """The policy to run with.

        Raises:
            InvalidArgument: BATCHING_INVALID.
        """
        wished = {
            name: value
            for name in ("max_batch_size", "max_linger", "max_queued_rows", "max_queued_bytes", "max_running_batches")
            if (value := getattr(self, name)) is not None
        }
        return replace(defaults, **wished)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentWish:
    """A version to be deployed; `model` is an id or a name."""

    model: str
    version: int
    batching: BatchingWish = field(default_factory=BatchingWish)
    determinism: DeterminismMode | None = None
    pinned: bool = False
