"""One line of the tables of what is in the contracts and not yet in the platform."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """An RPC, or an option of one, that answers UNIMPLEMENTED with ErrorInfo `NOT_YET_AVAILABLE`.

    Attributes:
        method: full gRPC name, `/synapsenet.training.v1.TrainingService/ScaleJob`.
        option: empty for a whole RPC; else the field and value that are refused, `job.mode=MODE_ASYNC`.
        brings: what will come, one sentence for the person who called.
    """

    method: str
    option: str = ""
    brings: str
