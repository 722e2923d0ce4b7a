"""What people want to happen to a version, checked as far as it can be without looking at one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from synapsenet.errors import InvalidArgument
from synapsenet.lifecycle.model import Json
from synapsenet.lifecycle.report import Threshold
from synapsenet.lifecycle.validation import thresholds_input

_SHARES_TOLERANCE = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How a wish meets others.

    Attributes:
        wait: seconds to wait while another operation holds the model; 0 fails at once.
        expected: the `sequence` of the status that the wish is based on; None: whatever it is.
    """

    wait: float = 0.0
    expected: int | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.wait) and self.wait >= 0):
            raise InvalidArgument("WAIT_INVALID", field="intent.wait", remedy="give a duration of 0 or more")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeployWish:
    """How a version is to be brought to serving, or traffic shifted to it.

    Attributes:
        replicas: on how many to load it; 0: all.
        traffic: fraction by version afterwards, the version's own included; empty: all to it.
        keep_previous: versions without traffic stay loaded, and serve who asks for them by number.
        options: how the participant is to run it, handed on as it is.

    Raises:
        InvalidArgument: REPLICAS_INVALID or TRAFFIC_INVALID.
    """

    replicas: int = 0
    traffic: Mapping[int, float] = field(default_factory=dict)
    keep_previous: bool = False
    options: Json = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.replicas < 0:
            raise InvalidArgument("REPLICAS_INVALID", field="replicas", remedy="give 0 for all, or at least 1")
        shares = self.traffic.values()
        if self.traffic and not (
            all(math.isfinite(share) and 0 <= share <= 1 for share in shares) and abs(sum(shares) - 1) <= _SHARES_TOLERANCE
        ):
            raise InvalidArgument(
                "TRAFFIC_INVALID",
                "traffic: the shares do not make up all of it",
                field="traffic",
                remedy="give each version a fraction from 0 to 1, adding up to 1",
            )

    @property
    def input(self) -> Json:
        """As an operation's input."""
        given: dict[str, object] = {"replicas": self.replicas, "keep_previous": self.keep_previous}
        if self.traffic:
            given["traffic"] = {str(version): share for version, share in self.traffic.items()}
        return given | ({"options": dict(self.options)} if self.options else {})


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidationWish:
    """How a version is to prove itself.

    Attributes:
        evaluation_set_id: the training set to evaluate on; empty: artifact and signature alone are checked.
        label: the feature that holds the truth, `group:feature`.

    Raises:
        InvalidArgument: LABEL_MISSING or EVALUATION_SET_MISSING.
    """

    evaluation_set_id: str = ""
    label: str = ""
    thresholds: tuple[Threshold, ...] = ()

    def __post_init__(self) -> None:
        if self.evaluation_set_id and not self.label:
            raise InvalidArgument("LABEL_MISSING", field="label", remedy="name the feature that holds the truth, group:feature")
        if (self.thresholds or self.label) and not self.evaluation_set_id:
            raise InvalidArgument(
                "EVALUATION_SET_MISSING", field="evaluation_set_id", remedy="name the training set to evaluate on"
            )

    @property
    def input(self) -> Json:
        """As an operation's input."""
        given: dict[str, object] = {"evaluation_set_id": self.evaluation_set_id, "label": self.label}
        return given | {"thresholds": thresholds_input(self.thresholds)} if self.evaluation_set_id else {}
