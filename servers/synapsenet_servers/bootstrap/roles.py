"""Every role that a process can host, by name."""

from __future__ import annotations

from collections.abc import Mapping

from synapsenet_servers.bootstrap import experiments, features, inference, lifecycle, models, monitoring, registry, training
from synapsenet_servers.bootstrap.host import Assemble

ROLES: Mapping[str, Assemble] = {
    "features": features.assemble,
    "monitoring": monitoring.assemble,
    "models": models.assemble,
    "registry": registry.assemble,
    "lifecycle": lifecycle.assemble,
    "inference": inference.assemble,
    "experiments": experiments.assemble,
    "training": training.assemble,
}
