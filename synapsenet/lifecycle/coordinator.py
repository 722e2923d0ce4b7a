"""The coordinator: what people and services ask of a version's life."""

from __future__ import annotations
