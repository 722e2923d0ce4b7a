"""All tables in one."""

from __future__ import annotations

from synapsenet_servers.not_yet_available.areas import AREAS, rows_of

TABLE = rows_of(AREAS)
