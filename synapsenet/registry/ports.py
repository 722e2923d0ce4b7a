"""What the registry needs from outside: its records, the models, and somebody who can read artifacts' formats."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from synapsenet.platform.participation import ParticipantWork
from synapsenet.registry.model import Alias, Format, RegisteredModel, State, Version
from synapsenet.registry.signature import Signature


class RegisteredModels(ABC):
    """The models that have versions or are closed, inside one unit of work."""

    @abstractmethod
    def find(self, reference: str) -> RegisteredModel | None:
        """The model of that id, or the one that is not closed of that name."""

    @abstractmethod
    def put(self, model: RegisteredModel) -> None:
        """Keep `model`, in the place of the one with its id if there is one."""


class Versions(ABC):
    """The versions, inside one unit of work. Whatever is read carries its aliases."""

    @abstractmethod
    def add(self, version: Version) -> None:
        """Keep a new version; its number is free."""

    @abstractmethod
    def find(self, model_id: str, number: int) -> Version | None:
        """One version."""

    @abstractmethod
    def replace(self, version: Version) -> None:
        """Keep `version` in the place of the one with its model and number; aliases stay as they are."""

    @abstractmethod
    def page(self, model_id: str, states: frozenset[State], *, below: int | None, limit: int) -> Sequence[Version]:
        """Up to `limit` versions with numbers under `below`, the newest first; in those states, or in any if there are none."""

    @abstractmethod
    def untold(self, states: frozenset[State], *, limit: int) -> Sequence[Version]:
        """Up to `limit` versions with the sequence 0, by model and number; in those states, or in any if there are none."""


class Aliases(ABC):
    """The aliases, inside one unit of work."""

    @abstractmethod
    def find(self, model_id: str, name: str) -> Alias | None:
        """One alias."""

    @abstractmethod
    def put(self, alias: Alias) -> None:
        """Keep `alias`, in the place of the one with its model and name if there is one."""

    @abstractmethod
    def remove(self, model_id: str, name: str) -> None:
        """Forget the alias; silent if there is none."""

    @abstractmethod
    def page(self, model_id: str, *, after: str, limit: int) -> Sequence[Alias]:
        """Up to `limit` aliases with names after `after`, in the order of their names."""


class RegistryWork(ParticipantWork):
    """One transaction over the registry."""

    models: RegisteredModels
    versions: Versions
    aliases: Aliases


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelIdentity:
    """A model that exists."""

    id: str
    name: str


class ModelDirectory(ABC):
    """The models, as the registry sees them."""

    @abstractmethod
    async def find(self, reference: str, *, timeout: float) -> ModelIdentity:
        """The model of that id or name.

        Raises:
            NotFound: MODEL_UNKNOWN.
            Unavailable: the models did not answer within `timeout` seconds.
        """


class Inspection(ABC):
    """One artifact being read while it arrives."""

    @abstractmethod
    def feed(self, chunk: bytes) -> None:
        """Take the next bytes; does not block."""

    @abstractmethod
    async def conclude(self) -> Signature | None:
        """After the last byte: the signature that the artifact states; None if its format has none.

        Raises:
            InvalidArgument: ARTIFACT_NOT_ONNX, ARTIFACT_NOT_SAFETENSORS, ARTIFACT_EXTERNAL_DATA or
                ARTIFACT_SIGNATURE_UNSUPPORTED.
        """


class Inspector(ABC):
    """Knows the formats of artifacts."""

    @abstractmethod
    def begin(self, form: Format, *, size: int) -> Inspection:
        """Begin to read an artifact of `size` bytes."""
