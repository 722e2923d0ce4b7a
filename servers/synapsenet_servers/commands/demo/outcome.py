"""What a run of the demo found, for programs and for people."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from synapsenet.errors import FailedPrecondition


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The figures of one run.

    Attributes:
        images: images in the feature store.
        sync_accuracy: share of right answers of the job with four workers on the held-out images, measured by the platform.
        served_accuracy: the same, of the deployed model over streaming inference.
        rows_per_second: of that streaming inference, client included.
        model: name and version that serve.
        experiment_id: the sweep.
        best_learning_rate: of the best configuration.
        p_value: of the lowest against the highest learning rate, adjusted by Holm over all pairs.
        importance: hyperparameters of the sweep with their share of the variance, the first is the most important.
        oldest_ms: age of the oldest image in the store.
        rollback_restored: a deployment with a damaged artifact was undone, and the model served on as before.
        seconds: the whole run.
    """

    images: int
    sync_accuracy: float
    served_accuracy: float
    rows_per_second: float
    model: str
    experiment_id: str
    best_learning_rate: float
    p_value: float
    importance: dict[str, float]
    oldest_ms: float
    rollback_restored: bool
    grpc: str
    http: str
    seconds: float

    def require_restored(self) -> None:
        """Pass if the failure that the demo provoked was survived.

        Raises:
            FailedPrecondition: DEMO_NOT_RESTORED.
        """
        if not self.rollback_restored:
            raise FailedPrecondition(
                "DEMO_NOT_RESTORED",
                f"{self.model} does not serve as before a deployment with a damaged artifact",
                remedy=f"see `synapsenet lifecycle history {self.model.partition(':')[0]}` for what was undone",
            )

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    def show(self, console: Console) -> None:
        """The summary table and the addresses."""
        table = Table(title="SynapseNet demo", show_header=False, title_justify="left")
        table.add_column(style="bold")
        table.add_column()
        ranking = ", ".join(f"{name} {share:.0%}" for name, share in self.importance.items())
        for name, value in (
            ("images in the feature store", f"{self.images:,}"),
            ("held-out accuracy, 4 workers, synchronous", f"{self.sync_accuracy:.2%}"),
            (f"held-out accuracy, {self.model} serving", f"{self.served_accuracy:.2%}"),
            ("streaming inference", f"{self.rows_per_second:,.0f} rows/s"),
            ("best learning rate of the sweep", f"{self.best_learning_rate:g}"),
            ("lowest against highest learning rate", f"p = {self.p_value:.4f} (Holm)"),
            ("importance", ranking),
            ("oldest feature value", f"{self.oldest_ms / 1_000:.1f} s"),
            ("after a failed deployment", "serves as before" if self.rollback_restored else "DOES NOT SERVE AS BEFORE"),
            ("the whole run", f"{self.seconds:.1f} s"),
        ):
            table.add_row(name, value)
        console.print(table)
        console.print(f"gRPC  {self.grpc}\nHTTP  http://{self.http}/experiments/{self.experiment_id}", highlight=False)
