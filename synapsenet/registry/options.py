"""What an operator can set about the registry."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryOptions:
    """Bounds of the registry.

    Attributes:
        artifact_bytes: the largest artifact. An ONNX file is held in memory while it is checked.
        uploads: how many may go on at once; one more is refused with the time to come back.
        upload_chunk_s: how long an upload may pause before it is given up.
        models_s: how long a call waits for the models' word on whether a model exists.
        lifecycle_s: how long a question to the lifecycle's coordinator may take.
        adoption_s: how long the creation of a version waits for the coordinator to hear of it; it asks by itself later.
        move_s: how long a move may take that the coordinator carries out in several steps.
    """

    artifact_bytes: int = 512 << 20
    uploads: int = 4
    upload_chunk_s: float = 30.0
    models_s: float = 5.0
    lifecycle_s: float = 10.0
    adoption_s: float = 1.0
    move_s: float = 900.0
