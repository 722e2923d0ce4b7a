"""What models need from outside: their records, and the registry's word on versions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from synapsenet.models.model import Model, ModelQuery
from synapsenet.platform.work import UnitOfWork


class Models(ABC):
    """The models, inside one unit of work."""

    @abstractmethod
    def add(self, model: Model) -> None:
        """Keep a new model. Neither its id nor its name is taken; the caller has looked."""

    @abstractmethod
    def find(self, reference: str) -> Model | None:
        """The model of that id or, if `reference` is no id, of that name."""

    @abstractmethod
    def replace(self, model: Model) -> None:
        """Keep `model` in the place of the one with its id."""

    @abstractmethod
    def remove(self, model_id: str) -> None:
        """Forget the model; silent if there is none."""

    @abstractmethod
    def page(self, query: ModelQuery, *, after: str, limit: int) -> Sequence[Model]:
        """Up to `limit` models that the query shows with names after `after`, in the order of their names."""


class ModelsWork(UnitOfWork):
    """One transaction over the models."""

    models: Models


class VersionRegistry(ABC):
    """The registry, as models see it."""

    @abstractmethod
    async def close(self, model_id: str, *, timeout: float) -> None:
        """Make sure that the model has no versions, now or ever.

        Raises:
            FailedPrecondition: MODEL_HAS_VERSIONS.
            Unavailable: the registry did not answer within `timeout` seconds; nothing, or the whole, was done.
        """
