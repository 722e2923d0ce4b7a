"""`synapsenet serve` on what cannot be: it says which, in one sentence, and does not start."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from synapsenet.errors import SynapseError
from synapsenet_servers.bootstrap.data_folder import owned_folder
from synapsenet_servers.config import Config
from synapsenet_servers.mesh.ports import free_port
from synapsenet_servers.serve import ServeOptions, serving
from tests.live import CLI
from tests.postgres_server import RunningPostgres, postgres_server

LOOPBACK = "127.0.0.1"


@pytest.fixture(scope="module", name="postgres")
def _postgres() -> Iterator[RunningPostgres]:
    with postgres_server() as server:
        yield server


async def refusal(data: Path, *roles: str, **sections: Any) -> SynapseError:
    """Why a process of `roles` does not start."""
    with pytest.raises(SynapseError) as raised:
        async with serving(ServeOptions(roles=roles or ("models",), data=data, config=Config(**sections))):
            pass
    return raised.value


def nowhere() -> str:
    """An address where nobody listens."""
    return f"{LOOPBACK}:{free_port(LOOPBACK, 0)}"


def test_the_command_names_an_unknown_role_and_those_that_there_are(tmp_path: Path) -> None:
    command = [*CLI, "serve", "models", "modles", "--data-dir", str(tmp_path / "data")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: there is no role 'modles': choose of experiments, features, ")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "data").exists()


async def test_a_port_in_use_is_named_before_anything_is_opened(tmp_path: Path) -> None:
    with socket.create_server((LOOPBACK, 0)) as taken:
        address = f"{LOOPBACK}:{taken.getsockname()[1]}"
        error = await refusal(tmp_path / "data", mesh={"listen": address})
    assert (error.reason, error.public) == (
        "PORT_IN_USE",
        f"{address} is in use: stop what listens there, or choose another port",
    )
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("mesh", "reason"),
    [({"listen": "0.0.0.0:0"}, "SERVICES_EXPOSED"), ({"listen": "[::]:0"}, "SERVICES_EXPOSED")],
)
async def test_services_are_not_laid_open_without_certificates(tmp_path: Path, mesh: dict[str, str], reason: str) -> None:
    assert (await refusal(tmp_path / "data", mesh=mesh)).reason == reason


async def test_a_wildcard_needs_an_address_that_others_can_call(tmp_path: Path) -> None:
    error = await refusal(tmp_path / "data", mesh={"listen": "0.0.0.0:0"}, security={"insecure": True})
    assert (error.reason, error.field) == ("MESH_OPTION_INVALID", "mesh.advertise")


async def test_a_database_that_is_away_is_said_to_be(tmp_path: Path) -> None:
    error = await refusal(tmp_path / "data", postgres={"url": f"postgresql://u@{nowhere()}/d", "connect_s": 2.0})
    assert error.reason == "DATABASE_UNAVAILABLE"


async def test_an_etcd_that_is_away_is_said_to_be(tmp_path: Path, postgres: RunningPostgres) -> None:
    etcd = {"endpoints": [nowhere()], "attempt_s": 0.5, "call_s": 1.0}
    error = await refusal(tmp_path / "data", postgres={"url": postgres.url}, etcd=etcd)
    assert error.reason == "ETCD_UNAVAILABLE"
    assert "\n" not in error.public


async def test_two_processes_do_not_share_a_data_folder(tmp_path: Path, postgres: RunningPostgres) -> None:
    with owned_folder(tmp_path / "data"):
        error = await refusal(tmp_path / "data", postgres={"url": postgres.url})
    assert error.reason == "DATA_IN_USE"
