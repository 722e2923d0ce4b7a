"""The platform's configuration: defaults < TOML file < environment < flags; a key that nobody knows is an error.

A key of a section is `[features] rows_per_batch = …` in TOML and `SYNAPSENET_FEATURES__ROWS_PER_BATCH` in the environment.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from synapsenet.adapters.etcd.options import EtcdOptions
from synapsenet.adapters.kafka.options import KafkaOptions
from synapsenet.adapters.sql.postgres_options import PostgresOptions
from synapsenet.adapters.sql.retention_options import RetentionOptions
from synapsenet.errors import InvalidArgument
from synapsenet.experiments.options import ExperimentsOptions
from synapsenet.features.options import FeaturesOptions
from synapsenet.inference.options import InferenceOptions
from synapsenet.lifecycle.options import LifecycleOptions
from synapsenet.models.options import ModelsOptions
from synapsenet.monitoring.options import MonitoringOptions
from synapsenet.platform.participant import ParticipationOptions
from synapsenet.registry.options import RegistryOptions
from synapsenet.training.options import TrainingOptions
from synapsenet_servers.artifact_options import ArtifactOptions
from synapsenet_servers.children.supervisor import SupervisorOptions
from synapsenet_servers.mesh.mesh_options import MeshOptions
from synapsenet_servers.mesh.options import EdgeOptions
from synapsenet_servers.security.options import SecurityOptions
from synapsenet_servers.server_options import ServerOptions
from synapsenet_servers.telemetry.options import TelemetryOptions

PREFIX = "SYNAPSENET_"
_NESTING = "__"

# What the client side of an installation reads under the same prefix.
_CLIENT_VARIABLES = frozenset(f"{PREFIX}{name}" for name in ("TARGET", "TOKEN", "CA", "CERTIFICATE", "KEY", "DEBUG"))


class Config(BaseSettings):
    """Everything an operator can set, one section an area."""

    model_config = SettingsConfigDict(extra="forbid", frozen=True, env_prefix=PREFIX, env_nested_delimiter=_NESTING)

    server: ServerOptions = Field(default_factory=ServerOptions)
    edge: EdgeOptions = Field(default_factory=EdgeOptions)
    mesh: MeshOptions = Field(default_factory=MeshOptions)
    supervisor: SupervisorOptions = Field(default_factory=SupervisorOptions)
    security: SecurityOptions = Field(default_factory=SecurityOptions)
    telemetry: TelemetryOptions = Field(default_factory=TelemetryOptions)
    artifacts: ArtifactOptions = Field(default_factory=ArtifactOptions)
    kafka: KafkaOptions = Field(default_factory=KafkaOptions)
    etcd: EtcdOptions = Field(default_factory=EtcdOptions)
    postgres: PostgresOptions = Field(default_factory=PostgresOptions)
    retention: RetentionOptions = Field(default_factory=RetentionOptions)
    participation: ParticipationOptions = Field(default_factory=ParticipationOptions)
    features: FeaturesOptions = Field(default_factory=FeaturesOptions)
    monitoring: MonitoringOptions = Field(default_factory=MonitoringOptions)
    models: ModelsOptions = Field(default_factory=ModelsOptions)
    registry: RegistryOptions = Field(default_factory=RegistryOptions)
    lifecycle: LifecycleOptions = Field(default_factory=LifecycleOptions)
    inference: InferenceOptions = Field(default_factory=InferenceOptions)
    experiments: ExperimentsOptions = Field(default_factory=ExperimentsOptions)
    training: TrainingOptions = Field(default_factory=TrainingOptions)


def load(path: Path | None = None, flags: Mapping[str, Any] | None = None) -> Config:
    """The configuration from the TOML file at `path`, the environment and `flags`, each winning over those before it.

    Raises:
        InvalidArgument: CONFIG_INVALID, naming the key, what is wrong with it and, for a misspelt one, the nearest known.
    """
    _check_environment(os.environ)
    if path is not None:
        _check_toml(path)

    class FromFile(Config):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, path)

    try:
        return FromFile(**dict(flags or {}))
    except ValidationError as error:
        raise _explained(error) from error


def _check_toml(path: Path) -> None:
    try:
        with path.open("rb") as file:
            tomllib.load(file)
    except OSError as error:
        raise InvalidArgument(
            "CONFIG_INVALID", f"the configuration file {path} cannot be read ({error.strerror})", remedy="check --config"
        ) from error
    except tomllib.TOMLDecodeError as error:
        raise InvalidArgument("CONFIG_INVALID", f"{path} is no TOML file: {error}", remedy="correct that line") from error


def _check_environment(environment: Mapping[str, str]) -> None:
    """Refuse a variable with our prefix that sets nothing: it is misspelt."""
    known = {PREFIX + _NESTING.join(key).upper() for key in _keys()}
    for name in sorted(environment):
        upper = name.upper()
        if upper.startswith(PREFIX) and upper not in known and upper not in _CLIENT_VARIABLES:
            raise InvalidArgument("CONFIG_INVALID", f"{name}: unknown variable", remedy=_nearest(upper, known))


def _keys() -> Iterable[tuple[str, ...]]:
    """The path of every key, sections included."""

    def below(kind: Any, path: tuple[str, ...]) -> Iterable[tuple[str, ...]]:
        yield path
        if is_dataclass(kind):
            for field in fields(kind):
                yield from below(type(getattr(kind() if isinstance(kind, type) else kind, field.name)), (*path, field.name))

    for section, info in Config.model_fields.items():
        yield from below(info.annotation, (section,))


def _nearest(key: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(key, known, n=1, cutoff=0.6)
    return f"did you mean {close[0]}?" if close else "see docs/configuration.md for the keys there are"


def _explained(error: ValidationError) -> InvalidArgument:
    """The first problem of `error` in one sentence."""
    problem = error.errors()[0]
    path = tuple(str(part) for part in problem["loc"])
    key = ".".join(path)
    if problem["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        known = {".".join(path) for path in _keys()}
        return InvalidArgument("CONFIG_INVALID", f"{key}: unknown key", remedy=_nearest(key, known))
    return InvalidArgument("CONFIG_INVALID", f"{key} = {problem['input']!r}: {problem['msg'].lower()}", remedy="correct it")
