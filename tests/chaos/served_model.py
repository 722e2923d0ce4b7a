"""A model that a live platform serves, for those who break what is around it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from synapsenet.testing.onnx_models import WIDTH, exact_model
from synapsenet_client import Client

NAME = "served"


def serve(client: Client, name: str = NAME) -> int:
    """Register the exact model as `name` and deploy it; its version."""
    version = register(client, name)
    client.inference.deploy(client.models.get(name).id, version)
    return version


def register(client: Client, name: str) -> int:
    """Register the exact model as `name`; its version."""
    model_id = client.models.create(name).id
    version = client.registry.create_version(model_id).version
    client.registry.upload(model_id, version, exact_model(), format="ONNX")
    client.registry.set_state(model_id, version, "REGISTERED")
    return int(version)


def rows(count: int = 1) -> Mapping[str, NDArray[np.float32]]:
    """Inputs of the exact model."""
    return {"pixels": np.ones((count, WIDTH), np.float32)}


def endless_rows(count: int = 1) -> Iterator[Mapping[str, NDArray[np.float32]]]:
    """Items of a stream that ends only with its call."""
    while True:
        yield rows(count)
