"""The endpoints of each role as files that Envoy watches (EDS): what is in one, and how it is put there.

A file is replaced by a rename, so that Envoy reads it whole or not at all. What Envoy cannot read it refuses, and keeps what it
had; the file is put right at the next look.

Own zone first is said by priorities, not by weights of localities: those spread a small cluster's calls over zones by ratio
and need Envoy to know how many callers each zone has, while a priority keeps a call in its zone as long as that has enough
healthy instances, and takes it elsewhere in the measure in which they fail.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from synapsenet.platform.membership import Instance
from synapsenet_servers.mesh.typed import Tree, typed

_log = logging.getLogger(__name__)

_ASSIGNMENT = "envoy.config.endpoint.v3.ClusterLoadAssignment"


def assignment(role: str, instances: Iterable[Instance], *, zone: str) -> Tree:
    """The file's content: `instances` of `role`, each address once, those in `zone` before all others."""
    by_zone: dict[str, set[str]] = {}
    for instance in instances:
        by_zone.setdefault(instance.zone, set()).add(instance.address)
    own = {zone} & by_zone.keys() if zone else set()
    localities = [
        {
            "locality": {"zone": name},
            "priority": 1 if own and name != zone else 0,
            "lb_endpoints": [{"endpoint": {"address": envoy_address(address)}} for address in sorted(by_zone[name])],
        }
        for name in sorted(by_zone)
    ]
    return {"resources": [typed(_ASSIGNMENT, cluster_name=role, endpoints=localities)]}


def envoy_address(address: str) -> Tree:
    """`host:port` or `unix:PATH` in Envoy's form. Envoy does not look names up here: the host is an IP address."""
    if address.startswith("unix:"):
        return {"pipe": {"path": address.removeprefix("unix:")}}
    host, _, port = address.rpartition(":")
    return {"socket_address": {"address": host.strip("[]"), "port_value": int(port)}}


class EndpointFiles:
    """The files of all roles, in a folder that nobody else writes to.

    A role whose instances are all gone keeps its last ones: whether they live Envoy finds out itself, and the registry may
    only have forgotten them.

    Args:
        zone: this host's; may be empty.
    """

    def __init__(self, folder: Path, *, zone: str) -> None:
        self._folder = folder
        self._zone = zone
        self._contents: dict[str, bytes] = {}
        self._counts: dict[str, int] = {}
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def counts(self) -> Mapping[str, int]:
        """How many instances each role has, by the registry."""
        return self._counts

    def path(self, role: str) -> Path:
        return self._folder / f"{role}.json"

    def begin(self, roles: Iterable[str]) -> None:
        """Give every role a file that Envoy can start with: its last one if that can be read, else one without instances."""
        for role in roles:
            last = self._last(role)
            self._contents[role] = last or _encoded(assignment(role, (), zone=self._zone))
            if last is None:
                self._replace(role)

    def write(self, role: str, instances: Sequence[Instance]) -> bool:
        """Let `instances` be those of `role`; whether that changed its file.

        Raises:
            OSError: the file could not be written; the next `repair` tries again.
        """
        if not instances:
            if self._counts.get(role):
                _log.warning("no instance of %s is registered any more; its last ones stay known", role)
            self._counts[role] = 0
            return False
        self._counts[role] = len(instances)
        content = _encoded(assignment(role, instances, zone=self._zone))
        if content == self._contents.get(role):
            return False
        self._contents[role] = content
        self._replace(role)
        return True

    def repair(self) -> list[str]:
        """Write anew what is not as it was written last, and name its roles.

        Raises:
            OSError: a file could not be written.
        """
        damaged = [role for role, content in self._contents.items() if self._read(role) != content]
        for role in damaged:
            self._replace(role)
        return damaged

    def _last(self, role: str) -> bytes | None:
        content = self._read(role)
        with contextlib.suppress(ValueError, LookupError, TypeError):
            if content and json.loads(content)["resources"][0]["cluster_name"] == role:
                return content
        return None

    def _read(self, role: str) -> bytes | None:
        try:
            return self.path(role).read_bytes()
        except OSError:
            return None

    def _replace(self, role: str) -> None:
        path = self.path(role)
        draft = path.with_suffix(".draft")
        draft.write_bytes(self._contents[role])
        os.replace(draft, path)  # noqa: PTH105 - the rename is what Envoy waits for


def _encoded(tree: Tree) -> bytes:
    return json.dumps(tree, indent=1, sort_keys=True).encode()
