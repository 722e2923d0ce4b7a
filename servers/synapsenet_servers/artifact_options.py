"""What an operator may set of the store of artifacts."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactOptions:
    """Where the cluster profile keeps artifacts.

    Attributes:
        url: a folder that all processes share, or a URL that fsspec knows, such as `s3://bucket/prefix`; empty: a folder of
            each process's own, for a process that hosts all roles that need artifacts (registry, features, training).
    """

    url: str = ""
